// The tab for the reader's own files: drop one to see it, its captions in time and its neighbours.

import { announce, byId, inSeconds, make } from "./dom.js";
import { attachDrop } from "./drop.js";
import { showHits } from "./hits.js";
import { fileTake } from "./takes.js";

const NUM_NEIGHBOURS = 3;
const SKELETON = ".asf"; // an .amc file's own, which comes beside it

const isSkeleton = (file) => file.name.toLowerCase().endsWith(SKELETON);

export class DescribePanel {
  constructor(app) {
    this.app = app;
    byId("file").addEventListener("change", () => {
      this.openFiles([...byId("file").files]);
      byId("file").value = "";
    });
    attachDrop((files) => this.openFiles(files));
  }

  setLimits(formats, limits) {
    byId("file").accept = [...formats, SKELETON].join(",");
    byId("readable").textContent = `${formats.join(", ")} (an .amc together with its .asf), up to ${Math.round(limits.upload_bytes / 2 ** 20)} MB`;
    this.most_bytes = limits.upload_bytes;
  }

  get fields() {
    return { fps: byId("file-fps").value, units: byId("file-units").value, up: byId("file-up").value };
  }

  /** The first motion among files, with the skeleton among them. */
  openFiles(files) {
    const skeleton = files.find(isSkeleton);
    const file = files.find((one) => !isSkeleton(one)) ?? skeleton;
    if (file) this.open(file, { ...this.fields, ...(skeleton && skeleton !== file && { skeleton }) });
  }

  open(file, fields) {
    const { app } = this;
    app.tabs.choose("describe");
    return app.jobs.during(`Reading ${file.name}`, async (isCurrent) => {
      if (file.size > this.most_bytes) throw new Error(`${file.name} has ${file.size} bytes: at most ${this.most_bytes} are allowed.`);
      const describing = app.service.describe(file, fields);
      const searching = app.service.searchFile(file, { ...fields, limit: NUM_NEIGHBOURS });
      for (const later of [describing, searching]) later.catch(() => {}); // told below, in order
      const data = await app.service.convert(file, fields);
      if (!isCurrent()) return;
      app.cast.show([fileTake(app.service, data, file, fields)], { what: "file" });
      const description = await describing;
      if (!isCurrent()) return;
      this.showWords(description);
      app.timeline.show(description.segments.slice(1));
      const { hits } = await searching;
      if (!isCurrent()) return;
      byId("neighbours-title").hidden = hits.length === 0;
      showHits(byId("neighbours"), hits, app);
    });
  }

  clear() {
    byId("description").replaceChildren();
    byId("neighbours").replaceChildren();
    byId("neighbours-title").hidden = true;
  }

  showWords({ file, seconds, segments, notices = [] }) {
    const [whole] = segments;
    const words = whole?.captions ?? [];
    this.clear();
    byId("description").append(
      make("h2", {}, file),
      make("p", { className: "quiet" }, `${inSeconds(seconds)} s, ${inParts(segments.length - 1)}`),
      make("ul", { className: "notices" }, ...notices.map((notice) => make("li", {}, notice))),
      sureness(whole) ? make("p", { className: `confidence ${whole.is_unlike_training ? "is-unlike" : ""}` }, sureness(whole)) : "",
      make("ul", { className: "captions" }, ...words.map((caption) => captionItem(caption))),
    );
    if (words.length) announce(`${file}: ${words[0].text}`);
  }
}

function captionItem({ text, derived }) {
  return make("li", {}, make("span", {}, text), derived ? make("small", { className: "quiet" }, "measured from the motion, not written by a person") : "");
}

const inParts = (num) => (num > 1 ? `described in ${num} parts` : "described as a whole");

/** How far the captions of a part can be trusted: {confidence, is_unlike_training}. */
export function sureness(part) {
  if (part?.is_unlike_training) return "This motion is unlike what was learned: the words below say little about it.";
  if (part?.confidence === undefined || part.confidence === null) return "";
  return `The first line is right in about ${Math.round(10 * part.confidence)} of 10 cases like this.`;
}
