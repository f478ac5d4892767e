// A list of clips that were found: a strip of poses, words, and buttons that play or add the clip.

import { inSeconds, make, marked } from "./dom.js";

/** A hit as what a link names; its address says which library it is of. */
export function refOf({ clip_id, start_s, end_s, motion_url }) {
  const isOfLibrary = new URL(motion_url ?? "", location.href).searchParams.get("library") === "true";
  return { clip_id, start_s, end_s, ...(isOfLibrary && { library: true }) };
}

export function showHits(list, hits, app) {
  list.replaceChildren(...hits.map((hit) => item(hit, app)));
}

function item(hit, app) {
  const ref = refOf(hit);
  const words = hit.captions.length ? marked(hit.captions[0], hit.derived[0]) : hit.clip_id;
  const picture = make("span", { className: "strip", "aria-hidden": "true" });
  if (hit.has_motion) loadPicture(picture, ref, app);
  const facts = `${hit.clip_id} · ${inSeconds(hit.start_s)}–${inSeconds(hit.end_s)} s${hit.split ? ` · ${hit.split === "train" ? "learned from" : "not learned from"}` : ""}`;
  const play = make(
    "button",
    { type: "button", className: "hit", disabled: !hit.has_motion },
    picture,
    make("span", { className: "hit-words" }, words),
    make("span", { className: "quiet" }, facts),
    make("span", { className: "score", title: "Cosine similarity" }, hit.score.toFixed(2)),
  );
  play.setAttribute("aria-label", `Play ${words}, ${facts}, score ${hit.score.toFixed(2)}`);
  play.addEventListener("click", () => app.dances.playClips([ref]));
  const add = make("button", { type: "button", className: "add", disabled: !hit.has_motion, title: "Beside what is on the stage" }, "+");
  add.setAttribute("aria-label", `Add ${words} beside what is on the stage`);
  add.addEventListener("click", () => app.dances.addClip(ref));
  const note = hit.has_motion ? null : make("span", { className: "quiet" }, "its motion is not stored here");
  return make("li", {}, play, add, note);
}

async function loadPicture(place, ref, app) {
  try {
    const url = URL.createObjectURL(await app.service.thumbnail(ref));
    const image = make("img", { alt: "", src: url, decoding: "async" });
    image.addEventListener("load", () => URL.revokeObjectURL(url));
    place.append(image);
  } catch {
    place.remove(); // the words alone will do
  }
}
