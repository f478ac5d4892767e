// A take is one dancer on the stage: motion, the words beside it, and how to save it as a file.

import { inSeconds } from "./dom.js";
import { Motion } from "./motion.js";
import { motionFile } from "./npz.js";

export const plain = (text) => text.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "").slice(0, 40) || "motion";

/**
 * Saves the motion as it is seen: the service turns the page's own `.npz` into other formats.
 * `changes` are fields of `/v1/convert`, such as `out_fps`.
 */
function saveShown(service, motion, stem) {
  return async (format, changes = {}) => {
    const file = motionFile(motion, stem);
    const isAsShown = Object.keys(changes).length === 0;
    return format === "npz" && isAsShown ? { blob: file, name: file.name } : service.convertTo(file, format, changes);
  };
}

function take(kind, data, label, note, stem, more = {}) {
  return { kind, motion: new Motion(data), label, note, stem, captions: [], ...more };
}

export function generatedTake(service, data, text, seed, index, num) {
  const made = take("generated", data, num > 1 ? `Sample ${index + 1}` : "Generated", text, `${plain(text)}-${seed}-${index + 1}`);
  made.save = saveShown(service, made.motion, made.stem);
  return made;
}

export function blendTake(service, data, index) {
  const percent = Math.round(100 * data.share);
  const label = `${percent} %`;
  const made = take("blend", data, label, percent === 0 ? "first clip" : percent === 100 ? "second clip" : "between", `between-${percent}`, { share: data.share, index });
  made.save = saveShown(service, made.motion, made.stem);
  return made;
}

/** A clip, called by the words first written about it where nothing else is said. */
export function clipTake(service, data, ref, label = data.captions?.[0] ?? "Clip") {
  const part = ref.start_s === undefined ? "" : ` · ${inSeconds(ref.start_s)}${ref.end_s === undefined ? " s on" : `–${inSeconds(ref.end_s)} s`}`;
  const made = take("clip", data, label, `${ref.clip_id}${part}`, plain(ref.clip_id), { ref, captions: data.captions ?? [] });
  const saveChanged = saveShown(service, made.motion, made.stem);
  made.save = (format, changes = {}) => (Object.keys(changes).length ? saveChanged(format, changes) : service.clipTo(ref, format));
  return made;
}

export function fileTake(service, data, file, fields) {
  const made = take("file", data, "File", file.name, plain(file.name.replace(/\.\w+$/, "")), { file, fields });
  made.save = (format, changes = {}) => service.convertTo(file, format, { ...fields, ...changes });
  return made;
}

/** What the service is to look for: the file itself, or the motion as it is seen. */
export function fileOf(made) {
  return made.file ?? motionFile(made.motion, made.stem);
}
