// The map's drawing and its gestures: dots by cluster, pan and zoom, the nearest dot to a place.

import { clamp } from "./dom.js";
import { clusterColour } from "./theme.js";

const REACH_PX = 16;
const PAD_PX = 18;

/**
 * Fires `hover`, `pick` and `join` (from one dot dragged to another) on its own event target; the
 * dots are in `detail`.
 */
export class Scatter extends EventTarget {
  constructor(canvas) {
    super();
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.points = [];
    this.zoom = 1;
    this.shift = [0, 0];
    this.ends = {};
    this.pointers = new Map();
    new ResizeObserver(() => this.resize()).observe(canvas);
    this.attach();
  }

  show(points, clusters) {
    this.points = points;
    this.clusters = clusters;
    const range = (name) => [Math.min(...points.map((p) => p[name])), Math.max(...points.map((p) => p[name]))];
    this.range = points.length ? { x: range("x"), y: range("y") } : { x: [0, 1], y: [0, 1] };
    this.resize();
  }

  resize() {
    const ratio = Math.min(devicePixelRatio, 2);
    this.width = this.canvas.clientWidth;
    this.height = this.canvas.clientHeight;
    if (!this.width) return;
    this.canvas.width = Math.round(this.width * ratio);
    this.canvas.height = Math.round(this.height * ratio);
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.draw();
  }

  /** Where a dot is, pixels. One scale for both axes would waste room: the axes have no unit. */
  placeOf(point) {
    const share = (value, [low, high]) => (high > low ? (value - low) / (high - low) : 0.5);
    const x = PAD_PX + share(point.x, this.range.x) * (this.width - 2 * PAD_PX);
    const y = PAD_PX + (1 - share(point.y, this.range.y)) * (this.height - 2 * PAD_PX);
    return [(x - this.width / 2) * this.zoom + this.width / 2 + this.shift[0], (y - this.height / 2) * this.zoom + this.height / 2 + this.shift[1]];
  }

  nearest(x, y, reach = REACH_PX) {
    let best = null;
    for (const point of this.points) {
      if (this.hidden?.has(point.cluster)) continue;
      const [px, py] = this.placeOf(point);
      const away = Math.hypot(px - x, py - y);
      if (away < reach) [best, reach] = [point, away];
    }
    return best;
  }

  /** The next dot in a direction from the one in focus, for arrow keys. */
  neighbour(from, dx, dy) {
    const [x, y] = this.placeOf(from);
    let best = null;
    let least = Infinity;
    for (const point of this.points) {
      const [px, py] = this.placeOf(point);
      const along = (px - x) * dx + (py - y) * dy;
      const aside = Math.abs((px - x) * dy) + Math.abs((py - y) * dx);
      if (point === from || along < 1 || along < aside * 0.7) continue;
      const cost = along + 2 * aside;
      if (cost < least) [best, least] = [point, cost];
    }
    return best;
  }

  draw() {
    const { context, width, height } = this;
    if (!width || !this.range) return;
    const ink = getComputedStyle(this.canvas).color;
    context.clearRect(0, 0, width, height);
    const radius = clamp(2.6 * Math.sqrt(this.zoom) * Math.sqrt(400 / Math.max(60, this.points.length)), 2.2, 6);
    for (const point of this.points) {
      if (this.hidden?.has(point.cluster)) continue;
      context.globalAlpha = this.lit === undefined || this.lit === point.cluster ? 0.8 : 0.12;
      this.dot(point, radius, clusterColour(point.cluster));
    }
    context.globalAlpha = 1;
    this.drawNumbers(ink);
    const { start, end } = this.ends;
    if (start && (end || this.pointer)) this.drawLine(this.placeOf(start), end ? this.placeOf(end) : this.pointer, ink);
    for (const point of [start, end]) if (point) this.ring(point, radius + 4, ink, 2);
    if (this.playing) this.ring(this.playing, radius + 3, ink, 1.2);
    if (this.focus) this.ring(this.focus, radius + 6, ink, 2.4);
  }

  dot(point, radius, colour) {
    const [x, y] = this.placeOf(point);
    this.context.beginPath();
    this.context.arc(x, y, radius, 0, 2 * Math.PI);
    this.context.fillStyle = colour;
    this.context.fill();
  }

  ring(point, radius, colour, width) {
    const [x, y] = this.placeOf(point);
    this.context.beginPath();
    this.context.arc(x, y, radius, 0, 2 * Math.PI);
    this.context.strokeStyle = colour;
    this.context.lineWidth = width;
    this.context.stroke();
  }

