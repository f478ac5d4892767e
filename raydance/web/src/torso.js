// The trunk: one surface of ellipses around the spine, from between the legs to the neck.
// `raydance/motion/body_shape.py` has the same numbers for pictures; a test compares them.

const NEEDS = ["left_hip", "right_hip", "left_shoulder", "right_shoulder"];
/** Place on the spine (0 between the hips, 1 between the shoulders), half the width and half the depth. */
export const RINGS = [
  [-0.2, 0.03, 0.03],
  [-0.18, 0.07, 0.062],
  [-0.11, 0.118, 0.092],
  [-0.02, 0.147, 0.109],
  [0.08, 0.155, 0.113],
  [0.19, 0.149, 0.106],
  [0.32, 0.135, 0.097],
  [0.46, 0.128, 0.094],
  [0.6, 0.138, 0.101],
  [0.74, 0.153, 0.11],
  [0.86, 0.16, 0.112],
  [0.95, 0.155, 0.103],
  [1.02, 0.135, 0.087],
  [1.07, 0.1, 0.068],
  [1.1, 0.055, 0.045],
];
export const NUM_AROUND = 20;

export const hasTorso = (joints) => NEEDS.every((name) => joints.includes(name));

const minus = (a, b) => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
const mix = (a, b, share) => [0, 1, 2].map((i) => a[i] + share * (b[i] - a[i]));
const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const unit = (a) => {
  const length = Math.max(Math.hypot(...a), 1e-9);
  return a.map((value) => value / length);
};

/** A point at a share of a polyline's length, and the direction there, which bends evenly. */
function onLine(line, share) {
  const pieces = line.slice(1).map((point, i) => minus(point, line[i]));
  const lengths = pieces.map((piece) => Math.max(Math.hypot(...piece), 1e-6));
  const begins = [0];
  for (const length of lengths) begins.push(begins.at(-1) + length);
  const place = share * begins.at(-1);
  const last = pieces.length - 1;
  let piece = 0;
  while (piece < last && place > begins[piece + 1]) piece++;
  const point = mix(line[piece], line[piece + 1], (place - begins[piece]) / lengths[piece]);
  const middles = lengths.map((length, i) => begins[i] + length / 2);
  let after = 0;
  while (after <= last && place > middles[after]) after++;
  const [a, b] = [Math.max(after - 1, 0), Math.min(after, last)];
  const blend = Math.min(Math.max((place - middles[a]) / Math.max(middles[b] - middles[a], 1e-6), 0), 1);
  return { point, along: unit(mix(unit(pieces[a]), unit(pieces[b]), blend)) };
}

export class Torso {
  /** @param joints names of a skeleton that `hasTorso`. */
  constructor(joints) {
    this.index = new Map(joints.map((name, i) => [name, i]));
    this.spine = ["spine1", "spine2", "spine3"].filter((name) => this.index.has(name));
    this.points = new Float32Array(RINGS.length * NUM_AROUND * 3);
  }

  /** Writes the points [rings * around * 3] of a pose [J * 3]. */
  pointsOf(pose) {
    const at = (name) => [...pose.subarray(3 * this.index.get(name), 3 * this.index.get(name) + 3)];
    const [left_hip, right_hip, left_shoulder, right_shoulder] = NEEDS.map(at);
    const low = mix(left_hip, right_hip, 0.5);
    let high = mix(left_shoulder, right_shoulder, 0.5);
    if (this.index.has("neck")) high = mix(high, at("neck"), 0.5);
    const line = [low, ...this.spine.map(at), high];
    const hips = unit(minus(left_hip, right_hip));
    const shoulders = unit(minus(left_shoulder, right_shoulder));
    RINGS.forEach(([place, width, depth], ring) => {
      const { point, along } = onLine(line, place);
      const clamped = Math.min(Math.max(place, 0), 1);
      const share = clamped * clamped * (3 - 2 * clamped);
      let across = mix(hips, shoulders, share);
      const off = dot(across, along);
      across = unit(across.map((value, i) => value - off * along[i]));
      const ahead = cross(across, along);
      for (let step = 0; step < NUM_AROUND; step++) {
        const angle = (2 * Math.PI * step) / NUM_AROUND;
        const [x, z] = [width * Math.cos(angle), depth * Math.sin(angle)];
        for (let i = 0; i < 3; i++) this.points[3 * (ring * NUM_AROUND + step) + i] = point[i] + x * across[i] + z * ahead[i];
      }
    });
    return this.points;
  }
}
