// Files that fall onto the page.

import { byId } from "./dom.js";

/** Calls `onFiles(files)`; `words` say over the stage what may be dropped. */
export function attachDrop(onFiles, words) {
  const hint = byId("drop-hint");
  if (words) hint.textContent = words;
  const hasFile = (event) => event.dataTransfer?.types.includes("Files");
  let depth = 0;
  addEventListener("dragenter", (event) => {
    if (hasFile(event)) hint.hidden = ++depth === 0;
  });
  addEventListener("dragleave", (event) => {
    if (hasFile(event)) hint.hidden = --depth <= 0;
  });
  addEventListener("dragover", (event) => {
    if (hasFile(event)) event.preventDefault();
  });
  addEventListener("drop", (event) => {
    if (!hasFile(event)) return;
    event.preventDefault();
    depth = 0;
    hint.hidden = true;
    onFiles([...event.dataTransfer.files]);
  });
}
