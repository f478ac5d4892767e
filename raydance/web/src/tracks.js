// 2-D tracks as the service gives them, their places between frames, and their file.

export class Tracks {
  /** @param answer {fps, frame_size: [width, height]} of the service. @param sample {points: [T][N][x, y] pixels, visible: [T][N]}. */
  constructor({ fps, frame_size }, { points, visible }) {
    this.fps = fps;
    this.source = "generated";
    this.frame_size = frame_size;
    this.points = points;
    this.visible = visible;
    this.num_frames = points.length;
    this.num_points = points[0]?.length ?? 0;
  }

  /** From the first frame to the last. */
  get duration_s() {
    return Math.max(0, this.num_frames - 1) / this.fps;
  }

  /** Frames before and after a time, and how far it is between them; times outside hold the ends. */
  between(time_s) {
    const place = Math.min(Math.max(time_s * this.fps, 0), this.num_frames - 1);
    const before = Math.floor(place + 1e-6); // a time that is a frame's is that frame
    return { before, after: Math.min(before + 1, this.num_frames - 1), share: Math.max(0, place - before) };
  }

  /** Where a point is at a time, [x, y]; null where it is hidden. */
  placeAt(point, time_s) {
    const { before, after, share } = this.between(time_s);
    if (!this.visible[before][point]) return null;
    const [from, to] = [this.points[before][point], this.points[after][point]];
    if (!this.visible[after][point]) return from;
    return [from[0] + share * (to[0] - from[0]), from[1] + share * (to[1] - from[1])];
  }

  /** The way of a point up to a time: lines [[x, y], ...], broken where it is hidden. */
  trailTo(point, time_s) {
    const { before, share } = this.between(time_s);
    const lines = [[]];
    for (let frame = 0; frame <= before; frame++) {
      if (this.visible[frame][point]) lines.at(-1).push(this.points[frame][point]);
      else if (lines.at(-1).length) lines.push([]);
    }
    const now = this.placeAt(point, time_s);
    if (now && share > 0) lines.at(-1).push(now);
    return lines.filter((line) => line.length > 1);
  }

  /** A JSON file that raydance reads again. */
  toFile(stem, caption) {
    const content = {
      format: "raydance.track",
      version: 1,
      track_id: stem,
      source: this.source,
      frame_size: this.frame_size,
      fps: this.fps,
      captions: caption ? [caption] : [],
      unit: "pixels",
      points: this.points,
      visible: this.visible,
    };
    return new File([JSON.stringify(content)], `${stem}.json`, { type: "application/json" });
  }
}
