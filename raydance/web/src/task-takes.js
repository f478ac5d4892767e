// Samples of a task's answer as takes, each with what saves it as a file.

import { inSeconds } from "./dom.js";
import { Motion } from "./motion.js";
import { plain } from "./takes.js";
import { Tracks } from "./tracks.js";

const SEEN = ["motion", "tracks", "mask", "image", "overlay"]; // all other files are signals

/** Kind of answer -> what is shown of one of its samples. */
const SHOWN = {
  motion: (answer, { positions }) => new Motion({ ...answer, positions }),
  tracks: (answer, sample) => new Tracks(answer, sample),
};

/** What the fields of `/v1/convert` change about a file, as tasks take it; undefined for nothing. */
export function changesOf({ start_s, end_s, out_fps, names, in_place, loop }) {
  const numbers = Object.entries({ start_s, end_s, fps: out_fps }).filter(([, text]) => text);
  const changes = { ...Object.fromEntries(numbers.map(([name, text]) => [name, Number(text)])), ...(names && { names }), ...(in_place && { in_place: true }), ...(loop && { loop: true }) };
  return Object.keys(changes).length ? changes : undefined;
}

/** Names of the files that are moved to: a song, other signals. */
const heardIn = (files = {}) => Object.entries(files).flatMap(([name, file]) => (SEEN.includes(name) ? [] : [file.name]));

/** What is said of an answer: its sentence, its song or other signals, its picture. */
export function noteOf({ text, files = {} }) {
  const [seen, heard] = [files.image ?? files.overlay, heardIn(files)];
  return [text, heard.length && `to ${heard.join(" and ")}`, seen && `like ${seen.name}`].filter(Boolean).join(" · ") || "from the start alone";
}

/**
 * A take for each sample.
 *
 * @param asked what was asked for, as `Service.task` takes it: asked again for a file of one sample.
 * @param note what is said of it.
 */
export function takesOf(service, task, answer, asked, note = noteOf(asked)) {
  const num = answer.samples.length;
  return answer.samples.map((data, sample) => {
    const motion = SHOWN[answer.kind](answer, data);
    const stem = `${plain(asked.text || heardIn(asked.files)[0] || "made")}-${asked.options?.seed ?? 0}-${sample + 1}`;
    const save = async (format, fields = {}) => {
      if (format !== "json") {
        const { blob, residual_cm } = await service.taskTo(task, { ...asked, format, sample, file: changesOf(fields) });
        return { blob, residual_cm };
      }
      const file = motion.toFile(stem, asked.text);
      return { blob: file, name: file.name };
    };
    return { kind: "generated", motion, label: num > 1 ? `Sample ${sample + 1}` : "Generated", note, stem, captions: [], save, isWhole: answer.kind !== "motion" };
  });
}

/** What a run's library holds, as it is. */
export function storedTake(answer, id, note) {
  const motion = SHOWN[answer.kind](answer, answer.samples[0]);
  motion.source = "library";
  const save = async () => ({ blob: motion.toFile(plain(id), note) });
  return { kind: "clip", motion, label: "Found", note, stem: plain(id), captions: [note], save, formats: ["json"], isWhole: true };
}

/** How an answer was made, in words: {tempo_bpm?, missed_px?, source?}, beats and milliseconds. */
export function madeInWords({ facts, beats_s = [] }, ms) {
  const said = [`Made in ${inSeconds(ms / 1000)} s.`];
  if (facts.tempo_bpm) said.push(`The song has ${Math.round(facts.tempo_bpm)} beats a minute; ${beats_s.length} are danced to.`);
  if (facts.missed_px !== undefined) said.push(`What was given is met within ${inSeconds(facts.missed_px)} pixels.`);
  return said.join(" ");
}
