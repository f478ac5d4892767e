// The stage: dancers in one scene, all together or each in a view of their own, and the camera.
// It draws only when something has changed. A camera that follows stands still: the world with the
// dancers is moved under it.

import { Color, DirectionalLight, Group, HemisphereLight, PerspectiveCamera, Scene, Vector3 } from "three";
import { OrbitControls } from "three/addons/controls/OrbitControls.js";
import { clamp, isReducedMotion } from "./dom.js";
import { Figure } from "./figure.js";
import { Floor } from "./floor.js";
import { boxAround } from "./follow.js";
import { FrameLoop } from "./frame-loop.js";
import { gridOf } from "./grid.js";
import { rendererFor } from "./renderer.js";
import { Sharpness } from "./sharpness.js";

const FIELD_OF_VIEW = 30;
/** Name -> from where the dancer is seen at first. All but `free` go along with the dancer. */
export const LOOKS = {
  follow: { yaw: 0.42, pitch: 0.2, zoom: 1 },
  front: { yaw: 0, pitch: 0.1, zoom: 1 },
  side: { yaw: Math.PI / 2, pitch: 0.1, zoom: 1 },
  free: { yaw: 0.42, pitch: 0.2, zoom: 1 },
};
const NARROWEST_PX = 180; // a dancer's width on the screen below which views are split
const LABEL_PX = 64;
const TOOLS_PX = 56; // the buttons at the top

export class Stage extends FrameLoop {
  /** @param onFrame (elapsed_s) called before every frame while `isRunning`; @param onDrawn after. */
  constructor(canvas, onFrame, onDrawn) {
    super(onFrame, onDrawn);
    this.canvas = canvas;
    const { renderer, canDraw, isSoftware } = rendererFor(canvas);
    this.canDraw = canDraw;
    this.renderer = renderer;
    this.renderer.setScissorTest(true);
    this.sharpness = new Sharpness(isSoftware ? 1 : Math.min(devicePixelRatio, 2));
    this.scene = new Scene();
    this.scene.background = new Color();
    this.camera = new PerspectiveCamera(FIELD_OF_VIEW, 1, 0.05, 120);
    this.controls = new OrbitControls(this.camera, canvas);
    Object.assign(this.controls, { enableDamping: !isReducedMotion(), dampingFactor: 0.12, maxPolarAngle: 1.62, minDistance: 0.6, maxDistance: 60 });
    this.controls.addEventListener("change", () => this.invalidate());
    this.controls.addEventListener("start", () => this.markViewed());
    this.controls.addEventListener("end", () => this.onView?.());
    this.floor = new Floor();
    this.sky = new HemisphereLight();
    this.key = new DirectionalLight();
    this.key.position.set(1.6, 4, 3);
    this.rim = new DirectionalLight();
    this.rim.position.set(-2.5, 2.5, -4);
    this.world = new Group();
    this.scene.add(this.world, this.floor.mesh, this.sky, this.key, this.rim);
    this.figures = [];
    this.layout = "auto";
    this.prefersSplit = false; // where the layout is `auto`
    this.look = "follow";
    this.time_s = 0;
    this.shown = { trails: false, ghosts: false, skeleton: false };
    this.view = { ...LOOKS.follow };
    new ResizeObserver(() => this.resize()).observe(canvas.parentElement);
    this.resize();
  }

  setColours(colours) {
    this.colours = colours;
    this.scene.background.set(colours.paper);
    this.sky.color.set(colours.sky);
    this.sky.groundColor.set(colours.ground);
    this.sky.intensity = colours.ambient;
    this.key.intensity = colours.key;
    this.rim.intensity = colours.rim;
    this.floor.setColours(colours);
    for (const figure of this.figures) figure.setColours(colours);
    this.invalidate();
  }

  /** Puts dancers on the stage in place of those there. */
  show(motions, { keepsView = false } = {}) {
    for (const figure of this.figures) {
      this.world.remove(figure.group);
      figure.dispose();
    }
    this.figures = motions.map((motion) => new Figure(motion));
    for (const figure of this.figures) {
      figure.setColours(this.colours);
      figure.setShown(this.shown);
      this.world.add(figure.group);
    }
    if (!keepsView) this.view = { ...LOOKS[this.look] };
    this.arrange();
  }

  setShown(shown) {
    Object.assign(this.shown, shown);
    for (const figure of this.figures) figure.setShown(this.shown);
    this.moveTo(this.time_s);
  }

  setLayout(layout) {
    if (this.isViewed) this.view = this.readView();
    this.layout = layout;
    this.arrange();
  }

  get isSplit() {
    if (this.figures.length < 2 || this.layout === "together") return false;
    return this.layout === "split" || this.prefersSplit || this.look === "side" || this.width / this.figures.length < NARROWEST_PX;
  }

