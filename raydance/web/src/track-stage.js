// The 2-D viewer: tracks drawn as trails over black, or over a picture of the frame; several samples
// side by side, each in a frame of its own, or all in one.

import { FrameLoop } from "./frame-loop.js";
import { fitInto, gridOf } from "./grid.js";

const COLOURS = ["#00ffff", "#ffd166", "#ff7ab8", "#8cff66", "#ff9b54", "#b79bff", "#ffffff", "#5ec8ff", "#ff5d5d"];
const OPACITY = 0.5;
const LABEL_PX = 52;
const TOOLS_PX = 56; // the buttons at the top
const SENTENCE_PX = 32; // below them, where several samples share it
const MARGIN_PX = 8;

export class TrackStage extends FrameLoop {
  canDraw = true;
  figures = []; // Tracks
  layout = "auto";
  time_s = 0;

  constructor(canvas, onFrame, onDrawn) {
    super(onFrame, onDrawn);
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    new ResizeObserver(() => this.resize()).observe(canvas.parentElement);
    this.resize();
  }

  setColours({ paper, grid }) {
    Object.assign(this, { paper, grid });
    this.invalidate();
  }

  /** Draws tracks in place of those there. */
  show(tracks) {
    this.figures = tracks;
    this.invalidate();
  }

  /** What is below the trails: {picture: image or null, box: [left, top, right, bottom] of the start or null}. */
  setGround(ground) {
    this.ground = ground;
    this.invalidate();
  }

  setLayout(layout) {
    this.layout = layout;
    this.invalidate();
  }

  get isSplit() {
    return this.figures.length > 1 && this.layout !== "together";
  }

  moveTo(time_s) {
    this.time_s = time_s;
    this.invalidate();
  }

  nudge() {} // no camera to turn

  resize() {
    const { clientWidth, clientHeight } = this.canvas.parentElement;
    const ratio = Math.min(devicePixelRatio, 2);
    this.width = Math.max(1, clientWidth);
    this.height = Math.max(1, clientHeight);
    this.canvas.width = Math.round(ratio * this.width);
    this.canvas.height = Math.round(ratio * this.height);
    this.ratio = ratio;
    // Now, and not with the next frame: a canvas that changes its size is shown empty until then.
    if (this.num_drawn) this.draw();
    this.invalidate();
  }

  /** Each view and where its frame is: {view, x, y, scale}. */
  frames() {
    const num = this.figures.length;
    const top = TOOLS_PX + (num > 1 ? SENTENCE_PX : 0);
    const views = gridOf(this.isSplit ? num : Math.min(num, 1), this.width, this.height - top);
    return views.map((view, i) => {
      const room = { x: view.x + MARGIN_PX, y: view.y + top, width: view.width - 2 * MARGIN_PX, height: view.height - LABEL_PX };
      return { view, ...fitInto(room, this.figures[i].frame_size) };
    });
  }

  /** Where each sample's label belongs: centre and bottom in pixels, the room it has, and its colour where it matters. */
  labelPlaces() {
    const frames = this.frames();
    const alone = this.width / this.figures.length;
    return this.figures.map(({ frame_size }, i) => {
      const { view, y, scale } = frames[this.isSplit ? i : 0];
      const x = this.isSplit ? view.x + view.width / 2 : (i + 0.5) * alone;
      const bottom = Math.min(y + scale * frame_size[1] + LABEL_PX - 4, this.height - 4);
      return { x, y: bottom, room: (this.isSplit ? view.width : alone) - 16, colour: this.isSplit ? undefined : this.colourOf(i) };
    });
  }

  /** Samples in one frame differ in colour. */
  colourOf(sample) {
    return this.isSplit ? COLOURS[0] : COLOURS[sample % COLOURS.length];
  }

  draw() {
    const { context } = this;
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    context.fillStyle = this.paper ?? "#000";
    context.fillRect(0, 0, this.width, this.height);
    this.frames().forEach((frame, i) => {
      const shown = this.isSplit ? [i] : this.figures.map((_, k) => k);
      this.drawFrame(frame, this.figures[i].frame_size);
      for (const k of shown) this.drawTracks(this.figures[k], frame.scale, this.colourOf(k));
      context.restore();
    });
    this.noteDrawn();
  }

  /** The frame, to which drawing is kept until `restore`, in the frame's pixels. */
  drawFrame({ x, y, scale }, [width, height]) {
    const { context } = this;
    const { picture, box } = this.ground ?? {};
    context.save();
    context.beginPath();
    context.rect(x, y, scale * width, scale * height);
    context.clip();
    context.translate(x, y);
    context.scale(scale, scale);
    context.fillStyle = "#000";
    context.fillRect(0, 0, width, height);
    if (picture) context.drawImage(picture, 0, 0, width, height);
    if (!box) return;
    context.strokeStyle = "#ffffff99";
    context.lineWidth = 1 / scale;
    context.setLineDash([4 / scale, 4 / scale]);
    context.strokeRect(box[0], box[1], box[2] - box[0], box[3] - box[1]);
    context.setLineDash([]);
  }

  drawTracks(tracks, scale, colour) {
    const { context, time_s } = this;
    const trails = new Path2D();
    const dots = new Path2D();
    const radius = Math.max(2, 0.008 * tracks.frame_size[0] * scale) / scale;
    for (let point = 0; point < tracks.num_points; point++) {
      for (const line of tracks.trailTo(point, time_s)) {
        trails.moveTo(...line[0]);
        for (const place of line.slice(1)) trails.lineTo(...place);
      }
      const now = tracks.placeAt(point, time_s);
      if (!now) continue;
      dots.moveTo(now[0] + radius, now[1]);
      dots.arc(now[0], now[1], radius, 0, 2 * Math.PI);
    }
    context.strokeStyle = context.fillStyle = colour;
    context.lineWidth = 0.75 * radius;
    context.lineCap = context.lineJoin = "round";
    context.globalAlpha = OPACITY;
    context.stroke(trails);
    context.globalAlpha = 0.9;
    context.fill(dots);
    context.globalAlpha = 1;
  }
}
