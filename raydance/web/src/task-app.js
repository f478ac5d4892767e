// The page of runs that declare tasks: its viewer follows from the kind of what a run makes, its
// panels from the inputs and options of the tasks.

import { Beats } from "./beats.js";
import { Cast } from "./cast.js";
import { announce, byId, make } from "./dom.js";
import { attachDownload } from "./download.js";
import { attachDrop } from "./drop.js";
import { wrongSentence } from "./form-check.js";
import { EXAMPLES, inWords } from "./generate-panel.js";
import { Player } from "./player.js";
import { Song } from "./song.js";
import { Stage } from "./stage.js";
import { StartPad } from "./start-pad.js";
import { TablePanel } from "./table-panel.js";
import { attachTabs } from "./tabs.js";
import { TaskAddress } from "./task-address.js";
import { TaskForm } from "./task-form.js";
import { fromTaskHash } from "./task-link.js";
import { exampleChips, fillPanel, songField } from "./task-panels.js";
import { madeInWords, storedTake, takesOf } from "./task-takes.js";
import { COLOURS, followTheme } from "./theme.js";
import { TrackStage } from "./track-stage.js";
import { attachTransport } from "./transport.js";
import { attachCommon, attachView, NO_WEBGL } from "./view.js";

/** Kind of output -> its viewer, the word on the button, sentences to try. */
const KINDS = {
  motion: { Viewer: Stage, verb: "Dance", examples: EXAMPLES },
  tracks: { Viewer: TrackStage, verb: "Draw", examples: ["a ball rolls to the left", "a box falls", "it bounces to the right"] },
};
const FRAME = [256, 256]; // where the run's options say nothing else
const PICTURES = ["mask", "image", "overlay"];
const INSTEAD = ["image", "overlay", "signal"]; // of a sentence

export class TaskApp {
  constructor(service, jobs, about) {
    Object.assign(this, { service, jobs, about });
    this.model = modelNamed(about.models, fromTaskHash(location.hash).model);
    service.model = this.model.name;
    this.main = this.model.tasks.find(({ output }) => KINDS[output]); // what is made and shown
    this.kind = this.main?.output ?? "tracks";
    document.documentElement.dataset.viewer = this.kind;
    this.formats = (this.main?.formats ?? []).filter((format) => format !== "json" || this.kind === "tracks");
    this.player = new Player();
    this.stage = new KINDS[this.kind].Viewer(
      byId("canvas"),
      (elapsed_s) => this.player.advance(elapsed_s),
      () => this.cast.follow(),
    );
    if (!this.stage.canDraw) jobs.keep(NO_WEBGL);
    this.cast = new Cast(this);
    this.beats = new Beats(this.player);
    this.song = new Song(this.player, byId("song"), (text) => jobs.tell(text));
    this.address = new TaskAddress(this);
    this.buildPanels();
    followTheme((theme) => this.stage.setColours(COLOURS[theme]));
    this.tabs = attachTabs(() => {}, this.model.tasks.map(({ name }) => name));
    this.tabs.choose(this.model.tasks[0].name);
    attachTransport(this.player, this.stage);
    attachDownload(this);
    if (this.kind === "motion") attachView(this);
    else attachCommon(this);
    this.attachSentence();
    const dropped = this.song_field ? "a song to dance to" : this.pad ? "a picture of the frame" : "a file to go on from";
    attachDrop((files) => this.take(files), `Drop ${dropped}`);
  }

  async start() {
    const { models } = this.about;
    const choice = byId("model");
    choice.replaceChildren(...models.map(({ name }) => make("option", { value: name }, name)));
    choice.value = this.model.name;
    choice.hidden = models.length < 2;
    choice.addEventListener("change", () => this.address.changeModel(choice.value));
    await this.address.restore();
  }

  get examples() {
    return KINDS[this.kind].examples;
  }

  get hasText() {
    return Boolean(this.main?.inputs.text?.learned);
  }