  /** Looks at the dancers as one of `LOOKS`. */
  setLook(look) {
    this.look = LOOKS[look] ? look : "follow";
    this.view = { ...LOOKS[this.look] };
    this.isViewed = false;
    this.arrange();
    this.onView?.();
  }

  /** The viewer turned the camera: it is no longer the front or the side. */
  markViewed() {
    this.isViewed = true;
    if (this.look === "front" || this.look === "side") this.look = "follow";
  }

  /** [x, z] on the stage that a view shows in its middle, at a time. */
  focusOf(figures, time_s) {
    if (this.look === "free" || !figures.length) return [0, 0];
    const places = figures.map((figure) => figure.placeAt(time_s));
    return [0, 1].map((axis) => places.reduce((sum, place) => sum + place[axis], 0) / places.length);
  }

  moveTo(time_s) {
    this.time_s = time_s;
    for (const figure of this.figures) figure.moveTo(time_s);
    this.invalidate();
  }

  /** Places the dancers and frames them. */
  arrange() {
    const widths = this.figures.map((figure) => clamp(figure.size[0], 0.9, 6) + 0.45);
    const total = widths.reduce((sum, width) => sum + width, 0);
    let x = -total / 2;
    this.figures.forEach((figure, i) => {
      figure.group.position.x = this.isSplit ? 0 : x + widths[i] / 2;
      x += widths[i];
    });
    this.box = this.look === "free" ? this.boxOfAll(widths, total) : this.boxFollowed();
    this.floor.setReach(2.2 + Math.max(this.box.width, this.box.depth));
    this.applyView();
  }

  /** What a camera that stands still has to show: all places that the dancers come to. */
  boxOfAll(widths, total) {
    const depth = Math.max(1, ...this.figures.map((figure) => figure.size[2]));
    const height = Math.max(1.5, ...this.figures.map((figure) => figure.size[1])) + 0.2;
    return { width: this.isSplit ? Math.max(1, ...widths) : Math.max(1, total), height, depth };
  }

  /** What one that goes along has to show. */
  boxFollowed() {
    const views = this.isSplit ? this.figures.map((figure) => [figure]) : [this.figures];
    const boxes = views.map((figures) => {
      const dancers = figures.map((figure) => ({ motion: figure.motion, place: figure.origin }));
      return boxAround(dancers, (time_s) => this.focusOf(figures, time_s));
    });
    const [width, height, depth] = [0, 1, 2].map((axis) => Math.max(...boxes.map((box) => box[axis])));
    return { width: Math.max(1, width + 0.3), height: Math.max(1.5, height) + 0.25, depth: Math.max(1, depth) };
  }

  /** The distance at which everything fits into a view. */
  fitDistance(yaw) {
    const { width, height, depth } = this.box;
    const tall = Math.tan((FIELD_OF_VIEW * Math.PI) / 360);
    const seen = Math.abs(Math.cos(yaw)) * width + Math.abs(Math.sin(yaw)) * depth;
    const nearer = 0.5 * (Math.abs(Math.sin(yaw)) * width + Math.abs(Math.cos(yaw)) * depth);
    const rect = this.rects()[0];
    const usable = Math.max(0.4, 1 - (LABEL_PX + TOOLS_PX) / rect.height);
    return Math.max((0.5 * height) / usable / tall, (0.5 * seen * 1.04) / (tall * (rect.width / rect.height))) + 0.6 * nearer + 0.25;
  }

  /** Camera from `view`: yaw and pitch in radians, zoom against what fits. */
  applyView() {
    if (!this.box) return;
    const { yaw, pitch, zoom } = this.view;
    // Many dancers in a row are seen from nearer the front, so that none hides another.
    const turned = yaw === LOOKS.follow.yaw && !this.isSplit ? yaw / Math.max(1, this.figures.length * 0.8) : yaw;
    const distance = this.fitDistance(turned) / zoom;
    const target = this.controls.target.set(0, 0.46 * this.box.height, 0);
    this.camera.position.set(Math.sin(turned) * Math.cos(pitch), Math.sin(pitch), Math.cos(turned) * Math.cos(pitch));
    this.camera.position.multiplyScalar(distance).add(target);
    this.isViewed = false;
    this.controls.update();
    this.invalidate();
  }

  /** The view as the viewer has turned it, whatever the size of the window. */
  readView() {
    if (!this.isViewed) return { ...this.view };
    const yaw = this.controls.getAzimuthalAngle();
    const pitch = Math.PI / 2 - this.controls.getPolarAngle();
    return { yaw, pitch, zoom: this.fitDistance(yaw) / this.controls.getDistance() };
  }

  setView(view) {
    this.view = { ...LOOKS[this.look], ...view };
    this.applyView();
  }

  /** Whether the viewer has not turned the camera. */
  get isAsGiven() {
    const view = this.readView();
    const given = LOOKS[this.look];
    return Object.keys(given).every((name) => Math.abs(view[name] - given[name]) < 1e-3);
  }

