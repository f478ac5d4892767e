// The page: what is on the stage, and what the parts of the page ask for.

import { DescribePanel } from "./describe-panel.js";
import { announce, byId, isReducedMotion, make, setPressed } from "./dom.js";
import { attachDownload } from "./download.js";
import { attachGenerate, fillForm, firstExample, offer, readForm, showAnswer } from "./generate-panel.js";
import { refOf } from "./hits.js";
import { fromHash, toHash } from "./link.js";
import { MapPanel } from "./map-panel.js";
import { Player } from "./player.js";
import { SearchPanel } from "./search-panel.js";
import { Service } from "./service.js";
import { Stage } from "./stage.js";
import { attachTabs } from "./tabs.js";
import { blendTake, clipTake, generatedTake } from "./takes.js";
import { COLOURS, followTheme } from "./theme.js";
import { Timeline } from "./timeline.js";
import { attachKeys, attachTransport } from "./transport.js";

const NUM_STEPS = 9;
const SIDE_BY_SIDE = [0, 2, 4, 6, 8];
const MOST_TAKES = 9;

class App {
  constructor() {
    this.service = new Service(askKey);
    this.takes = [];
    this.shown = {}; // what of a link says what is danced
    this.formats = [];
    this.num_jobs = 0;
    this.player = new Player();
    this.stage = new Stage(
      byId("canvas"),
      (elapsed_s) => this.player.advance(elapsed_s),
      () => this.afterDraw(),
    );
    this.timeline = new Timeline(this.player);
    this.search = new SearchPanel(this);
    this.description = new DescribePanel(this);
    this.map = new MapPanel(this);
    followTheme((theme) => {
      this.stage.setColours(COLOURS[theme]);
      this.map.setTheme(theme);
    });
    this.tabs = attachTabs((name) => {
      if (name === "map") this.map.open().catch((error) => this.fail(error));
      this.remember();
    });
    attachTransport(this.player, this.stage);
    attachGenerate(this);
    attachDownload(this);
    this.attachView();
    this.player.addEventListener("change", () => this.remember());
    this.stage.onView = () => this.remember();
    addEventListener("hashchange", () => {
      if (location.hash !== this.written) this.restore();
    });
  }

  async start() {
    const about = await this.service.models();
    this.models = about.models;
    this.limits = about.limits;
    this.formats = about.formats.write;
    const choice = byId("model");
    choice.replaceChildren(...about.models.map(({ name }) => make("option", { value: name }, name)));
    choice.hidden = about.models.length < 2;
    choice.addEventListener("change", () => {
      this.chooseModel(choice.value);
      if (byId("sentence").value.trim()) this.generate(readForm());
      if (this.tabs.current() === "map") this.map.open().catch((error) => this.fail(error));
    });
    this.description.setLimits(about.formats.read, about.limits);
    await this.restore();
  }

  chooseModel(name) {
    const model = this.models.find((one) => one.name === name) ?? this.models.find((one) => one.is_default) ?? this.models[0];
    if (!model) throw new Error("The service serves no model.");
    this.service.model = model.is_default ? undefined : model.name;
    byId("model").value = model.name;
    byId("library-choice").hidden = !model.library;
    offer(model, this.limits);
  }

  /** Shows what the address says; an address that says nothing gets an example. */
  async restore() {
    const state = fromHash(location.hash);
    this.isRestoring = true;
    try {
      this.chooseModel(state.model);
      this.player.setSpeed(state.speed);
      this.player.setLooping(state.loop);
      this.setTrails(state.trails);
      this.stage.layout = state.layout;
      this.resume = { time_s: state.time_s, camera: state.camera };
      this.tabs.choose(state.tab);
      const isNothing = !state.text && !state.clips && !state.start;
      fillForm(isNothing ? { ...state, text: firstExample } : state);
      if (state.query) this.search.byWords(state.query);
      if (state.start && state.end) await this.blend(state.start, state.end, state.share, state.side_by_side);
      else if (state.clips && !state.text) await this.playClips(state.clips);
      else await this.generate(readForm(), state.clips ?? []);
    } finally {
      this.isRestoring = false;
    }
    this.remember();
  }

  /** Writes what is shown into the address, without a step in the browser's history. */
  remember() {
    if (this.isRestoring || !this.models) return;
    clearTimeout(this.writing);
    this.writing = setTimeout(() => this.writeLink(), 150);
  }

  writeLink() {
    this.written = toHash(this.state());
    if (location.hash !== this.written) history.replaceState(null, "", this.written);
  }

  state() {
    const { player, stage } = this;
    return {
      ...this.shown,
      model: this.service.model,
      tab: this.tabs.current(),
      query: this.search.query,
      layout: stage.layout,
      speed: player.speed,
      trails: stage.hasTrails,
      loop: player.isLooping,
      time_s: player.isPlaying || !this.takes.length ? undefined : Number(player.time_s.toFixed(3)),
      camera: stage.isFrontView ? undefined : stage.readView(),
    };
  }

