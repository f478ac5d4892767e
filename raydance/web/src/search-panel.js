// The tab that finds clips by words, or by the dancer on the stage.

import { announce, byId } from "./dom.js";
import { showHits } from "./hits.js";
import { fileOf } from "./takes.js";

const NUM_HITS = 8;

export class SearchPanel {
  constructor(app) {
    this.app = app;
    byId("search-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.byWords(byId("search-text").value);
    });
    byId("search-like").addEventListener("click", () => this.byMotion());
  }

  get inLibrary() {
    return byId("in-library").checked && !byId("library-choice").hidden;
  }

  byWords(text) {
    const library = this.inLibrary;
    byId("search-text").value = text;
    return this.app.jobs.during("Searching", async () => {
      const answer = await this.app.service.searchText({ text, k: NUM_HITS, library });
      this.query = text;
      this.show(answer.hits, `like “${text}”`);
      this.app.address.remember();
    });
  }

  byMotion() {
    const take = this.app.cast.chosen;
    const library = this.inLibrary;
    if (!take) return this.app.jobs.fail(new Error("There is no dancer on the stage yet."));
    return this.app.jobs.during("Searching", async () => {
      const answer = await this.app.service.searchFile(fileOf(take), { k: NUM_HITS, ...take.fields, library });
      this.query = undefined;
      this.show(answer.hits, `like ${take.label.toLowerCase()}, ${take.note}`);
    });
  }

  show(hits, what) {
    const summary = hits.length ? `${hits.length} clips ${what}, the nearest first` : `Nothing ${what}`;
    byId("search-summary").textContent = summary;
    announce(summary);
    showHits(byId("hits"), hits, this.app);
  }
}
