// A box of pixels in a frame: [left, top, right, bottom].

import { clamp } from "./dom.js";

const SMALLEST_PX = 2;

/** The box between two corners [x, y], whole pixels inside a frame of [width, height]. */
export function boxBetween(one, other, [width, height]) {
  const span = (a, b, most) => {
    let low = clamp(Math.round(Math.min(a, b)), 0, most);
    let high = clamp(Math.round(Math.max(a, b)), 0, most);
    if (high - low < SMALLEST_PX) {
      low = clamp(low, 0, most - SMALLEST_PX);
      high = low + SMALLEST_PX;
    }
    return [low, high];
  };
  const [left, right] = span(one[0], other[0], width);
  const [top, bottom] = span(one[1], other[1], height);
  return [left, top, right, bottom];
}

/** A box where it is in another frame: the same shares of width and height. */
export function boxIn(box, from, to) {
  const [left, top, right, bottom] = box.map((value, i) => (value * to[i % 2]) / from[i % 2]);
  return boxBetween([left, top], [right, bottom], to);
}

/** The middle quarter of a frame. */
export function middleBox([width, height]) {
  return boxBetween([0.375 * width, 0.375 * height], [0.625 * width, 0.625 * height], [width, height]);
}
