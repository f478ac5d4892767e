// The tab of a task besides the main one: it answers with rows (hits of a search, or names with their
// scores), or makes something that is then on the stage.

import { announce, make } from "./dom.js";
import { TaskForm } from "./task-form.js";

const TITLES = ["captions", "label", "id"];

/** A row in words: what it is called, and its other facts. */
export function rowInWords({ score, ...row }) {
  const title = TITLES.find((name) => row[name]);
  const others = Object.entries(row).filter(([name, value]) => name !== title && value !== "");
  const facts = others.map(([name, value]) => (name === "split" ? (value === "train" ? "learned from" : "not learned from") : String(value)));
  return { title: String(row[title] ?? ""), facts: facts.join(" · "), score: score?.toFixed(2) ?? "" };
}

export class TablePanel {
  /** @param task as `/v1/models` lists it. */
  constructor(app, task) {
    Object.assign(this, { app, task, isMade: task.output !== "table" });
    const name = task.name;
    const { text, tracks } = task.inputs;
    const suffixes = app.about.files.tracks;
    this.form = new TaskForm(task, tracks ? { tracks: suffixes } : {}, () => this.ask());
    this.form.more.open = Boolean(tracks && !text);
    this.text = make("input", { id: `${name}-text`, type: "search", placeholder: "a ball rolls to the left", enterKeyHint: "search" });
    const ask = make("button", { type: "submit" }, this.isMade ? "Make" : text ? "Search" : "Ask");
    const stack = make("form", { id: `${name}-form`, className: "stack", autocomplete: "off" });
    if (text) stack.append(make("label", { htmlFor: this.text.id }, this.isMade ? "Sentence" : "By words"), make("span", { className: "with-button" }, this.text, ask));
    stack.addEventListener("submit", (event) => {
      event.preventDefault();
      this.ask();
    });
    const like = make("button", { id: `${name}-shown`, type: "button", className: "wide" }, "With what is on the stage");
    like.addEventListener("click", () => this.askShown());
    this.summary = make("p", { className: "quiet" });
    this.rows = make("ol", { id: `${name}-rows`, className: "hits", "aria-label": "Answers, the best first" });
    this.notices = make("ul", { className: "notices" });
    this.element = [make("p", { className: "knows" }, task.help), stack, tracks && app.main ? like : "", this.form.main, this.form.more, text ? "" : ask, this.summary, this.notices, this.rows];
    if (!text) ask.addEventListener("click", () => this.ask());
  }

  ask() {
    const form = this.form.read();
    if (!form) return;
    this.find({ text: this.text.value.trim() || undefined, ...form });
  }

  askShown() {
    const form = this.form.read();
    const take = this.app.cast.chosen;
    if (!take) return this.app.jobs.fail(new Error("There is nothing on the stage yet."));
    const text = this.isMade ? this.text.value.trim() || undefined : undefined; // a search has one
    if (form) this.find({ ...form, text, files: { tracks: take.motion.toFile(take.stem, "") } });
  }

  find(asked) {
    return this.app.jobs.during(this.isMade ? "Generating" : "Searching", async (isCurrent) => {
      const answer = await this.app.service.task(this.task.name, asked);
      if (!isCurrent()) return;
      if (this.isMade) this.app.showMade(this.task, answer, asked);
      else this.show(answer.rows, answer.notices);
    }, this.task.name);
  }

  show(rows, notices) {
    this.summary.textContent = rows.length ? `${rows.length} found, the best first` : "Nothing found";
    this.notices.replaceChildren(...notices.map((notice) => make("li", {}, notice)));
    announce(this.summary.textContent);
    this.rows.replaceChildren(...rows.map((row) => this.item(row)));
  }

  item(row) {
    const { title, facts, score } = rowInWords(row);
    const words = [make("span", { className: "hit-words" }, title), make("span", { className: "quiet" }, facts), make("span", { className: "score", title: "Cosine similarity" }, score)];
    if (!row.id || !this.app.main) return make("li", { className: "hit" }, ...words);
    const play = make("button", { type: "button", className: "hit", title: "Play it" }, ...words);
    play.addEventListener("click", () => this.app.playStored(row.id, title));
    const said = row.captions?.split("; ")[0];
    if (!said || !this.app.hasText) return make("li", {}, play);
    const draw = make("button", { type: "button", className: "add", title: "Make this sentence anew" }, "↻");
    draw.setAttribute("aria-label", `Make “${said}” anew`);
    draw.addEventListener("click", () => this.app.askFor(said));
    return make("li", {}, play, draw);
  }
}
