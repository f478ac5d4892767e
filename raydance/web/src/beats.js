// The beats of a song as ticks under the scrubber.

import { byId, make } from "./dom.js";

const LIT_S = 0.12;

/** The place of the last beat that is not after a time, -1 before the first. */
export function beatAt(beats_s, time_s) {
  let [low, high] = [0, beats_s.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (beats_s[middle] <= time_s + 1e-6) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

export class Beats {
  constructor(player) {
    this.player = player;
    this.place = byId("beats");
    this.beats_s = [];
    player.addEventListener("tick", () => this.mark());
  }

  /** @param beats_s seconds, in order; none hides the ticks. */
  show(beats_s) {
    const { duration_s } = this.player;
    this.beats_s = beats_s.filter((beat_s) => beat_s <= duration_s);
    this.lit = undefined;
    const ticks = this.beats_s.map((beat_s) => {
      const tick = make("i");
      tick.style.setProperty("--share", beat_s / duration_s);
      return tick;
    });
    this.place.replaceChildren(...ticks);
    this.place.hidden = ticks.length === 0;
    this.place.setAttribute("aria-label", `${ticks.length} beats`);
    this.mark();
  }

  /** Lights the beat that is heard now. */
  mark() {
    const { time_s } = this.player;
    const last = beatAt(this.beats_s, time_s);
    const lit = last >= 0 && time_s - this.beats_s[last] < LIT_S ? this.place.children[last] : undefined;
    if (lit === this.lit) return;
    this.lit?.classList.remove("is-now");
    lit?.classList.add("is-now");
    this.lit = lit;
  }
}
