// How thick a body is: a skeleton's joints into limbs (tapered capsules), left, right or middle.

/** Radii in metres (at the parent, at the joint) of the bone that ends in a joint. */
const RADII = {
  spine1: [0.1, 0.098],
  spine2: [0.098, 0.104],
  spine3: [0.104, 0.1],
  neck: [0.07, 0.043],
  head: [0.043, 0.045],
  hip: [0.085, 0.088],
  knee: [0.08, 0.052],
  ankle: [0.054, 0.034],
  foot: [0.04, 0.032],
  collar: [0.06, 0.06],
  shoulder: [0.058, 0.056],
  elbow: [0.05, 0.038],
  wrist: [0.039, 0.026],
};
const FINGER = [0.0105, 0.009];
const PALM = [0.022, 0.0125];
const UNKNOWN = [0.03, 0.03];

/** Extra volume between joints that no bone joins. */
const TRUNK = [
  ["left_hip", "right_hip", 0.092],
  ["left_shoulder", "right_shoulder", 0.062],
  ["left_hip", "left_collar", 0.076],
  ["right_hip", "right_collar", 0.076],
];

const isFinger = (name) => /_(index|middle|pinky|ring|thumb)\d$/.test(name);
const sideOf = (name) => (name.startsWith("left_") ? "left" : name.startsWith("right_") ? "right" : "middle");
const bare = (name) => name.replace(/^(left|right)_/, "");

/**
 * The limbs of a skeleton.
 *
 * A limb runs from joint `from` to joint `to`, or, where `beyond` is given, from joint `to` on by
 * `beyond` metres in the direction of the bone `from`-`to`; `radii` are those at its two ends.
 */
export function limbsOf(joints, parents) {
  const limbs = [];
  const index = new Map(joints.map((name, i) => [name, i]));
  joints.forEach((name, joint) => {
    const parent = parents[joint];
    if (parent < 0) return;
    const part = bare(name);
    const radii = isFinger(name) ? (isFinger(joints[parent]) ? FINGER : PALM) : (RADII[part] ?? UNKNOWN);
    const isTrunk = part === "hip" || part === "collar";
    limbs.push({ from: parent, to: joint, radii, side: isTrunk ? "middle" : sideOf(name) });
    if (name === "head") limbs.push({ from: parent, to: joint, beyond: 0.11, start: 0.055, radii: [0.084, 0.092], side: "middle" });
    if (part === "foot") limbs.push({ from: parent, to: joint, beyond: 0.06, radii: [0.032, 0.026], side: sideOf(name), isFlat: true });
    const hasFingers = joints.some((other, i) => parents[i] === joint && isFinger(other));
    if (part === "wrist" && !hasFingers) {
      limbs.push({ from: parent, to: joint, beyond: 0.12, radii: [0.032, 0.022], side: sideOf(name) });
    }
  });
  for (const [first, second, radius] of TRUNK) {
    const ends = [index.get(first), index.get(second)];
    if (ends.includes(undefined)) continue;
    limbs.push({ from: ends[0], to: ends[1], radii: [radius, radius * 0.94], side: "middle" });
  }
  return limbs;
}

/** Joints whose paths are traced, with their side. */
export function tracedJoints(joints) {
  const ends = ["left_wrist", "right_wrist", "left_foot", "right_foot", "left_ankle", "right_ankle"];
  return ends
    .filter((name) => joints.includes(name))
    .filter((name) => !(name.endsWith("_ankle") && joints.includes(name.replace("ankle", "foot"))))
    .map((name) => ({ joint: joints.indexOf(name), side: sideOf(name) }));
}