  /** Inputs that are files of a kind, and their suffixes. */
  filesOf(task, kinds) {
    const names = Object.keys(task.inputs).filter((name) => kinds.includes(task.inputs[name].kind));
    return Object.fromEntries(names.map((name) => [name, this.about.files[name]]));
  }

  buildPanels() {
    const tabs = this.model.tasks.map((task) => [task.name, task === this.main ? this.mainPanel(task) : new TablePanel(this, task).element]);
    fillPanel(document.querySelector(".panel"), tabs);
    for (const input of Object.values(this.form?.inputs ?? {})) input.addEventListener("change", () => this.fitFrame());
  }

  /** The tab of what is made: a song, a start, options. */
  mainPanel(task) {
    const { inputs } = task;
    this.form = new TaskForm(task, this.filesOf(task, ["motion", "signal", ...PICTURES, "tracks"]), () => this.ask());
    if (inputs.music?.learned) this.song_field = songField(this.about.files.music, this.about.limits.upload_bytes, (file) => this.setSong(file));
    if (inputs.box) this.pad = new StartPad(FRAME, () => this.showFrame(), (error) => this.jobs.fail(error));
    const another = make("button", { id: "next-seed", type: "button", className: "wide" }, "Another");
    another.addEventListener("click", () => {
      this.form.inputs.seed.value = String(Number(this.form.inputs.seed.value || 0) + 1);
      this.ask();
    });
    return [
      this.song_field?.element ?? "",
      this.pad?.element ?? "",
      ...(this.hasText ? [make("h2", {}, "Try one of these"), exampleChips(this.examples, (text) => this.askFor(text))] : []),
      make("h2", {}, "How it is made"),
      this.form.main,
      this.form.inputs.seed ? another : "",
      this.form.more,
      make("ul", { id: "notices", className: "notices", "aria-label": "Notices" }),
      make("p", { id: "understood", className: "quiet" }),
      make("p", { id: "timings", className: "quiet" }),
    ];
  }

