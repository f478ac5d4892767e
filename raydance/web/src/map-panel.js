// The tab with the map of the latent space: preview, play and dance between two clips.

import { announce, byId, inSeconds, make, setPressed } from "./dom.js";
import { Motion } from "./motion.js";
import { Preview } from "./preview.js";
import { Scatter } from "./scatter.js";
import { clusterColour } from "./theme.js";

const NUM_POINTS = 2000;
const HOVER_MS = 90;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

const refOf = ({ clip_id, start_s, end_s }) => ({ clip_id, start_s, end_s });
const placeOf = ({ clip_id, start_s }) => ({ clip_id, start_s }); // a latent is of a whole window

export class MapPanel {
  constructor(app) {
    this.app = app;
    this.scatter = new Scatter(byId("map"));
    this.preview = new Preview(byId("map-preview"));
    this.motions = new Map();
    this.scatter.addEventListener("hover", ({ detail }) => this.hover(detail));
    this.scatter.addEventListener("pick", ({ detail }) => this.play(detail));
    this.scatter.addEventListener("join", ({ detail }) => app.dances.blend(placeOf(detail.start), placeOf(detail.end)));
    byId("map").addEventListener("keydown", (event) => this.key(event));
    byId("map").addEventListener("blur", () => this.setFocus(null));
    byId("share").addEventListener("input", () => app.dances.setShare(Number(byId("share").value) / 100));
    byId("side-by-side").addEventListener("change", () => app.dances.setSideBySide(byId("side-by-side").checked));
  }

  /** Loads the map once per model, when its tab is first seen. */
  async open() {
    const wanted = this.app.service.model ?? "";
    if (this.loaded === wanted) return this.scatter.resize();
    this.loaded = wanted;
    try {
      const map = await this.app.service.map(NUM_POINTS);
      if (this.loaded !== wanted) return; // another model was chosen meanwhile
      this.scatter.show(map.points, map.clusters);
      byId("map-summary").textContent = summaryOf(map);
      byId("legend").replaceChildren(...map.clusters.map((cluster) => this.legendItem(cluster)));
      this.markEnds();
    } catch (error) {
      if (this.loaded !== wanted) return;
      this.loaded = undefined;
      throw error;
    }
  }

  setTheme(theme) {
    this.preview.theme = theme;
    this.scatter.draw();
  }

  legendItem(cluster) {
    const { scatter } = this;
    const mark = make("span", { className: "mark" }, String(cluster.id + 1));
    mark.style.background = clusterColour(cluster.id);
    const button = make("button", { type: "button", title: "Show or hide" }, mark, make("span", {}, cluster.description || `Group ${cluster.id + 1}`), make("small", {}, String(cluster.num_windows)));
    setPressed(button, true);
    scatter.hidden = new Set();
    button.addEventListener("click", () => {
      const isHidden = !scatter.hidden.delete(cluster.id);
      if (isHidden) scatter.hidden.add(cluster.id);
      setPressed(button, !isHidden);
      scatter.draw();
    });
    const light = (lit) => () => {
      scatter.lit = lit;
      scatter.draw();
    };
    button.addEventListener("pointerenter", light(cluster.id));
    button.addEventListener("pointerleave", light(undefined));
    return make("li", {}, button);
  }

  play(point) {
    this.scatter.playing = point;
    this.scatter.ends = {};
    this.scatter.draw();
    this.app.dances.playClips([refOf(point)]);
  }

  /** A card with the caption at once, and a small dancer as soon as the motion is there. */
  hover(point) {
    const card = byId("map-card");
    byId("map").style.cursor = point ? "pointer" : "";
    if (point === this.hovered) return;
    this.hovered = point;
    this.preview.stop();
    card.hidden = !point;
    if (!point) return;
    const [x, y] = this.scatter.placeOf(point);
    card.style.left = `${x}px`;
    card.style.top = `${y}px`;
    card.classList.toggle("is-left", x > this.scatter.width / 2);
    card.classList.toggle("is-above", y > this.scatter.height * 0.4);
    card.querySelector("p").textContent = point.caption || point.clip_id;
    setTimeout(async () => {
      if (this.hovered !== point) return;
      const motion = await this.motionOf(point);
      if (motion && this.hovered === point) this.preview.play(motion);
    }, HOVER_MS);
  }

  async motionOf(point) {
    const name = `${this.loaded} ${point.clip_id} ${point.start_s}`;
    if (!this.motions.has(name)) {
      const motion = this.app.service.clip(refOf(point)).then((data) => new Motion(data));
      this.motions.set(name, motion.catch(() => this.motions.delete(name) && null));
    }
    return this.motions.get(name);
  }

  setFocus(point) {
    this.scatter.focus = point;
    this.scatter.draw();
    this.hover(point);
    if (point) announce(`${point.caption || point.clip_id}, group ${point.cluster + 1}, from ${inSeconds(point.start_s)} seconds`);
  }

  key(event) {
    const { scatter } = this;
    const { focus } = scatter;
    if (event.ctrlKey || event.metaKey || event.altKey || !scatter.points.length) return;
    if (ARROWS[event.key] && !event.shiftKey) {
      this.setFocus((focus ? scatter.neighbour(focus, ...ARROWS[event.key]) : scatter.points[0]) ?? focus);
    } else if (focus && event.key === "Enter") this.play(focus);
    else if (focus && event.key.toLowerCase() === "s") {
      scatter.ends = { start: focus };
      announce("Start marked");
    } else if (focus && event.key.toLowerCase() === "e" && scatter.ends.start) {
      scatter.ends.end = focus;
      this.app.dances.blend(placeOf(scatter.ends.start), placeOf(focus));
    } else return;
    event.preventDefault();
    scatter.draw();
  }

  /** Shows what is being danced between, or that nothing is. */
  showBlend(shown) {
    this.blended = shown;
    byId("blend").hidden = !shown;
    this.markEnds();
    if (!shown) return;
    const words = (ref) => this.pointOf(ref)?.caption || ref.clip_id;
    byId("blend-ends").textContent = `From “${words(shown.start)}” to “${words(shown.end)}”`;
    byId("share").value = String(100 * shown.share);
    byId("share").style.setProperty("--share", shown.share);
    byId("share").disabled = shown.side_by_side;
    byId("side-by-side").checked = shown.side_by_side;
  }

  pointOf(ref) {
    return this.scatter.points.find((point) => point.clip_id === ref.clip_id && point.start_s === ref.start_s);
  }

  markEnds() {
    const { blended } = this;
    this.scatter.ends = blended ? { start: this.pointOf(blended.start), end: this.pointOf(blended.end) } : {};
    this.scatter.draw();
  }
}

/** What the map shows, of how much. */
export function summaryOf({ points, num_windows, explained }) {
  const moments = points.length < num_windows ? `${points.length} of ${num_windows}` : points.length;
  const shares = explained.map((share) => `${Math.round(100 * share)} %`).join(" and ");
  return `${moments} moments. The picture is flat, what was learned is not: the two directions show ${shares} of the differences.`;
}
