// How thick a body is: a skeleton's joints into limbs (tapered capsules), left, right or middle.
// `raydance/motion/body_shape.py` has the same numbers for pictures; a test compares them.

import { hasTorso } from "./torso.js";

/** Radii in metres (at the parent, at the joint) of the bone that ends in a joint. */
const RADII = {
  spine1: [0.09, 0.09],
  spine2: [0.09, 0.095],
  spine3: [0.095, 0.1],
  neck: [0.072, 0.05],
  head: [0.047, 0.045],
  hip: [0.088, 0.088],
  knee: [0.08, 0.052],
  ankle: [0.054, 0.034],
  foot: [0.04, 0.032],
  collar: [0.06, 0.06],
  shoulder: [0.06, 0.058],
  elbow: [0.056, 0.039],
  wrist: [0.039, 0.026],
};
const FINGER = [0.0105, 0.009];
const PALM = [0.022, 0.0125];
const UNKNOWN = [0.03, 0.03];

/** Bones that the trunk hides where there is one (`torso.js`). */
const IN_TORSO = new Set(["spine1", "spine2", "spine3", "hip"]);

const isFinger = (name) => /_(index|middle|pinky|ring|thumb)\d$/.test(name);
const sideOf = (name) => (name.startsWith("left_") ? "left" : name.startsWith("right_") ? "right" : "middle");
const bare = (name) => name.replace(/^(left|right)_/, "");

/**
 * The limbs of a skeleton: capsules between mixtures of joints.
 *
 * `from` and `to` are lists of [joint, weight]; `radii` are those at the two ends. With `beyond`, a
 * limb does not join the two but goes on from `to` by `start` to `beyond` metres (a head, toes).
 * Those that are bones have the joint's `name`, without its side; `isHidden` are those in the trunk.
 */
export function limbsOf(joints, parents) {
  const limbs = [];
  const hides = hasTorso(joints);
  joints.forEach((name, joint) => {
    if (parents[joint] < 0) return;
    const part = bare(name);
    const side = part === "hip" || part === "collar" ? "middle" : sideOf(name);
    const bone = { from: [[parents[joint], 1]], to: [[joint, 1]], side };
    const fingers = isFinger(joints[parents[joint]]) ? FINGER : PALM;
    limbs.push({ ...bone, radii: isFinger(name) ? fingers : (RADII[part] ?? UNKNOWN), isThin: isFinger(name), isHidden: hides && IN_TORSO.has(part), name: part });
    if (name === "head") limbs.push({ ...bone, start: 0.05, beyond: 0.115, radii: [0.078, 0.086] });
    if (part === "foot") limbs.push({ ...bone, start: 0, beyond: 0.06, radii: [0.032, 0.026], isFlat: true });
    const hasFingers = joints.some((other, i) => parents[i] === joint && isFinger(other));
    if (part === "wrist" && !hasFingers) limbs.push({ ...bone, start: 0, beyond: 0.12, radii: [0.032, 0.022] });
  });
  return limbs;
}

/** The skeleton itself: a thin bone to each joint, in the colour of its side. */
export function bonesOf(joints, parents) {
  const bones = joints.map((name, joint) => {
    const thin = isFinger(name) ? 0.006 : 0.014;
    return { from: [[parents[joint], 1]], to: [[joint, 1]], side: sideOf(name), radii: [thin, 1.6 * thin] };
  });
  return bones.filter((_, joint) => parents[joint] >= 0);
}

/** One coordinate (0, 1 or 2) of a limb's end in a pose [J * 3]. */
export function along(end, pose, axis) {
  let sum = 0;
  for (const [joint, weight] of end) sum += weight * pose[3 * joint + axis];
  return sum;
}

/** Joints whose paths are traced, with their side. */
export function tracedJoints(joints) {
  const ends = ["left_wrist", "right_wrist", "left_foot", "right_foot", "left_ankle", "right_ankle"];
  return ends
    .filter((name) => joints.includes(name))
    .filter((name) => !(name.endsWith("_ankle") && joints.includes(name.replace("ankle", "foot"))))
    .map((name) => ({ joint: joints.indexOf(name), side: sideOf(name) }));
}