  attachSentence() {
    const sentence = byId("sentence");
    sentence.hidden = !this.hasText;
    byId("sentence-form").hidden = !this.main;
    byId("generate").textContent = KINDS[this.kind].verb;
    byId("sentence-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.ask();
    });
  }

  /** The frame is as large as the options say. */
  fitFrame() {
    const [width, height] = ["width", "height"].map((name) => Number(this.form.inputs[name]?.value || NaN));
    if (this.pad && width >= 2 && height >= 2 && (width !== this.pad.size[0] || height !== this.pad.size[1])) this.pad.setSize([width, height]);
  }

  /** The options say how large the frame is. */
  showFrame() {
    const { width, height } = this.form.inputs;
    if (width && height) [width.value, height.value] = this.pad.size;
  }

  /** Files that were dropped: each goes where its kind belongs. */
  take(files) {
    const suffix = (file) => file.name.slice(file.name.lastIndexOf(".")).toLowerCase();
    for (const file of files) {
      const slots = Object.keys(this.form?.files ?? {}).filter((name) => !PICTURES.includes(this.main.inputs[name].kind) && this.about.files[name].includes(suffix(file)));
      if (this.song_field && this.about.files.music.includes(suffix(file))) return this.setSong(file);
      if (this.pad && file.type.startsWith("image/")) return this.pad.setPicture(file);
      if (slots.length) return this.form.setFile(slots[0], file);
    }
    return this.jobs.fail(new Error(`${files[0].name} is nothing that this run can use.`));
  }

  /** Dances to a song at once; without one, to the sentence alone. */
  setSong(file) {
    if (file && file.size > this.about.limits.upload_bytes) return this.jobs.fail(new Error(`${file.name} has ${file.size} bytes: at most ${this.about.limits.upload_bytes} are allowed.`));
    this.music = file ?? undefined;
    this.song_field.set(file);
    // A sentence that only stood there as an example is not meant for the song.
    if (file && byId("sentence").value === this.example) byId("sentence").value = "";
    if (file || byId("sentence").value.trim()) return this.ask();
    this.song.load(null);
    this.beats.show([]);
  }

  askFor(text) {
    byId("sentence").value = text;
    return this.ask();
  }

  /** What the form says, as `Service.task` takes it; undefined where it says what is wrong. */
  read() {
    const isTold = Object.entries(this.form.files).some(([name, { files }]) => files[0] && INSTEAD.includes(this.main.inputs[name].kind));
    const written = this.hasText ? byId("sentence").value.trim() : "";
    const text = isTold && written === this.example ? "" : written; // it only stood there
    const wrong = isTold && !text ? "" : this.wrongInput(text);
    if (wrong) {
      this.jobs.tell(wrong);
      if (this.hasText) byId("sentence").focus();
      return undefined;
    }
    const form = this.form.read();
    if (!form) return undefined;
    const hasOwnStart = form.files.mask || form.files.tracks;
    const files = { ...form.files, ...(this.music && { music: this.music }) };
    return { text: text || undefined, options: form.options, files, box: this.pad && !hasOwnStart ? this.pad.box : undefined };
  }

  wrongInput(text) {
    if (this.song_field && !this.music && !text) return this.hasText ? "Write a sentence or drop a song first." : "Drop a song first.";
    return this.hasText && (text || !this.music) ? wrongSentence(text, this.about.limits.text_characters) : "";
  }

  ask() {
    let asked;
    try {
      asked = this.read();
    } catch (error) {
      return this.jobs.fail(error);
    }
    return asked && this.make(asked);
  }

  make(asked) {
    const began_ms = performance.now();
    return this.jobs.during("Generating", async (isCurrent) => {
      const answer = await this.service.task(this.main.name, asked);
      if (!isCurrent()) return;
      this.player.pause();
      this.song.load(asked.files.music);
      if (this.pad) this.stage.setGround({ picture: this.pad.picture, box: asked.box });
      this.cast.show(takesOf(this.service, this.main.name, answer, asked), asked);
      this.beats.show(answer.beats_s ?? []);
      this.tell(answer, performance.now() - began_ms);
    });
  }

  /** Shows what another task than the main one made; no link leads back to it. */
  showMade(task, answer, asked) {
    this.player.pause();
    this.song.load(null);
    this.beats.show(answer.beats_s ?? []);
    if (this.pad) this.stage.setGround({});
    this.cast.show(takesOf(this.service, task.name, answer, asked, asked.text ?? task.name), {});
    announce(`Playing ${asked.text ?? task.name}`);
  }

  /** Shows what a search found in the library of the run. */
  playStored(id, note) {
    return this.jobs.during("Fetching", async (isCurrent) => {
      const answer = await this.service.clip({ clip_id: id });
      if (!isCurrent()) return;
      this.song.load(null);
      this.beats.show([]);
      if (this.pad) this.stage.setGround({});
      this.cast.show([storedTake(answer, id, note)], {});
      announce(`Playing ${note}`);
    });
  }

  tell({ facts, notices, beats_s }, ms) {
    byId("notices").replaceChildren(...notices.map((notice) => make("li", {}, notice)));
    byId("understood").textContent = facts.understood_as ? inWords({ caption: facts.understood_as, similarity: facts.similarity }) : "";
    byId("timings").textContent = madeInWords({ facts, beats_s }, ms);
    announce(`${this.cast.takes.length} ${this.cast.takes.length === 1 ? "sample" : "samples"}: ${this.cast.takes[0].note}`);
  }

  /** Nothing stands beside the samples that others take the place of. */
  clearBeside() {}

  /** What tests look at besides what all pages have. */
  facts() {
    const { audio, url } = this.song;
    return { viewer: this.kind, song: url ? { time_s: audio.currentTime, duration_s: audio.duration, is_playing: !audio.paused, speed: audio.playbackRate } : null, beats_s: this.beats.beats_s };
  }
}

const modelNamed = (models, name) => models.find((one) => one.name === name) ?? models[0];
