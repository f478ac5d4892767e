// Where hands and feet have been in the last moments: ribbons that face the viewer and fade. The
// whole path is uploaded once; the shader shows the part before the time.

import { BufferAttribute, BufferGeometry, Color, DoubleSide, Group, Mesh, ShaderMaterial } from "three";
import { tracedJoints } from "./body.js";

const LENGTH_S = 1.4;
const POINTS_PER_SECOND = 60;
const MOST_POINTS = 6000;

const VERTEX = `
attribute vec3 before;
attribute vec3 after;
attribute float edge;
attribute float moment;
uniform float now;
varying float age;
varying float across;
void main() {
  age = (now - moment) / ${LENGTH_S.toFixed(2)};
  across = edge;
  vec4 view = modelViewMatrix * vec4(position, 1.0);
  vec3 way = (modelViewMatrix * vec4(after - before, 0.0)).xyz;
  vec2 aside = vec2(-way.y, way.x);
  float wide = 0.014 * (1.0 - 0.75 * clamp(age, 0.0, 1.0));
  view.xy += edge * wide * aside / max(length(aside), 1e-5);
  gl_Position = projectionMatrix * view;
}`;

const FRAGMENT = `
uniform vec3 colour;
varying float age;
varying float across;
void main() {
  if (age < 0.0 || age > 1.0) discard;
  float soft = 1.0 - smoothstep(0.6, 1.0, abs(across));
  gl_FragColor = vec4(colour, 0.6 * pow(1.0 - age, 1.4) * soft);
  #include <colorspace_fragment>
}`;

export class Trails {
  constructor(motion) {
    this.motion = motion;
    this.group = new Group();
    this.group.visible = false;
    this.ribbons = [];
  }

  /** Made when first asked for: most viewers never do. */
  setVisible(isVisible) {
    if (isVisible && !this.ribbons.length) this.build();
    this.group.visible = isVisible;
  }

  build() {
    const { motion } = this;
    const num_points = Math.max(2, Math.min(MOST_POINTS, Math.ceil(motion.duration_s * POINTS_PER_SECOND) + 1));
    const traced = tracedJoints(motion.joints);
    const paths = traced.map(() => new Float32Array(num_points * 3));
    const pose = new Float32Array(motion.num_joints * 3);
    for (let i = 0; i < num_points; i++) {
      motion.poseAt((motion.duration_s * i) / (num_points - 1), pose);
      traced.forEach(({ joint }, k) => paths[k].set(pose.subarray(joint * 3, joint * 3 + 3), i * 3));
    }
    traced.forEach(({ side }, k) => {
      const material = new ShaderMaterial({
        vertexShader: VERTEX,
        fragmentShader: FRAGMENT,
        uniforms: { now: { value: this.now ?? 0 }, colour: { value: new Color(this.colours?.[side]) } },
        transparent: true,
        depthWrite: false,
        side: DoubleSide,
      });
      const mesh = new Mesh(ribbon(paths[k], motion.duration_s), material);
      mesh.frustumCulled = false;
      mesh.renderOrder = 2;
      this.ribbons.push({ mesh, side });
      this.group.add(mesh);
    });
  }

  setColours(colours) {
    this.colours = colours;
    for (const { mesh, side } of this.ribbons) mesh.material.uniforms.colour.value.set(colours[side]);
  }

  moveTo(time_s) {
    this.now = time_s;
    for (const { mesh } of this.ribbons) mesh.material.uniforms.now.value = time_s;
  }

  dispose() {
    for (const { mesh } of this.ribbons) {
      mesh.geometry.dispose();
      mesh.material.dispose();
    }
  }
}

/** A strip of two vertices per point of a path [N * 3]. */
function ribbon(path, duration_s) {
  const num_points = path.length / 3;
  const columns = { position: 3, before: 3, after: 3, edge: 1, moment: 1 };
  const data = Object.fromEntries(Object.entries(columns).map(([name, width]) => [name, new Float32Array(2 * num_points * width)]));
  const point = (i) => path.subarray(3 * i, 3 * i + 3);
  for (let i = 0; i < num_points; i++) {
    for (const [half, edge] of [[0, -1], [1, 1]]) {
      const row = 2 * i + half;
      data.position.set(point(i), 3 * row);
      data.before.set(point(Math.max(0, i - 1)), 3 * row);
      data.after.set(point(Math.min(num_points - 1, i + 1)), 3 * row);
      data.edge[row] = edge;
      data.moment[row] = (duration_s * i) / (num_points - 1);
    }
  }
  const index = [];
  for (let i = 0; i < num_points - 1; i++) {
    const a = 2 * i;
    index.push(a, a + 1, a + 2, a + 2, a + 1, a + 3);
  }
  const geometry = new BufferGeometry();
  for (const [name, width] of Object.entries(columns)) geometry.setAttribute(name, new BufferAttribute(data[name], width));
  geometry.setIndex(index);
  return geometry;
}
