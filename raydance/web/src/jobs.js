// What is under way: a line that says so, and its error as text. Of the jobs that fill the same
// place, only the latest may show anything.

import { byId } from "./dom.js";

export class Jobs {
  num = 0;
  latest = {}; // by place
  standing = "";

  /** Runs something slow; `work` is given `isCurrent`, which says whether it may still show. */
  async during(what, work, place = "stage") {
    const job = (this.latest[place] = {});
    const isCurrent = () => this.latest[place] === job;
    this.tell(this.standing);
    this.num++;
    byId("busy").hidden = false;
    byId("busy").firstElementChild.textContent = `${what} …`;
    try {
      return await work(isCurrent);
    } catch (error) {
      if (isCurrent() && error.name !== "AbortError") this.fail(error);
    } finally {
      byId("busy").hidden = --this.num === 0;
    }
  }

  fail(error) {
    if (!(error instanceof Error)) throw error;
    this.tell(error.message);
  }

  /** Something wrong that stays so: told now, and again where an error made room for it. */
  keep(text) {
    this.standing = text;
    this.tell(text);
  }

  tell(text) {
    const problem = byId("problem");
    if (problem.textContent !== text) problem.textContent = text; // an alert is read aloud whenever it is set
  }
}
