// The tab that finds clips by words, or by the dancer on the stage.

import { announce, byId, make } from "./dom.js";
import { inWords } from "./generate-panel.js";
import { showHits } from "./hits.js";
import { fileOf } from "./takes.js";

const NUM_HITS = 8;

export class SearchPanel {
  constructor(app) {
    this.app = app;
    this.asked = {}; // {query or like (a take), in_library}
    byId("search-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.byWords(byId("search-text").value);
    });
    byId("search-like").addEventListener("click", () => this.byMotion());
  }

  get inLibrary() {
    return byId("in-library").checked && !byId("library-choice").hidden;
  }

  /** What a link says to find the same: a dancer is named by its place on the stage. */
  get shown() {
    const { query, like, in_library } = this.asked;
    if (!like) return { query, in_library };
    const place = this.app.cast.takes.indexOf(like);
    return place < 0 || like.kind === "file" ? {} : { like: place, in_library };
  }

  /** Searches as a link says, once its dancers are on the stage. */
  again({ query, like, in_library }) {
    const take = this.app.cast.takes[like];
    if (!query && !take) return;
    byId("in-library").checked = in_library;
    if (query) this.byWords(query);
    else this.byMotion(take);
  }

  byWords(text) {
    const library = this.inLibrary;
    byId("search-text").value = text;
    const search = () => this.app.service.searchText({ text, limit: NUM_HITS, library });
    return this.find(search, `like “${text}”`, { query: text, in_library: library });
  }

  byMotion(take = this.app.cast.chosen) {
    const library = this.inLibrary;
    if (!take) return this.app.jobs.fail(new Error("There is no dancer on the stage yet."));
    const search = () => this.app.service.searchFile(fileOf(take), { limit: NUM_HITS, ...take.fields, library });
    return this.find(search, `like ${take.label.toLowerCase()}, ${take.note}`, { like: take, in_library: library });
  }

  find(search, what, asked) {
    const work = async (isCurrent) => {
      const { hits, notices = [], understood_as } = await search();
      if (!isCurrent()) return;
      this.asked = asked;
      this.show(hits, what, [...notices, inWords(understood_as)]);
      this.app.address.remember();
    };
    return this.app.jobs.during("Searching", work, "hits"); // a dance under way goes on
  }

  show(hits, what, told) {
    const summary = hits.length ? `${hits.length} clips ${what}, the nearest first` : `Nothing ${what}`;
    byId("search-summary").textContent = summary;
    byId("search-notices").replaceChildren(...told.filter(Boolean).map((notice) => make("li", {}, notice)));
    announce(summary);
    showHits(byId("hits"), hits, this.app);
  }
}
