// The tool panel of a run of tasks: a tab for each task, made from what `/v1/models` lists.

import { make } from "./dom.js";

const titleOf = (name) => name[0].toUpperCase() + name.slice(1);

/** Fills the tool panel with a tab for each [name, elements]. */
export function fillPanel(panel, tabs) {
  const list = make(
    "div",
    { className: "tabs", role: "tablist", "aria-label": "Tools", hidden: tabs.length < 2 },
    ...tabs.map(([name]) => make("button", { role: "tab", type: "button", id: `tab-${name}`, "aria-controls": `panel-${name}` }, titleOf(name))),
  );
  const panels = tabs.map(([name, elements]) => make("div", { id: `panel-${name}`, className: "tab-panel", role: "tabpanel", "aria-labelledby": `tab-${name}`, tabIndex: -1 }, ...elements));
  panel.replaceChildren(list, ...panels);
}

/** The field for a song: {element, set(file or null)}; `onSong(file or null)` where the reader chooses one. */
export function songField(suffixes, most_bytes, onSong) {
  const input = make("input", { id: "song-file", type: "file", accept: suffixes.join(",") });
  const name = make("strong", { id: "song-name" });
  const remove = make("button", { id: "song-remove", type: "button", hidden: true }, "Without a song");
  const field = {
    set(file) {
      name.textContent = file ? file.name : "Drop a song anywhere";
      remove.hidden = !file;
    },
  };
  input.addEventListener("change", () => {
    if (input.files[0]) onSong(input.files[0]);
    input.value = "";
  });
  remove.addEventListener("click", () => onSong(null));
  const limits = `${suffixes.join(", ")}, up to ${Math.round(most_bytes / 2 ** 20)} MB`;
  const drop = make("label", { className: "file-drop", htmlFor: input.id }, name, make("span", {}, "or choose one"), input, make("small", {}, limits));
  field.element = make("section", { className: "song" }, drop, remove);
  field.set(null);
  return field;
}

/** Sentences to try, as buttons. */
export function exampleChips(sentences, onChoose) {
  return make(
    "ul",
    { id: "examples", className: "chips" },
    ...sentences.map((text) => {
      const button = make("button", { type: "button" }, text);
      button.addEventListener("click", () => onChoose(text));
      return make("li", {}, button);
    }),
  );
}
