// What is shown, as the part of the address behind `#`: a link reproduces it. Names are short but
// readable, and what is as usual is left out.

import { SPEEDS } from "./player.js";

/** {clip_id, start_s?, end_s?, library?} -> `id@0-2.5`, with a `@l` where it lies in the library. */
export function refToText({ clip_id, start_s, end_s, library }) {
  return `${clip_id}@${start_s ?? ""}-${end_s ?? ""}${library ? "@l" : ""}`;
}

export function refFromText(text) {
  const parts = /^(.+)@([\d.]*)-([\d.]*)(@l)?$/.exec(text);
  if (!parts) return { clip_id: text };
  const [, clip_id, start, end, library] = parts;
  const ref = { clip_id };
  if (Number.isFinite(Number(start || NaN))) ref.start_s = Number(start);
  if (Number(end) > (ref.start_s ?? 0)) ref.end_s = Number(end);
  if (library) ref.library = true;
  return ref;
}

/** A number of a range; one outside of it is brought to its end, so that a link never asks for what is refused; see `repairs`. */
const between = (low, high, isWhole = false) => ({
  write: String,
  read: (text) => {
    const value = text.trim() === "" ? NaN : Number(text);
    if (!Number.isFinite(value)) return undefined;
    const kept = Math.min(Math.max(value, low), high);
    return isWhole ? Math.round(kept) : kept;
  },
});
const whole = (low, high) => between(low, high, true);
const oneOf = (...words) => ({ write: String, read: (text) => (words.includes(text) ? text : undefined) });
const word = { write: String, read: String };
const MOST_SEED = 2 ** 31 - 1;
const nearestOf = (values) => ({
  write: String,
  read: (text) => {
    const value = Number(text);
    if (text.trim() === "" || !Number.isFinite(value)) return undefined;
    return values.reduce((best, one) => (Math.abs(one - value) < Math.abs(best - value) ? one : best));
  },
});
const flag = { write: (value) => (value ? "1" : "0"), read: (text) => text === "1" };
const ref = { write: refToText, read: refFromText };
const camera = {
  write: ({ yaw, pitch, zoom }) => [yaw, pitch, zoom].map((value) => value.toFixed(3)).join(","),
  read: (text) => {
    const [yaw, pitch, zoom] = text.split(",").map(Number);
    if (![yaw, pitch, zoom].every(Number.isFinite)) return undefined;
    return { yaw, pitch: Math.min(Math.max(pitch, -0.05), 1.5), zoom: Math.min(Math.max(zoom, 0.2), 8) };
  },
};

/** Key -> [name in the link, how it is written, the usual value]. */
const FIELDS = {
  text: ["text", word],
  seed: ["seed", whole(0, MOST_SEED), 0],
  num_samples: ["n", whole(1, 8), 1],
  seconds: ["seconds", between(0.1, 60)],
  source: ["from", oneOf("flow", "prior", "cluster", "nearest")],
  steps: ["steps", whole(1, 100)],
  guidance: ["guidance", between(0, 10)],
  candidates: ["candidates", whole(1, 32)],
  nearest: ["nearest", flag, true],
  start: ["a", ref],
  end: ["b", ref],
  share: ["share", between(0, 1)],
  side_by_side: ["side", flag, false],
  model: ["model", word],
  tab: ["tab", oneOf("generate", "search", "describe", "map"), "generate"],
  query: ["q", word],
  like: ["like", whole(0, 8)],
  in_library: ["library", flag, false],
  layout: ["view", oneOf("auto", "split", "together"), "auto"],
  look: ["look", oneOf("follow", "front", "side", "free"), "follow"],
  speed: ["speed", nearestOf(SPEEDS), 1],
  trails: ["trails", flag, false],
  ghosts: ["ghosts", flag, false],
  skeleton: ["bones", flag, false],
  loop: ["loop", flag, true],
  time_s: ["t", between(0, 86400)],
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

/** What of `#text=...` is not shown as it is written, in words. */
export function repairs(hash) {
  const query = new URLSearchParams(hash.replace(/^#/, ""));
  const said = [];
  for (const [name, kind] of Object.values(FIELDS)) {
    const text = query.get(name);
    if (text === null) continue;
    const value = kind.read(text);
    if (value === undefined) said.push(`${name}=${text.slice(0, 20)} is left out`);
    else if (typeof value === "number" && value !== Number(text)) said.push(`${name} is ${value} in place of ${text.slice(0, 20)}`);
  }
  return said;
}
