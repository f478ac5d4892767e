// Captions under the scrubber: each segment of a described file, where it lies in time.

import { byId, inSeconds, make, marked } from "./dom.js";
import { clusterColour } from "./theme.js";

export class Timeline {
  constructor(player) {
    this.player = player;
    this.list = byId("timeline");
    this.segments = [];
    player.addEventListener("tick", () => this.mark());
  }

  /** @param segments [{start_s, end_s, cluster, captions}]; none hides the timeline. */
  show(segments) {
    const duration_s = this.player.duration_s || 1;
    this.segments = segments;
    this.list.hidden = segments.length === 0;
    const ends = []; // of the last segment in each lane
    const items = segments.map((segment) => {
      let lane = ends.findIndex((end_s) => end_s <= segment.start_s + 1e-3);
      if (lane < 0) lane = ends.length;
      ends[lane] = segment.end_s;
      return this.item(segment, lane, duration_s);
    });
    this.list.replaceChildren(...items);
    this.list.style.setProperty("--lanes", ends.length);
    this.mark();
  }

  item(segment, lane, duration_s) {
    const [caption] = segment.captions;
    const text = caption ? marked(caption.text, caption.derived) : "no words";
    const button = make("button", { type: "button", title: text }, make("span", {}, text));
    button.setAttribute("aria-label", `${inSeconds(segment.start_s)} to ${inSeconds(segment.end_s)} seconds: ${text}`);
    button.addEventListener("click", () => this.player.seek(segment.start_s));
    const item = make("li", {}, button);
    item.style.left = `${(100 * segment.start_s) / duration_s}%`;
    item.style.width = `${(100 * Math.min(segment.end_s, duration_s) - 100 * segment.start_s) / duration_s}%`;
    item.style.setProperty("--lane", lane);
    item.style.setProperty("--colour", clusterColour(segment.cluster ?? 0));
    return item;
  }

  mark() {
    const { time_s } = this.player;
    [...this.list.children].forEach((item, i) => {
      const { start_s, end_s } = this.segments[i];
      item.classList.toggle("is-now", time_s >= start_s && time_s < end_s);
    });
  }
}
