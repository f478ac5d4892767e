// Views side by side on one canvas.

/** Where each of so many views is on a canvas, as large as they can be: pixels from its top left. */
export function gridOf(num, width, height) {
  let columns = 1;
  for (let best = 0, n = 1; n <= num; n++) {
    const size = Math.min(width / n, height / Math.ceil(num / n) / 1.25);
    if (size > best) [best, columns] = [size, n];
  }
  const rows = Math.ceil(num / columns);
  return Array.from({ length: num }, (_, i) => ({
    x: ((i % columns) * width) / columns,
    y: (Math.floor(i / columns) * height) / rows,
    width: width / columns,
    height: height / rows,
  }));
}

/** A picture of [width, height] in the middle of a view, as large as it can be: its place and scale. */
export function fitInto(view, [width, height]) {
  const scale = Math.max(0, Math.min(view.width / width, view.height / height));
  return { x: view.x + (view.width - scale * width) / 2, y: view.y + (view.height - scale * height) / 2, scale };
}
