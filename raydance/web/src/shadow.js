// The shadow where a body is near the floor: each limb's spheres take light from the floor below
// them, by the closed form for a sphere over a plane (I. Quilez, "Sphere - ambient occlusion").

import { Color, Mesh, PlaneGeometry, ShaderMaterial, Vector3, Vector4 } from "three";
import { along } from "./body.js";

const NUM_SPHERES = 22;
const SPARED = new Set(["collar", "neck", "spine2"]); // others lie beside them
const MARGIN_M = 0.85;

const VERTEX = `
varying vec3 place;
varying vec2 edge;
void main() {
  edge = position.xz * 2.0;
  place = (modelMatrix * vec4(position, 1.0)).xyz;
  gl_Position = projectionMatrix * modelViewMatrix * vec4(position, 1.0);
}`;

const FRAGMENT = `
uniform vec4 spheres[${NUM_SPHERES}];
uniform vec3 around;
uniform vec3 colour;
uniform float strength;
varying vec3 place;
varying vec2 edge;
void main() {
  float taken = 0.0;
  for (int i = 0; i < ${NUM_SPHERES}; i++) {
    vec3 way = spheres[i].xyz + around - place;
    float radius = spheres[i].w;
    float squared = max(dot(way, way), radius * radius);
    taken += max(way.y, 0.0) * inversesqrt(squared) * radius * radius / squared;
  }
  float soft = 1.0 - smoothstep(0.35, 1.0, length(edge));
  gl_FragColor = vec4(colour, strength * soft * (1.0 - exp(-1.6 * taken)));
  #include <colorspace_fragment>
}`;

export class ContactShadow {
  constructor(limbs) {
    // Shins are near the floor and get a second sphere half-way; the trunk's own bones are enough.
    this.places = limbs
      .filter((limb) => !limb.beyond && limb.name)
      .flatMap((limb) => [{ limb, share: 1 }, ...(limb.name === "ankle" || limb.name === "foot" ? [{ limb, share: 0.5 }] : [])])
      .filter(({ limb }) => !SPARED.has(limb.name))
      .slice(0, NUM_SPHERES);
    this.spheres = Array.from({ length: NUM_SPHERES }, () => new Vector4(0, -9, 0, 0));
    const geometry = new PlaneGeometry(1, 1);
    geometry.rotateX(-Math.PI / 2);
    const material = new ShaderMaterial({
      vertexShader: VERTEX,
      fragmentShader: FRAGMENT,
      uniforms: {
        spheres: { value: this.spheres },
        around: { value: new Vector3() },
        colour: { value: new Color() },
        strength: { value: 0.5 },
      },
      transparent: true,
      depthWrite: false,
    });
    this.mesh = new Mesh(geometry, material);
    this.mesh.renderOrder = 1;
    this.mesh.frustumCulled = false;
    // Spheres are in the figure's own frame; the figure only ever shifts.
    this.mesh.onBeforeRender = () => material.uniforms.around.value.setFromMatrixPosition(this.mesh.parent.matrixWorld);
  }

  setColours(colours) {
    this.mesh.material.uniforms.colour.value.set(colours.shadow);
    this.mesh.material.uniforms.strength.value = colours.shadowStrength;
  }

  moveTo(pose) {
    const low = [Infinity, Infinity];
    const high = [-Infinity, -Infinity];
    this.places.forEach(({ limb, share }, i) => {
      const [x, y, z] = [0, 1, 2].map((axis) => (1 - share) * along(limb.from, pose, axis) + share * along(limb.to, pose, axis));
      this.spheres[i].set(x, y, z, limb.radii[1]);
      [low[0], low[1]] = [Math.min(low[0], x), Math.min(low[1], z)];
      [high[0], high[1]] = [Math.max(high[0], x), Math.max(high[1], z)];
    });
    this.mesh.position.set((low[0] + high[0]) / 2, 0.002, (low[1] + high[1]) / 2);
    this.mesh.scale.set(high[0] - low[0] + 2 * MARGIN_M, 1, high[1] - low[1] + 2 * MARGIN_M);
  }

  dispose() {
    this.mesh.geometry.dispose();
    this.mesh.material.dispose();
  }
}