  /** Turns and zooms by keys. */
  nudge({ yaw = 0, pitch = 0, zoom = 1 }) {
    const away = this.camera.position.clone().sub(this.controls.target);
    const distance = away.length() / zoom;
    const angle = Math.atan2(away.x, away.z) + yaw;
    const height = clamp(Math.asin(clamp(away.y / away.length(), -1, 1)) + pitch, -0.05, 1.5);
    away.set(Math.sin(angle) * Math.cos(height), Math.sin(height), Math.cos(angle) * Math.cos(height)).multiplyScalar(distance);
    this.camera.position.copy(this.controls.target).add(away);
    this.markViewed();
    this.controls.update();
    this.onView?.();
  }

  resize() {
    const { clientWidth, clientHeight } = this.canvas.parentElement;
    const view = this.box && this.width ? this.readView() : this.view;
    this.width = Math.max(1, clientWidth);
    this.height = Math.max(1, clientHeight);
    this.view = view;
    if (this.figures.length) this.arrange();
    // Now, and not with the next frame: a canvas that changes its size is shown empty until then.
    if (this.num_drawn) this.draw();
    this.invalidate();
  }

  /** Gives the canvas its size where it has another: that clears the picture, so only before drawing. */
  fitCanvas() {
    const ratio = this.isRunning ? this.sharpness.ratio : this.sharpness.sharpest; // what stands still is sharp
    const size = [this.width, this.height, ratio].join();
    if (size === this.size) return;
    this.size = size;
    this.renderer.setPixelRatio(ratio);
    this.renderer.setSize(this.width, this.height, false);
  }

  /** Where each view is on the canvas, pixels from its top left. */
  rects() {
    return gridOf(this.isSplit ? this.figures.length : 1, this.width, this.height);
  }

  /** Where each dancer's label belongs: centre and bottom in pixels, and the room it has. */
  labelPlaces() {
    const rects = this.rects();
    if (this.isSplit) return rects.map((rect) => ({ x: rect.x + rect.width / 2, y: rect.y + rect.height - 8, room: rect.width - 16 }));
    const [focus_x, focus_z] = this.focusOf(this.figures, this.time_s);
    const places = this.figures.map((figure) => {
      const [x, z] = figure.placeAt(this.time_s);
      const at = new Vector3(x - focus_x, 0, z - focus_z);
      const across = at.clone().project(this.camera).x;
      at.z += 0.45; // in front of the feet
      return { x: ((across + 1) / 2) * this.width, y: ((1 - at.project(this.camera).y) / 2) * this.height };
    });
    // As wide as the gap to the nearest neighbour on the screen, all on one line.
    const gaps = places.flatMap((a, i) => places.slice(i + 1).map((b) => Math.abs(a.x - b.x)));
    const room = clamp(Math.min(...gaps, this.width - 16) - 8, Math.min(80, this.width / places.length), 280);
    const y = clamp(Math.max(...places.map((place) => place.y)) + LABEL_PX, LABEL_PX, this.height - 8);
    const xs = apart(
      places.map(({ x }) => x),
      room,
      this.width,
    );
    return xs.map((x) => ({ x, y, room }));
  }

  beforeDraw(elapsed_ms) {
    this.controls.update();
    if (this.isRunning) this.sharpness.note(elapsed_ms);
  }

  draw() {
    this.fitCanvas();
    const rects = this.rects();
    rects.forEach((rect, i) => {
      const [x, z] = this.focusOf(this.isSplit ? [this.figures[i]] : this.figures, this.time_s);
      this.world.position.set(-x, 0, -z);
      this.floor.setMiddle(x, z);
      this.figures.forEach((figure, k) => (figure.group.visible = !this.isSplit || k === i));
      this.camera.aspect = rect.width / rect.height;
      // Labels lie at the bottom: the picture's middle is a little above the view's.
      this.camera.setViewOffset(rect.width, rect.height, 0, (LABEL_PX - TOOLS_PX) / 2 + 8, rect.width, rect.height);
      const y = this.height - rect.y - rect.height;
      this.renderer.setViewport(rect.x, y, rect.width, rect.height);
      this.renderer.setScissor(rect.x, y, rect.width, rect.height);
      this.renderer.render(this.scene, this.camera);
    });
    this.noteDrawn();
  }
}

/** Moves places on a line as little as labels need that are so wide. */
function apart(xs, room, width) {
  const order = xs.map((_, i) => i).sort((a, b) => xs[a] - xs[b]);
  const moved = [...xs];
  order.forEach((i, k) => (moved[i] = Math.max(moved[i], k ? moved[order[k - 1]] + room : room / 2 + 4)));
  order.reverse().forEach((i, k) => (moved[i] = Math.min(moved[i], k ? moved[order[k - 1]] - room : width - room / 2 - 4)));
  return moved;
}
