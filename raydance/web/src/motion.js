// Motion as the service gives it, and its poses between the frames.

export class Motion {
  /** @param data the service's motion object: positions [T][J][x, y, z] in metres, y up. */
  constructor(data) {
    this.fps = data.fps;
    this.joints = data.joints;
    this.parents = data.parents;
    this.num_frames = data.positions.length;
    this.num_joints = data.joints.length;
    this.positions = new Float32Array(data.positions.flat(2));
    this.bounds = this.findBounds();
    this.lift();
  }

  /** From the first frame to the last. */
  get duration_s() {
    return Math.max(0, this.num_frames - 1) / this.fps;
  }

  findBounds() {
    const low = [Infinity, Infinity, Infinity];
    const high = [-Infinity, -Infinity, -Infinity];
    this.positions.forEach((value, i) => {
      low[i % 3] = Math.min(low[i % 3], value);
      high[i % 3] = Math.max(high[i % 3], value);
    });
    return { low, high };
  }

  /** Puts what lies below the floor onto it: some files have their origin in the pelvis. */
  lift() {
    this.floor = Math.min(0, this.bounds.low[1]);
    if (this.floor > -0.1) this.floor = 0;
    this.bounds.low[1] -= this.floor;
    this.bounds.high[1] -= this.floor;
  }

  /**
   * The pose at a time, on a Catmull-Rom curve through the frames around it.
   * Writes [J * 3] into `pose`; times outside hold the first or last frame.
   */
  poseAt(time_s, pose) {
    const last = this.num_frames - 1;
    const place = Math.min(Math.max(time_s * this.fps, 0), last);
    const frame = Math.min(Math.floor(place), Math.max(0, last - 1));
    const t = place - frame;
    const size = this.num_joints * 3;
    const p = this.positions;
    const before = Math.max(frame - 1, 0) * size;
    const from = frame * size;
    const to = Math.min(frame + 1, last) * size;
    const after = Math.min(frame + 2, last) * size;
    const w0 = t * (-0.5 + t * (1 - 0.5 * t));
    const w1 = 1 + t * t * (-2.5 + 1.5 * t);
    const w2 = t * (0.5 + t * (2 - 1.5 * t));
    const w3 = t * t * (-0.5 + 0.5 * t);
    for (let i = 0; i < size; i++) {
      pose[i] = w0 * p[before + i] + w1 * p[from + i] + w2 * p[to + i] + w3 * p[after + i];
    }
    for (let i = 1; i < size; i += 3) pose[i] -= this.floor;
    return pose;
  }
}
