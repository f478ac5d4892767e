// One dancer in 3-D: a body of tapered capsules, a contact shadow and traces.

import { BufferAttribute, CapsuleGeometry, Color, DynamicDrawUsage, Group, InstancedBufferAttribute, InstancedMesh, Matrix4, MeshStandardMaterial, Quaternion, Vector3 } from "three";
import { limbsOf } from "./body.js";
import { ContactShadow } from "./shadow.js";
import { Trails } from "./trails.js";

const UP = new Vector3(0, 1, 0);

/** A unit capsule whose upper half is marked `along` = 1: the shader stretches and tapers it. */
function capsule() {
  const geometry = new CapsuleGeometry(1, 2, 7, 18);
  const { position } = geometry.attributes;
  const along = new Float32Array(position.count);
  for (let i = 0; i < position.count; i++) {
    const y = position.getY(i);
    along[i] = y > 0 ? 1 : 0;
    position.setY(i, y - Math.sign(y));
  }
  geometry.setAttribute("along", new BufferAttribute(along, 1));
  return geometry;
}

function skin() {
  const material = new MeshStandardMaterial({ roughness: 0.58, metalness: 0 });
  material.onBeforeCompile = (shader) => {
    shader.vertexShader = shader.vertexShader
      .replace("#include <common>", "#include <common>\nattribute vec3 sweep;\nattribute float along;")
      .replace(
        "#include <begin_vertex>",
        "vec3 transformed = position * mix(sweep.y, sweep.z, along) + vec3(0.0, along * sweep.x, 0.0);",
      );
  };
  return material;
}

export class Figure {
  /** @param motion a Motion; it is centred on the figure's own group. */
  constructor(motion) {
    this.motion = motion;
    this.pose = new Float32Array(motion.num_joints * 3);
    this.limbs = limbsOf(motion.joints, motion.parents);
    this.group = new Group();
    const { low, high } = motion.bounds;
    this.centre = [(low[0] + high[0]) / 2, (low[2] + high[2]) / 2];
    this.inner = new Group();
    this.inner.position.set(-this.centre[0], 0, -this.centre[1]);
    this.group.add(this.inner);

    const geometry = capsule();
    this.sweep = new InstancedBufferAttribute(new Float32Array(this.limbs.length * 3), 3).setUsage(DynamicDrawUsage);
    geometry.setAttribute("sweep", this.sweep);
    this.body = new InstancedMesh(geometry, skin(), this.limbs.length);
    this.body.instanceMatrix.setUsage(DynamicDrawUsage);
    this.body.frustumCulled = false;
    this.inner.add(this.body);

    this.shadow = new ContactShadow(motion, this.limbs);
    this.inner.add(this.shadow.mesh);
    this.trails = new Trails(motion);
    this.inner.add(this.trails.group);
  }

  /** Width, height and depth that the dance takes, metres. */
  get size() {
    const { low, high } = this.motion.bounds;
    return [high[0] - low[0], high[1], high[2] - low[2]];
  }

  setColours(colours) {
    const colour = new Color();
    this.limbs.forEach((limb, i) => this.body.setColorAt(i, colour.set(colours[limb.side])));
    this.body.instanceColor.needsUpdate = true;
    this.shadow.setColours(colours);
    this.trails.setColours(colours);
  }

  /** Takes the pose of a time. */
  moveTo(time_s) {
    const pose = this.motion.poseAt(time_s, this.pose);
    const start = new Vector3();
    const end = new Vector3();
    const turn = new Quaternion();
    const matrix = new Matrix4();
    const one = new Vector3(1, 1, 1);
    this.limbs.forEach((limb, i) => {
      start.fromArray(pose, limb.from * 3);
      end.fromArray(pose, limb.to * 3);
      if (limb.beyond) {
        const way = end.clone().sub(start);
        if (limb.isFlat) way.y *= 0.25;
        way.normalize();
        start.copy(end).addScaledVector(way, limb.start ?? 0);
        end.addScaledVector(way, limb.beyond);
      }
      const way = end.sub(start);
      const length = way.length();
      turn.setFromUnitVectors(UP, length > 1e-6 ? way.divideScalar(length) : UP);
      this.body.setMatrixAt(i, matrix.compose(start, turn, one));
      this.sweep.setXYZ(i, length, limb.radii[0], limb.radii[1]);
    });
    this.body.instanceMatrix.needsUpdate = true;
    this.sweep.needsUpdate = true;
    this.shadow.moveTo(pose);
    this.trails.moveTo(Math.min(time_s, this.motion.duration_s));
  }

  dispose() {
    this.body.geometry.dispose();
    this.body.material.dispose();
    this.body.dispose();
    this.shadow.dispose();
    this.trails.dispose();
  }
}
