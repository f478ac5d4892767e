// The address of the page of a run of tasks: restored from it, and written into it.

import { announce, byId } from "./dom.js";
import { fromTaskHash, toTaskHash } from "./task-link.js";

export class TaskAddress {
  constructor(app) {
    this.app = app;
    app.stage.onView = () => (byId("look").value = app.stage.look);
    addEventListener("hashchange", () => {
      if (location.hash !== this.written) location.reload();
    });
  }

  /** Shows what the address says; where it says nothing, the first example. */
  async restore() {
    const { app } = this;
    if (!app.main) return;
    const { text, box, options, repaired } = fromTaskHash(location.hash);
    app.form.fill(options);
    app.fitFrame();
    if (box) app.pad?.setBox(box);
    if (app.hasText) await app.askFor(text ?? (app.example = app.examples[0]));
    if (repaired.length) app.jobs.tell(`The link is damaged: ${repaired.join(" and ")} cannot be read and is left out.`);
  }

  takeResume() {
    return {};
  }

  /** Writes what is shown into the address, without a step in the browser's history. */
  remember() {
    const { cast, about, service } = this.app;
    this.written = toTaskHash({ ...cast.shown, model: about.models.length > 1 ? service.model : undefined });
    if (location.hash !== this.written) history.replaceState(null, "", this.written);
  }

  /** Another run may need another viewer: the page begins again. */
  changeModel(model) {
    const text = byId("sentence").value.trim();
    location.hash = toTaskHash({ model, text: text === this.app.example ? undefined : text });
  }

  async copy() {
    const { cast, jobs } = this.app;
    if (Object.keys(cast.shown.files ?? {}).length) return jobs.fail(new Error("A file of yours is not in the link: whoever opens it will have to drop the file too."));
    try {
      await navigator.clipboard.writeText(location.href);
      announce("Link copied");
    } catch {
      announce("The link is in the address bar");
    }
  }
}