  /** Runs something slow: shows that it runs, and its error as text. Only the latest may show. */
  async during(what, work) {
    const job = (this.job = {});
    byId("problem").textContent = "";
    this.num_jobs++;
    byId("busy").hidden = false;
    byId("busy").firstElementChild.textContent = `${what} …`;
    try {
      return await work(() => this.job === job);
    } catch (error) {
      if (this.job === job) this.fail(error);
    } finally {
      byId("busy").hidden = --this.num_jobs === 0;
    }
  }

  fail(error) {
    if (!(error instanceof Error)) throw error;
    byId("problem").textContent = error.message;
  }

  generate(form, clips = []) {
    const asked_ms = performance.now();
    const { text, seed, num_samples, seconds, source, nearest } = form;
    return this.during("Generating", async (isCurrent) => {
      const answer = await this.service.generate({ text, seed, num_samples, seconds, source });
      if (!isCurrent()) return;
      const num = answer.samples.length;
      const takes = answer.samples.map((data, i) => generatedTake(this.service, data, text, seed, i, num));
      this.show(takes, { ...form, clips: clips.length ? clips : undefined });
      this.asked_ms = asked_ms;
      showAnswer(answer);
      announce(`${num === 1 ? "A dancer dances" : `${num} dancers dance`} “${text}”`);
      await this.addReal(text, nearest, clips, isCurrent);
    });
  }

  /** Beside generated dancers: the nearest real clip, and clips that a link names. */
  async addReal(text, nearest, clips, isCurrent) {
    const refs = clips.map((ref) => ({ ref, label: "Clip" }));
    if (nearest) {
      const { hits } = await this.service.searchText({ text, k: 1 });
      const [hit] = hits;
      if (hit?.has_motion) refs.unshift({ ref: refOf(hit), label: "Nearest real clip" });
    }
    const takes = await Promise.all(refs.map(async ({ ref, label }) => clipTake(this.service, await this.service.clip(ref), ref, label)));
    if (isCurrent() && takes.length) this.show([...this.takes, ...takes], this.shown, { isAddition: true });
  }

  playClips(refs) {
    return this.during("Fetching", async (isCurrent) => {
      const every = await Promise.all(refs.map((ref) => this.service.clip(ref)));
      if (!isCurrent()) return;
      const takes = every.map((data, i) => clipTake(this.service, data, refs[i]));
      for (const take of takes) if (take.captions.length) [take.label, take.note] = [take.captions[0], take.note];
      this.show(takes, { clips: refs });
      announce(`Playing ${takes.map((take) => take.label).join(", ")}`);
    });
  }

  addClip(ref) {
    if (this.takes.length >= MOST_TAKES) return this.fail(new Error(`There are ${MOST_TAKES} dancers on the stage, which is as many as it takes.`));
    return this.during("Fetching", async (isCurrent) => {
      const data = await this.service.clip(ref);
      if (!isCurrent()) return;
      const take = clipTake(this.service, data, ref);
      if (take.captions.length) take.label = take.captions[0];
      this.show([...this.takes, take], { ...this.shown, clips: [...(this.shown.clips ?? []), ref] }, { isAddition: true });
      announce(`Added ${take.label}`);
    });
  }

  blend(start, end, share = 0.5, side_by_side = false) {
    return this.during("Dancing between", async (isCurrent) => {
      const answer = await this.service.interpolate({ start, end, steps: NUM_STEPS });
      if (!isCurrent()) return;
      this.steps = answer.samples.map((data, i) => blendTake(this.service, data, i));
      this.showSteps({ start, end, share, side_by_side });
    });
  }

  showSteps(shown, keeps = {}) {
    const one = this.steps.reduce((best, step) => (Math.abs(step.share - shown.share) < Math.abs(best.share - shown.share) ? step : best));
    const takes = shown.side_by_side ? SIDE_BY_SIDE.map((i) => this.steps[i]).filter(Boolean) : [one];
    this.show(takes, { ...shown, share: one.share }, keeps);
    announce(shown.side_by_side ? "Five steps from the first clip to the second" : `${one.label} ${one.note}`);
  }

  setShare(share) {
    if (this.shown.start) this.showSteps({ ...this.shown, share }, { isAddition: true, keepsView: true });
  }

  setSideBySide(side_by_side) {
    if (this.shown.start) this.showSteps({ ...this.shown, side_by_side }, { isAddition: true });
  }

  /**
   * Puts takes on the stage.
   *
   * @param shown what a link says to have them again.
   * @param isAddition keeps time and whether it plays.
   */
  show(takes, shown, { isAddition = false, keepsView = isAddition } = {}) {
    const { player, stage } = this;
    const resume = this.resume ?? {};
    if (!isAddition) {
      this.setSegments([]);
      if (shown.what !== "file") this.description.clear();
      this.chosen = undefined;
    }
    this.takes = takes;
    this.shown = shown;
    this.chosen = takes.includes(this.chosen) ? this.chosen : takes[0];
    this.map.showBlend(shown.start ? shown : null);
    stage.show(takes.map((take) => take.motion), { keepsView });
    this.showLabels();
    this.markLayout();
    if (!isAddition) player.time_s = 0;
    player.load(Math.max(...takes.map((take) => take.motion.duration_s)), Math.max(...takes.map((take) => take.motion.fps)));
    if (resume.camera) stage.setView(resume.camera);
    if (!isAddition) {
      if (resume.time_s !== undefined) {
        player.pause();
        player.seek(resume.time_s);
      } else if (isReducedMotion()) {
        player.pause();
        player.seek(player.duration_s / 2);
      } else player.play();
    }
    this.resume = this.isRestoring ? { camera: resume.camera } : undefined;
    byId("canvas").setAttribute("aria-label", `On the stage: ${takes.map((take) => `${take.label}, ${take.note}`).join("; ")}`);
    this.remember();
  }

