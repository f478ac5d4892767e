// A small dancer in two dimensions, for the card that follows the pointer on the map.

import { along, limbsOf } from "./body.js";
import { isReducedMotion } from "./dom.js";
import { COLOURS } from "./theme.js";

const YAW = 0.45;

export class Preview {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.theme = "light";
  }

  play(motion) {
    this.stop();
    this.motion = motion;
    this.pose = new Float32Array(motion.num_joints * 3);
    this.limbs = limbsOf(motion.joints, motion.parents).filter((limb) => !limb.isFlat);
    const { low, high } = motion.bounds;
    this.middle = [0, 1, 2].map((axis) => (low[axis] + high[axis]) / 2);
    const size = Math.max(high[1] - low[1], Math.hypot(high[0] - low[0], high[2] - low[2]), 1);
    this.scale = (0.8 * this.canvas.width) / size;
    const begin_ms = performance.now();
    const draw = (now_ms) => {
      this.draw(((now_ms - begin_ms) / 1000) % Math.max(motion.duration_s, 0.05));
      if (!isReducedMotion()) this.request = requestAnimationFrame(draw);
    };
    draw(begin_ms);
  }

  stop() {
    cancelAnimationFrame(this.request);
    this.context.clearRect(0, 0, this.canvas.width, this.canvas.height);
  }

  draw(time_s) {
    const { context, canvas, scale, middle } = this;
    const pose = this.motion.poseAt(time_s, this.pose);
    const [cos, sin] = [Math.cos(YAW), Math.sin(YAW)];
    const at = (end) => {
      const [x, y, z] = [0, 1, 2].map((axis) => along(end, pose, axis) - middle[axis]);
      return [canvas.width / 2 + scale * (cos * x - sin * z), canvas.height / 2 - scale * y, sin * x + cos * z];
    };
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.lineCap = "round";
    const drawn = this.limbs.map((limb) => ({ ...limb, ends: [at(limb.from), at(limb.to)] }));
    drawn.sort((a, b) => a.ends[0][2] + a.ends[1][2] - b.ends[0][2] - b.ends[1][2]);
    for (const { ends, radii, side, beyond } of drawn) {
      const [from, to] = ends;
      const tip = beyond ? [to[0] + 0.4 * (to[0] - from[0]), to[1] + 0.4 * (to[1] - from[1])] : to;
      context.beginPath();
      context.moveTo(...(beyond ? to : from).slice(0, 2));
      context.lineTo(...tip.slice(0, 2));
      context.strokeStyle = COLOURS[this.theme][side];
      context.lineWidth = Math.max(1, 1.5 * scale * radii[1]);
      context.stroke();
    }
  }
}
