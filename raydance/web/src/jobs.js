// What is under way: a line that says so, and its error as text. Only the latest may show anything.

import { byId } from "./dom.js";

export class Jobs {
  num = 0;

  /** Runs something slow; `work` is given `isCurrent`, which says whether it may still show. */
  async during(what, work) {
    const job = (this.latest = {});
    byId("problem").textContent = "";
    this.num++;
    byId("busy").hidden = false;
    byId("busy").firstElementChild.textContent = `${what} …`;
    try {
      return await work(() => this.latest === job);
    } catch (error) {
      if (this.latest === job) this.fail(error);
    } finally {
      byId("busy").hidden = --this.num === 0;
    }
  }

  fail(error) {
    if (!(error instanceof Error)) throw error;
    byId("problem").textContent = error.message;
  }
}