  drawLine(from, to, ink) {
    const { context } = this;
    context.beginPath();
    context.setLineDash([5, 5]);
    context.moveTo(...from);
    context.lineTo(...to);
    context.strokeStyle = ink;
    context.lineWidth = 1.6;
    context.stroke();
    context.setLineDash([]);
  }

  /** Each cluster's number in its middle: colour alone must not tell. */
  drawNumbers(ink) {
    const sums = new Map();
    for (const point of this.points) {
      if (this.hidden?.has(point.cluster)) continue;
      const [x, y] = this.placeOf(point);
      const sum = sums.get(point.cluster) ?? [0, 0, 0];
      sums.set(point.cluster, [sum[0] + x, sum[1] + y, sum[2] + 1]);
    }
    const { context } = this;
    context.font = "600 15px system-ui, sans-serif";
    context.textAlign = "center";
    context.textBaseline = "middle";
    for (const [cluster, [x, y, num]] of sums) {
      context.lineWidth = 4;
      context.strokeStyle = getComputedStyle(this.canvas).backgroundColor;
      context.strokeText(String(cluster + 1), x / num, y / num);
      context.fillStyle = ink;
      context.fillText(String(cluster + 1), x / num, y / num);
    }
  }

  fire(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  attach() {
    const { canvas } = this;
    const at = (event) => {
      const rect = canvas.getBoundingClientRect();
      return [event.clientX - rect.left, event.clientY - rect.top];
    };
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.pointers.set(event.pointerId, at(event));
      this.pressed = { at: at(event), point: this.nearest(...at(event), event.pointerType === "touch" ? 26 : REACH_PX) };
      this.hasMoved = false;
    });
    canvas.addEventListener("pointermove", (event) => this.move(event, at(event)));
    canvas.addEventListener("pointerup", (event) => this.release(event, at(event)));
    canvas.addEventListener("pointercancel", (event) => this.cancel(event));
    canvas.addEventListener("pointerleave", () => this.fire("hover", null));
    canvas.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        this.zoomAt(at(event), Math.exp(-0.0016 * event.deltaY));
      },
      { passive: false },
    );
    canvas.addEventListener("dblclick", () => {
      this.zoom = 1;
      this.shift = [0, 0];
      this.draw();
    });
  }

  zoomAt([x, y], factor) {
    const zoom = clamp(this.zoom * factor, 1, 20);
    const by = zoom / this.zoom;
    const [cx, cy] = [x - this.width / 2, y - this.height / 2];
    this.shift = zoom === 1 ? [0, 0] : [cx - (cx - this.shift[0]) * by, cy - (cy - this.shift[1]) * by];
    this.zoom = zoom;
    this.draw();
  }

  move(event, place) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return this.fire("hover", this.nearest(...place));
    if (Math.hypot(place[0] - this.pressed.at[0], place[1] - this.pressed.at[1]) > 6) this.hasMoved = true;
    const other = [...this.pointers].find(([id]) => id !== event.pointerId)?.[1];
    this.pointers.set(event.pointerId, place);
    if (other) {
      const apart = (a) => Math.hypot(a[0] - other[0], a[1] - other[1]);
      this.hasMoved = true;
      this.ends = {};
      this.pressed.point = null;
      return this.zoomAt(place, apart(place) / Math.max(1, apart(before)));
    }
    if (!this.hasMoved) return;
    if (this.pressed.point) {
      const end = this.nearest(...place);
      this.ends = { start: this.pressed.point, end: end === this.pressed.point ? null : end };
      this.pointer = place;
      this.fire("hover", this.ends.end);
    } else {
      this.shift = [this.shift[0] + place[0] - before[0], this.shift[1] + place[1] - before[1]];
    }
    this.draw();
  }

  release(event, place) {
    this.pointers.delete(event.pointerId);
    const { point } = this.pressed ?? {};
    this.pointer = null;
    if (!this.hasMoved) {
      const picked = point ?? this.nearest(...place);
      if (picked) this.fire("pick", picked);
    } else if (point) {
      const { start, end } = this.ends;
      if (start && end) this.fire("join", { start, end });
      else this.ends = {};
    }
    this.draw();
  }

  cancel(event) {
    this.pointers.delete(event.pointerId);
    this.ends = {};
    this.pointer = null;
    this.draw();
  }
}
