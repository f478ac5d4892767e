// What is shown, as the part of the address behind `#`: a link reproduces it. Names are short but
// readable, and what is as usual is left out.

/** {clip_id, start_s?, end_s?, library?} -> `id@0-2.5`, with a `@l` where it lies in the library. */
export function refToText({ clip_id, start_s, end_s, library }) {
  return `${clip_id}@${start_s ?? ""}-${end_s ?? ""}${library ? "@l" : ""}`;
}

export function refFromText(text) {
  const parts = /^(.+)@([\d.]*)-([\d.]*)(@l)?$/.exec(text);
  if (!parts) return { clip_id: text };
  const [, clip_id, start, end, library] = parts;
  const ref = { clip_id };
  if (start) ref.start_s = Number(start);
  if (end) ref.end_s = Number(end);
  if (library) ref.library = true;
  return ref;
}

const number = { write: String, read: (text) => (Number.isFinite(Number(text)) ? Number(text) : undefined) };
const word = { write: String, read: String };
const flag = { write: (value) => (value ? "1" : "0"), read: (text) => text === "1" };
const ref = { write: refToText, read: refFromText };
const camera = {
  write: ({ yaw, pitch, zoom }) => [yaw, pitch, zoom].map((value) => value.toFixed(3)).join(","),
  read: (text) => {
    const [yaw, pitch, zoom] = text.split(",").map(Number);
    return [yaw, pitch, zoom].every(Number.isFinite) && zoom > 0 ? { yaw, pitch, zoom } : undefined;
  },
};

/** Key -> [name in the link, how it is written, the usual value]. */
const FIELDS = {
  text: ["text", word],
  seed: ["seed", number, 0],
  num_samples: ["n", number, 1],
  seconds: ["seconds", number],
  source: ["from", word],
  steps: ["steps", number],
  guidance: ["guidance", number],
  candidates: ["candidates", number],
  nearest: ["nearest", flag, true],
  start: ["a", ref],
  end: ["b", ref],
  share: ["share", number],
  side_by_side: ["side", flag, false],
  model: ["model", word],
  tab: ["tab", word, "generate"],
  query: ["q", word],
  like: ["like", number],
  in_library: ["library", flag, false],
  layout: ["view", word, "auto"],
  look: ["look", word, "follow"],
  speed: ["speed", number, 1],
  trails: ["trails", flag, false],
  loop: ["loop", flag, true],
  time_s: ["t", number],
  camera: ["camera", camera],
};

/** A state -> `#text=...`. */
export function toHash(state) {
  const query = new URLSearchParams();
  for (const clip of state.clips ?? []) query.append("clip", refToText(clip));
  for (const [key, [name, kind, usual]] of Object.entries(FIELDS)) {
    const value = state[key];
    if (value !== undefined && value !== null && value !== usual && value !== "") query.set(name, kind.write(value));
  }
  return `#${query}`;
}

/** `#text=...` -> a state; what it does not name has its usual value. */
export function fromHash(hash) {
  const query = new URLSearchParams(hash.replace(/^#/, ""));
  const state = {};
  for (const [key, [name, kind, usual]] of Object.entries(FIELDS)) {
    const text = query.get(name);
    state[key] = (text === null ? undefined : kind.read(text)) ?? usual;
  }
  const clips = query.getAll("clip").map(refFromText);
  if (clips.length) state.clips = clips;
  return state;
}
