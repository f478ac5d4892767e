// The page's address as the page: restored from it, and written into it as the page changes.

import { announce, byId, make } from "./dom.js";
import { fillForm, firstExample, readForm } from "./generate-panel.js";
import { fromHash, repairs, toHash } from "./link.js";
import { setLook, setShown } from "./view.js";

const REST_MS = 150; // a slider that moves is written once
const TOAST_MS = 2200;

export class Address {
  constructor(app) {
    this.app = app;
    app.player.addEventListener("change", () => this.remember());
    app.stage.onView = () => {
      byId("look").value = app.stage.look;
      this.remember();
    };
    addEventListener("hashchange", () => {
      if (location.hash !== this.written) this.restore();
    });
  }

  /** Shows what the address says; an address that says nothing gets an example. */
  async restore() {
    const { player, stage, tabs, search, dances, jobs } = this.app;
    const state = fromHash(location.hash);
    const repaired = repairs(location.hash);
    this.isRestoring = true;
    try {
      this.app.chooseModel(state.model);
      player.setSpeed(state.speed);
      player.setLooping(state.loop);
      setShown(stage, { trails: state.trails, ghosts: state.ghosts, skeleton: state.skeleton });
      stage.layout = state.layout;
      setLook(stage, state.look);
      this.resume = { time_s: state.time_s, camera: state.camera };
      tabs.choose(state.tab);
      const isNothing = !state.text && !state.clips && !state.start;
      repaired.push(...fillForm(isNothing ? { ...state, text: firstExample() } : state));
      if (state.query) search.again(state); // beside the dance
      if (state.start && state.end) await dances.blend(state.start, state.end, state.share, state.side_by_side);
      else if (state.clips && !state.text) await dances.playClips(state.clips);
      else await dances.generate(readForm(), state.clips ?? []);
      if (!isNothing && !this.app.cast.takes.length) await this.repair();
      else if (repaired.length) jobs.tell(`Not all of the link can be shown: ${repaired.join("; ")}.`);
      if (!state.query) search.again(state);
    } finally {
      this.isRestoring = false;
    }
    this.remember();
  }

  /** What a link named is not here: says so, over an example. */
  async repair() {
    const { dances, jobs } = this.app;
    const why = byId("problem").textContent;
    this.resume = undefined;
    fillForm({ text: firstExample() });
    await dances.generate(readForm());
    jobs.tell(`The link could not be shown, this is an example. ${why}`);
  }

  /** Where the dancers now shown begin: the time for the first of them, the camera for all. */
  takeResume() {
    const resume = this.resume ?? {};
    this.resume = this.isRestoring ? { camera: resume.camera } : undefined;
    return resume;
  }

  /** Writes what is shown into the address, without a step in the browser's history. */
  remember() {
    if (this.isRestoring || !this.app.models) return;
    clearTimeout(this.writing);
    this.writing = setTimeout(() => this.write(), REST_MS);
  }

  write() {
    this.written = toHash(this.state());
    if (location.hash !== this.written) history.replaceState(null, "", this.written);
  }

  state() {
    const { cast, player, search, service, stage, tabs } = this.app;
    return {
      ...cast.shown,
      model: service.model,
      tab: tabs.current(),
      ...search.shown,
      layout: stage.layout,
      look: stage.look,
      speed: player.speed,
      ...stage.shown,
      loop: player.isLooping,
      time_s: player.isPlaying || !cast.takes.length ? undefined : Number(player.time_s.toFixed(3)),
      camera: stage.isAsGiven ? undefined : stage.readView(),
    };
  }

  async copy() {
    const { cast, jobs } = this.app;
    this.write();
    if (cast.shown.what === "file") return jobs.fail(new Error("A file of yours is not in the link: whoever opens it will have to drop the file too."));
    try {
      await navigator.clipboard.writeText(location.href);
      say("Link copied");
    } catch {
      say("The link is in the address bar");
    }
  }
}

/** A short word over the stage, also for screen readers. */
function say(text) {
  announce(text);
  const note = make("div", { className: "toast", "aria-hidden": "true" }, text);
  byId("stage").append(note);
  setTimeout(() => note.remove(), TOAST_MS);
}
