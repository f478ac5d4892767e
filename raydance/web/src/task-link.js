// What a run of tasks shows, as the part of the address behind `#`. Files are not in it.

/** {model?, text?, box?: [left, top, right, bottom], options?} -> `#...`. */
export function toTaskHash({ model, text, box, options = {} }) {
  const query = new URLSearchParams();
  if (model) query.set("model", model);
  if (text) query.set("text", text);
  if (box) query.set("box", box.join(","));
  if (Object.keys(options).length) query.set("options", JSON.stringify(options));
  return `#${query}`;
}

/** `#...` -> what it names; what cannot be read is left out, and said in `repaired`. */
export function fromTaskHash(hash) {
  const query = new URLSearchParams(hash.replace(/^#/, ""));
  const state = { model: query.get("model") ?? undefined, text: query.get("text") ?? undefined, options: {}, repaired: [] };
  const box = (query.get("box") ?? "").split(",").map(Number);
  if (box.length === 4 && box.every((value) => Number.isFinite(value) && value >= 0)) state.box = box;
  else if (query.has("box")) state.repaired.push("its box");
  try {
    const options = JSON.parse(query.get("options") ?? "{}");
    if (options && typeof options === "object" && !Array.isArray(options)) state.options = options;
  } catch {
    state.repaired.push("its options");
  }
  return state;
}
