// The stage: dancers in one scene, all together or each in a view of their own, and the camera.
// It draws only when something has changed.

import { Color, DirectionalLight, HemisphereLight, PerspectiveCamera, Scene, Vector3 } from "three";
import { OrbitControls } from "three/addons/controls/OrbitControls.js";
import { clamp, isReducedMotion } from "./dom.js";
import { Figure } from "./figure.js";
import { Floor } from "./floor.js";
import { rendererFor } from "./renderer.js";

const FIELD_OF_VIEW = 30;
const FRONT = { yaw: 0.42, pitch: 0.2, zoom: 1 };
const NARROWEST_PX = 180; // a dancer's width on the screen below which views are split
const SLOW_MS = 36;
const PATIENCE_MS = 1200;
const LEAST_RATIO = 0.6;
const LABEL_PX = 64;

export class Stage {
  /** @param onFrame (elapsed_s) called before every frame while `isRunning`; @param onDrawn after. */
  constructor(canvas, onFrame, onDrawn) {
    this.canvas = canvas;
    this.onFrame = onFrame;
    this.onDrawn = onDrawn;
    const { renderer, canDraw, isSoftware } = rendererFor(canvas);
    this.canDraw = canDraw;
    this.renderer = renderer;
    this.renderer.setScissorTest(true);
    this.sharpest = isSoftware ? 1 : Math.min(devicePixelRatio, 2);
    this.ratio = this.sharpest;
    this.scene = new Scene();
    this.scene.background = new Color();
    this.camera = new PerspectiveCamera(FIELD_OF_VIEW, 1, 0.05, 120);
    this.controls = new OrbitControls(this.camera, canvas);
    Object.assign(this.controls, { enableDamping: !isReducedMotion(), dampingFactor: 0.12, maxPolarAngle: 1.62, minDistance: 0.6, maxDistance: 60 });
    this.controls.addEventListener("change", () => this.invalidate());
    this.controls.addEventListener("start", () => (this.isViewed = true));
    this.controls.addEventListener("end", () => this.onView?.());
    this.floor = new Floor();
    this.sky = new HemisphereLight();
    this.key = new DirectionalLight();
    this.key.position.set(1.6, 4, 3);
    this.rim = new DirectionalLight();
    this.rim.position.set(-2.5, 2.5, -4);
    this.scene.add(this.floor.mesh, this.sky, this.key, this.rim);
    this.figures = [];
    this.layout = "auto";
    this.hasTrails = false;
    this.isRunning = false;
    this.view = { ...FRONT };
    this.frame_ms = 16;
    this.num_drawn = 0;
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
      this.scene.remove(figure.group);
      figure.dispose();
    }
    this.figures = motions.map((motion) => new Figure(motion));
    for (const figure of this.figures) {
      figure.setColours(this.colours);
      figure.trails.setVisible(this.hasTrails);
      this.scene.add(figure.group);
    }
    if (!keepsView) this.view = { ...FRONT };
    this.arrange();
  }

  setTrails(isVisible) {
    this.hasTrails = isVisible;
    for (const figure of this.figures) figure.trails.setVisible(isVisible);
    this.invalidate();
  }

  setLayout(layout) {
    if (this.isViewed) this.view = this.readView();
    this.layout = layout;
    this.arrange();
  }

  get isSplit() {
    if (this.figures.length < 2 || this.layout === "together") return false;
    return this.layout === "split" || this.width / this.figures.length < NARROWEST_PX;
  }

  moveTo(time_s) {
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
    const depth = Math.max(1, ...this.figures.map((figure) => figure.size[2]));
    const height = Math.max(1.5, ...this.figures.map((figure) => figure.size[1])) + 0.2;
    const width = this.isSplit ? Math.max(1, ...widths) : Math.max(1, total);
    this.box = { width, height, depth };
    this.floor.setReach(2.2 + Math.max(width, depth));
    this.applyView();
  }

  /** The distance at which everything fits into a view. */
  fitDistance(yaw) {
    const { width, height, depth } = this.box;
    const tall = Math.tan((FIELD_OF_VIEW * Math.PI) / 360);
    const seen = Math.abs(Math.cos(yaw)) * width + Math.abs(Math.sin(yaw)) * depth;
    const nearer = 0.5 * (Math.abs(Math.sin(yaw)) * width + Math.abs(Math.cos(yaw)) * depth);
    const rect = this.rects()[0];
    const usable = Math.max(0.4, 1 - (LABEL_PX + 24) / rect.height);
    return Math.max((0.5 * height) / usable / tall, (0.5 * seen * 1.04) / (tall * (rect.width / rect.height))) + 0.6 * nearer + 0.25;
  }

  /** Camera from `view`: yaw and pitch in radians, zoom against what fits. */
  applyView() {
    if (!this.box) return;
    const { yaw, pitch, zoom } = this.view;
    // Many dancers in a row are seen from nearer the front, so that none hides another.
    const turned = yaw === FRONT.yaw && !this.isSplit ? yaw / Math.max(1, this.figures.length * 0.8) : yaw;
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
    this.view = { ...FRONT, ...view };
    this.applyView();
  }

  get isFrontView() {
    const view = this.readView();
    return Object.keys(FRONT).every((name) => Math.abs(view[name] - FRONT[name]) < 1e-3);
  }

  /** Turns and zooms by keys. */
  nudge({ yaw = 0, pitch = 0, zoom = 1 }) {
    const away = this.camera.position.clone().sub(this.controls.target);
    const distance = away.length() / zoom;
    const angle = Math.atan2(away.x, away.z) + yaw;
    const height = clamp(Math.asin(clamp(away.y / away.length(), -1, 1)) + pitch, -0.05, 1.5);
    away.set(Math.sin(angle) * Math.cos(height), Math.sin(height), Math.cos(angle) * Math.cos(height)).multiplyScalar(distance);
    this.camera.position.copy(this.controls.target).add(away);
    this.isViewed = true;
    this.controls.update();
    this.onView?.();
  }

  resize() {
    const { clientWidth, clientHeight } = this.canvas.parentElement;
    const view = this.box && this.width ? this.readView() : this.view;
    this.width = Math.max(1, clientWidth);
    this.height = Math.max(1, clientHeight);
    this.setSize();
    this.view = view;
    if (this.figures.length) this.arrange();
    else this.invalidate();
  }

  setSize() {
    const ratio = this.isRunning ? this.ratio : this.sharpest;
    this.renderer.setPixelRatio(ratio); // both calls clear the picture
    this.renderer.setSize(this.width, this.height, false);
  }

  /** Where each view is on the canvas, pixels from its top left. */
  rects() {
    const { width, height } = this;
    if (!this.isSplit) return [{ x: 0, y: 0, width, height }];
    const num = this.figures.length;
    let columns = 1;
    for (let best = 0, n = 1; n <= num; n++) {
      const size = Math.min(width / n, height / Math.ceil(num / n) / 1.25);
      if (size > best) [best, columns] = [size, n];
    }
    const rows = Math.ceil(num / columns);
    return this.figures.map((_, i) => ({
      x: ((i % columns) * width) / columns,
      y: (Math.floor(i / columns) * height) / rows,
      width: width / columns,
      height: height / rows,
    }));
  }

  /** Where each dancer's label belongs: centre and bottom in pixels, and the room it has. */
  labelPlaces() {
    const rects = this.rects();
    if (this.isSplit) return rects.map((rect) => ({ x: rect.x + rect.width / 2, y: rect.y + rect.height - 8, room: rect.width - 16 }));
    const places = this.figures.map((figure) => {
      const { x } = figure.group.position;
      const across = new Vector3(x, 0, 0).project(this.camera).x;
      const down = new Vector3(x, 0, 0.5 * figure.size[2]).project(this.camera).y;
      return { x: ((across + 1) / 2) * this.width, y: ((1 - down) / 2) * this.height };
    });
    // As wide as the gap to the nearest neighbour on the screen, all on one line.
    const gaps = places.flatMap((a, i) => places.slice(i + 1).map((b) => Math.abs(a.x - b.x)));
    const room = clamp(Math.min(...gaps, this.width - 16) - 8, 80, 280);
    const y = clamp(Math.max(...places.map((place) => place.y)) + LABEL_PX, LABEL_PX, this.height - 8);
    return places.map(({ x }) => ({ x: clamp(x, room / 2 + 4, this.width - room / 2 - 4), y, room }));
  }

  setRunning(isRunning) {
    this.isRunning = isRunning;
    this.setSize(); // a picture that stands still is sharp again
    this.last_ms = undefined;
    this.invalidate();
  }

  invalidate() {
    this.isDue = true;
    this.request ??= requestAnimationFrame((now_ms) => this.loop(now_ms));
  }

  loop(now_ms) {
    this.request = undefined;
    this.isDue = false;
    const elapsed_ms = this.last_ms === undefined ? 0 : now_ms - this.last_ms;
    this.last_ms = now_ms;
    if (this.isRunning) this.onFrame(Math.min(elapsed_ms, 250) / 1000);
    this.controls.update();
    this.draw();
    if (this.isRunning) this.adapt(elapsed_ms);
    if (this.isRunning || this.isDue) this.invalidate();
    else this.last_ms = undefined;
  }

  draw() {
    const rects = this.rects();
    rects.forEach((rect, i) => {
      this.figures.forEach((figure, k) => (figure.group.visible = !this.isSplit || k === i));
      this.camera.aspect = rect.width / rect.height;
      // Labels lie at the bottom: the picture's middle is a little above the view's.
      this.camera.setViewOffset(rect.width, rect.height, 0, LABEL_PX / 3, rect.width, rect.height);
      const y = this.height - rect.y - rect.height;
      this.renderer.setViewport(rect.x, y, rect.width, rect.height);
      this.renderer.setScissor(rect.x, y, rect.width, rect.height);
      this.renderer.render(this.scene, this.camera);
    });
    this.num_drawn++;
    this.onDrawn();
  }

  /** Fewer pixels where the machine is slow: smooth motion matters more than sharp edges. */
  adapt(elapsed_ms) {
    this.frame_ms += 0.15 * (Math.min(elapsed_ms, 500) - this.frame_ms);
    this.slow_ms = this.frame_ms > SLOW_MS ? (this.slow_ms ?? 0) + elapsed_ms : 0;
    if (this.slow_ms < PATIENCE_MS || this.ratio <= LEAST_RATIO) return;
    this.slow_ms = 0;
    this.ratio = Math.max(LEAST_RATIO, this.ratio * 0.75);
    this.setSize();
  }
}
