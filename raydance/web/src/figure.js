// One dancer in 3-D: a body of tapered capsules, a contact shadow and traces.

import { BufferAttribute, BufferGeometry, CapsuleGeometry, Color, DynamicDrawUsage, Group, InstancedBufferAttribute, InstancedMesh, Matrix4, Mesh, MeshStandardMaterial, Quaternion, Vector3 } from "three";
import { along, bonesOf, limbsOf } from "./body.js";
import { Follow } from "./follow.js";
import { ContactShadow } from "./shadow.js";
import { hasTorso, NUM_AROUND, RINGS, Torso } from "./torso.js";
import { Trails } from "./trails.js";

const UP = new Vector3(0, 1, 0);
const GHOSTS_S = [-0.8, -0.4, 0.4, 0.8];
const GHOST_OPACITY = 0.16;

/** A unit capsule whose upper half is marked `along` = 1: the shader stretches and tapers it. */
function capsule(num_cap, num_around) {
  const geometry = new CapsuleGeometry(1, 2, num_cap, num_around);
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

/** Limbs of one fineness, drawn at once. */
class Limbs {
  constructor(limbs, num_cap, num_around) {
    this.limbs = limbs;
    const geometry = capsule(num_cap, num_around);
    this.sweep = new InstancedBufferAttribute(new Float32Array(limbs.length * 3), 3).setUsage(DynamicDrawUsage);
    geometry.setAttribute("sweep", this.sweep);
    this.mesh = new InstancedMesh(geometry, skin(), limbs.length);
    this.mesh.instanceMatrix.setUsage(DynamicDrawUsage);
    this.mesh.frustumCulled = false;
  }

  setColours(colours) {
    const colour = new Color();
    this.limbs.forEach((limb, i) => this.mesh.setColorAt(i, colour.set(colours[limb.side])));
    if (this.limbs.length) this.mesh.instanceColor.needsUpdate = true;
  }

  moveTo(pose) {
    const start = new Vector3();
    const end = new Vector3();
    const way = new Vector3();
    const turn = new Quaternion();
    const matrix = new Matrix4();
    const one = new Vector3(1, 1, 1);
    this.limbs.forEach((limb, i) => {
      start.set(along(limb.from, pose, 0), along(limb.from, pose, 1), along(limb.from, pose, 2));
      end.set(along(limb.to, pose, 0), along(limb.to, pose, 1), along(limb.to, pose, 2));
      if (limb.beyond) {
        way.subVectors(end, start);
        if (limb.isFlat) way.y *= 0.25;
        way.normalize();
        start.copy(end).addScaledVector(way, limb.start);
        end.addScaledVector(way, limb.beyond);
      }
      way.subVectors(end, start);
      const length = way.length();
      turn.setFromUnitVectors(UP, length > 1e-6 ? way.divideScalar(length) : UP);
      this.mesh.setMatrixAt(i, matrix.compose(start, turn, one));
      this.sweep.setXYZ(i, length, limb.radii[0], limb.radii[1]);
    });
    this.mesh.instanceMatrix.needsUpdate = true;
    this.sweep.needsUpdate = true;
  }

  dispose() {
    this.mesh.geometry.dispose();
    this.mesh.material.dispose();
    this.mesh.dispose();
  }
}

/** A pose some time before or after the one shown, faint and without light. */
class Ghost extends Limbs {
  constructor(limbs, offset_s) {
    super(limbs, 2, 8);
    this.offset_s = offset_s;
    this.isShown = false;
    Object.assign(this.mesh.material, { transparent: true, depthWrite: false, opacity: GHOST_OPACITY });
  }

  /** Not beyond the ends of the motion, where it would stand in the dancer. */
  follow(motion, time_s) {
    const at_s = time_s + this.offset_s;
    this.mesh.visible = this.isShown && at_s >= 0 && at_s <= motion.duration_s;
    if (!this.mesh.visible) return;
    this.pose ??= new Float32Array(motion.num_joints * 3);
    this.moveTo(motion.poseAt(at_s, this.pose));
  }
}

/** The trunk's surface, whose points follow the pose. */
class Trunk {
  constructor(joints) {
    this.torso = new Torso(joints);
    const geometry = new BufferGeometry();
    geometry.setAttribute("position", new BufferAttribute(this.torso.points, 3).setUsage(DynamicDrawUsage));
    geometry.setAttribute("normal", new BufferAttribute(new Float32Array(this.torso.points.length), 3).setUsage(DynamicDrawUsage));
    const index = [];
    for (let ring = 0; ring < RINGS.length - 1; ring++) {
      for (let step = 0; step < NUM_AROUND; step++) {
        const [a, b] = [ring * NUM_AROUND + step, ring * NUM_AROUND + ((step + 1) % NUM_AROUND)];
        index.push(a, a + NUM_AROUND, b, b, a + NUM_AROUND, b + NUM_AROUND);
      }
    }
    geometry.setIndex(index);
    this.mesh = new Mesh(geometry, new MeshStandardMaterial({ roughness: 0.58, metalness: 0 }));
    this.mesh.frustumCulled = false;
  }

  setColours(colours) {
    this.mesh.material.color.set(colours.middle);
  }

  moveTo(pose) {
    this.torso.pointsOf(pose);
    const { geometry } = this.mesh;
    geometry.attributes.position.needsUpdate = true;
    geometry.computeVertexNormals();
  }

  dispose() {
    this.mesh.geometry.dispose();
    this.mesh.material.dispose();
  }
}

export class Figure {
  /** @param motion a Motion; it is centred on the figure's own group. */
  constructor(motion) {
    this.motion = motion;
    this.pose = new Float32Array(motion.num_joints * 3);
    this.group = new Group();
    const { low, high } = motion.bounds;
    const inner = new Group();
    inner.position.set(-(low[0] + high[0]) / 2, 0, -(low[2] + high[2]) / 2);
    this.group.add(inner);
    this.inner = inner;
    this.follow = new Follow(motion);
    const limbs = limbsOf(motion.joints, motion.parents);
    const thick = limbs.filter((limb) => !limb.isThin);
    const seen = thick.filter((limb) => !limb.isHidden);
    const thin = limbs.filter((limb) => limb.isThin);
    this.limbs = [new Limbs(seen, 5, 14)];
    if (thin.length) this.limbs.push(new Limbs(thin, 2, 7));
    if (hasTorso(motion.joints)) this.limbs.push(new Trunk(motion.joints));
    this.bones = [new Limbs(bonesOf(motion.joints, motion.parents), 3, 8)];
    this.shadow = new ContactShadow(thick);
    this.trails = new Trails(motion);
    this.ghosts = GHOSTS_S.map((offset_s) => new Ghost(seen, offset_s));
    const bodies = [...this.limbs, ...this.bones, ...this.ghosts].map(({ mesh }) => mesh);
    inner.add(...bodies, this.shadow.mesh, this.trails.group);
    this.setShown({});
  }

  /** Whether it has trails and ghosts, and whether it is a skeleton instead of a body. */
  setShown({ trails = false, ghosts = false, skeleton = false }) {
    this.trails.setVisible(trails);
    for (const { mesh } of this.limbs) mesh.visible = !skeleton;
    for (const { mesh } of this.bones) mesh.visible = skeleton;
    for (const ghost of this.ghosts) ghost.isShown = ghosts;
  }

  /** Width, height and depth that the dance takes, metres. */
  get size() {
    const { low, high } = this.motion.bounds;
    return [high[0] - low[0], high[1], high[2] - low[2]];
  }

  /** [x, z] of the motion's origin on the stage. */
  get origin() {
    return [this.group.position.x + this.inner.position.x, this.group.position.z + this.inner.position.z];
  }

  /** [x, z] on the stage where the dancer is at a time, without the sway of steps. */
  placeAt(time_s) {
    const [x, z] = this.follow.at(time_s);
    const [origin_x, origin_z] = this.origin;
    return [origin_x + x, origin_z + z];
  }

  get parts() {
    return [...this.limbs, ...this.bones, ...this.ghosts, this.shadow, this.trails];
  }

  setColours(colours) {
    for (const part of this.parts) part.setColours(colours);
  }

  /** Takes the pose of a time. */
  moveTo(time_s) {
    const pose = this.motion.poseAt(time_s, this.pose);
    for (const limbs of [...this.limbs, ...this.bones]) if (limbs.mesh.visible) limbs.moveTo(pose);
    for (const ghost of this.ghosts) ghost.follow(this.motion, time_s);
    this.shadow.moveTo(pose);
    this.trails.moveTo(Math.min(time_s, this.motion.duration_s));
  }

  dispose() {
    for (const part of this.parts) part.dispose();
  }
}