  showLabels() {
    const labels = this.takes.map((take) => {
      const label = make("button", { type: "button", title: "Choose for download and search" }, make("strong", {}, take.label), make("span", {}, take.note));
      label.dataset.kind = take.kind;
      label.addEventListener("click", () => {
        this.chosen = take;
        this.markChosen();
      });
      return label;
    });
    byId("labels").replaceChildren(...labels);
    this.markChosen();
  }

  markChosen() {
    const labels = [...byId("labels").children];
    labels.forEach((label, i) => setPressed(label, this.takes[i] === this.chosen));
    byId("labels").classList.toggle("is-choice", labels.length > 1);
  }

  /** Splitting also depends on the room there is, so this follows every picture too. */
  markLayout() {
    byId("layout").hidden = this.takes.length < 2;
    setPressed(byId("layout"), this.stage.isSplit);
  }

  setSegments(segments) {
    this.timeline.show(segments, this.player.duration_s || 1);
  }

  chooseTab(name) {
    this.tabs.choose(name);
  }

  setTrails(isVisible) {
    this.stage.setTrails(isVisible);
    setPressed(byId("trails"), isVisible);
  }

  attachView() {
    const toggleTrails = () => {
      this.setTrails(!this.stage.hasTrails);
      this.remember();
    };
    const recentre = () => {
      this.stage.setView({});
      this.remember();
    };
    byId("trails").addEventListener("click", toggleTrails);
    byId("camera-reset").addEventListener("click", recentre);
    byId("layout").addEventListener("click", () => {
      this.stage.setLayout(this.stage.isSplit ? "together" : "split");
      this.markLayout();
      this.remember();
    });
    byId("copy-link").addEventListener("click", () => this.copyLink());
    attachKeys(this.player, this.stage, {
      0: recentre,
      t: toggleTrails,
      l: () => this.player.setLooping(!this.player.isLooping),
      "/": () => byId("sentence").focus(),
    });
  }

  async copyLink() {
    this.writeLink();
    if (this.shown.what === "file") return this.fail(new Error("A file of yours is not in the link: whoever opens it will have to drop the file too."));
    try {
      await navigator.clipboard.writeText(location.href);
      this.say("Link copied");
    } catch {
      this.say("The link is in the address bar");
    }
  }

  /** A short word over the stage, also for screen readers. */
  say(text) {
    announce(text);
    const note = make("div", { className: "toast", "aria-hidden": "true" }, text);
    byId("stage").append(note);
    setTimeout(() => note.remove(), 2200);
  }

  afterDraw() {
    const places = this.stage.labelPlaces();
    [...byId("labels").children].forEach((label, i) => {
      if (!places[i]) return;
      label.style.transform = `translate(-50%, -100%) translate(${places[i].x.toFixed(1)}px, ${places[i].y}px)`;
      label.style.maxWidth = `${places[i].room}px`;
    });
    this.markLayout();
    if (this.asked_ms !== undefined && this.player.isPlaying && this.player.time_s > 0) {
      this.first_frame_ms = performance.now() - this.asked_ms;
      this.asked_ms = undefined;
    }
  }
}

/** Asks for the key in a dialog; null where the reader declines. */
function askKey() {
  const dialog = byId("key-dialog");
  byId("key").value = "";
  dialog.showModal();
  byId("key-cancel").onclick = () => dialog.close("cancel");
  byId("key-form").onsubmit = () => dialog.close("go");
  return new Promise((done) => {
    dialog.onclose = () => done(dialog.returnValue === "go" ? byId("key").value.trim() || null : null);
  });
}

const app = new App();
app.start().catch((error) => app.fail(error));

/** Read-only, for tests and the curious. */
globalThis.raydance = {
  playback: () => ({
    time_s: app.player.time_s,
    duration_s: app.player.duration_s,
    is_playing: app.player.isPlaying,
    speed: app.player.speed,
    num_frames_drawn: app.stage.num_drawn,
    pixel_ratio: app.stage.ratio,
    is_busy: app.num_jobs > 0,
    first_frame_ms: app.first_frame_ms,
    takes: app.takes.map(({ kind, label, note, motion }) => ({ kind, label, note, num_frames: motion.num_frames, num_joints: motion.num_joints })),
  }),
  pose: (take = 0) => [...app.stage.figures[take].pose],
  map: () => app.map.scatter.points.map((point) => ({ ...point, place: app.map.scatter.placeOf(point) })),
};
