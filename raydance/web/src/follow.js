// Where a camera that goes along with a dancer looks: the path of the pelvis on the floor, smoothed,
// so that steps do not shake the picture. A function of time alone: seeking shows what playing does.

const SMOOTHED_S = 0.8;

export class Follow {
  /** @param motion a Motion; joint 0 is the root. */
  constructor(motion) {
    const { num_frames, num_joints, positions, fps } = motion;
    this.fps = fps;
    this.num_frames = num_frames;
    const reach = Math.round(0.5 * SMOOTHED_S * fps);
    this.path = [0, 2].map((axis) => {
      const values = Float64Array.from({ length: num_frames }, (_, i) => positions[i * num_joints * 3 + axis]);
      return meanAround(meanAround(values, reach), reach);
    });
  }

  /** -> [x, z] metres at a time; outside the motion that of its first or last frame. */
  at(time_s) {
    const place = Math.min(Math.max(time_s * this.fps, 0), this.num_frames - 1);
    const before = Math.floor(place);
    const after = Math.min(before + 1, this.num_frames - 1);
    return this.path.map((values) => values[before] + (place - before) * (values[after] - values[before]));
  }
}

/** Means of the values up to `reach` away; near an end of as many as both sides have. */
function meanAround(values, reach) {
  const sums = new Float64Array(values.length + 1);
  values.forEach((value, i) => (sums[i + 1] = sums[i] + value));
  return values.map((_, i) => {
    const near = Math.min(reach, i, values.length - 1 - i);
    return (sums[i + near + 1] - sums[i - near]) / (2 * near + 1);
  });
}

/**
 * The box [width, height, depth] in metres around what dancers do, seen from the point that is
 * followed: that point is its middle.
 *
 * @param dancers [{motion, place: [x, z] of the motion's origin}]
 * @param focusAt (time_s) -> [x, z]
 */
export function boxAround(dancers, focusAt) {
  const reach = [0, 0, 0];
  for (const { motion, place } of dancers) {
    const step = Math.max(1, Math.floor(motion.num_frames / 240));
    const pose = new Float32Array(motion.num_joints * 3);
    for (let frame = 0; frame < motion.num_frames; frame += step) {
      const time_s = frame / motion.fps;
      motion.poseAt(time_s, pose);
      const [x, z] = focusAt(time_s);
      for (let i = 0; i < pose.length; i += 3) {
        reach[0] = Math.max(reach[0], Math.abs(pose[i] + place[0] - x));
        reach[1] = Math.max(reach[1], pose[i + 1]);
        reach[2] = Math.max(reach[2], Math.abs(pose[i + 2] + place[1] - z));
      }
    }
  }
  return [2 * reach[0], reach[1], 2 * reach[2]];
}
