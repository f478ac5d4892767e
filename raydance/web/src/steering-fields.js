// What a generated motion is to keep to: poses and a clip taken from the stage, a loop, and further
// sentences in time. Poses and clips are too large for a link, so a link does not hold them.

import { announce, byId, inSeconds, make } from "./dom.js";

/** How much of a clip's end is sent to be continued: the service reads half a second. */
const END_S = 1;
const MOST_POSES = 20;
const MOST_SENTENCES = 20;

/** Frames of a motion as the service reads them. */
function inline(motion, times_s) {
  const positions = times_s.map((time_s) => {
    const pose = motion.poseAt(time_s, new Float32Array(motion.num_joints * 3));
    return Array.from({ length: motion.num_joints }, (_, joint) => Array.from(pose.subarray(3 * joint, 3 * joint + 3)));
  });
  return { fps: motion.fps, joints: motion.joints, parents: motion.parents, positions };
}

export class SteeringFields {
  constructor(app) {
    this.app = app;
    this.after = null; // {label, clip}
    byId("add-pose").addEventListener("click", () => this.withTake((take) => this.addPose(take)));
    byId("add-sentence").addEventListener("click", () => this.addSentence());
    byId("continue-after").addEventListener("click", () => (this.after ? this.setAfter(null) : this.withTake((take) => this.continueAfter(take))));
  }

  withTake(use) {
    const take = this.app.cast.chosen;
    if (take) use(take);
    else this.app.jobs.fail(new Error("There is no dancer on the stage yet."));
  }

  /** The chosen dancer's pose at the playhead becomes a pose of the next motion, at that time. */
  addPose(take) {
    const list = byId("poses");
    if (list.children.length >= MOST_POSES) return this.app.jobs.fail(new Error(`At most ${MOST_POSES} poses.`));
    const time_s = Math.min(this.app.player.time_s, take.motion.duration_s);
    const from = `${take.label}, ${inSeconds(time_s)} s`;
    const at = make("input", { type: "number", min: "0", step: "0.05", value: time_s.toFixed(2), "aria-label": `Time of the pose from ${from}, in seconds` });
    const item = this.row(at, make("span", {}, from), `Remove the pose from ${from}`);
    item.clip = inline(take.motion, [time_s]);
    list.append(item);
    announce(`Pose of ${from} added`);
  }

  addSentence() {
    const list = byId("sentences");
    if (list.children.length >= MOST_SENTENCES) return this.app.jobs.fail(new Error(`At most ${MOST_SENTENCES} sentences.`));
    const at = make("input", { type: "number", min: "0.25", step: "0.25", value: String(2 * (list.children.length + 1)), "aria-label": "Begins at, in seconds" });
    const text = make("input", { type: "text", placeholder: "what then happens", "aria-label": "Sentence from then on" });
    list.append(this.row(at, text, "Remove this sentence"));
    text.focus();
  }

  row(at, what, removal) {
    const remove = make("button", { type: "button", className: "icon", "aria-label": removal }, "×");
    const item = make("li", {}, at, make("span", { className: "quiet" }, "s"), what, remove);
    remove.addEventListener("click", () => item.remove());
    return item;
  }

  continueAfter(take) {
    const { fps, num_frames } = take.motion;
    const first = Math.max(0, num_frames - Math.round(END_S * fps));
    const times_s = Array.from({ length: num_frames - first }, (_, i) => (first + i) / fps);
    this.setAfter({ label: `${take.label}: ${take.note}`, clip: inline(take.motion, times_s) });
  }

  setAfter(after) {
    this.after = after;
    byId("continue-after").setAttribute("aria-pressed", String(Boolean(after)));
    byId("continued").textContent = after ? `Goes on from ${after.label}` : "";
  }

  /** What the service is asked to keep to; undefined where that is nothing. */
  read() {
    const poses = [...byId("poses").children];
    const sentences = [...byId("sentences").children].map((item) => {
      const [at, text] = item.querySelectorAll("input");
      return { begins_s: Number(at.value), text: text.value.trim() };
    });
    const steering = {
      keyframes: poses.map((item) => ({ time_s: Number(item.querySelector("input").value), clip: item.clip })),
      timeline: sentences.filter(({ text }) => text).sort((a, b) => a.begins_s - b.begins_s),
      loop: byId("closes").checked,
      after: this.after?.clip,
    };
    const isWanted = steering.keyframes.length || steering.timeline.length || steering.loop || steering.after;
    return isWanted ? steering : undefined;
  }
}

/** How well a motion keeps to what was wanted, in words. */
export function keptInWords(constraints = []) {
  if (!constraints.length) return "";
  const furthest = Math.max(...constraints.map(({ residual_cm }) => residual_cm));
  const moved = Math.max(...constraints.map(({ settled_cm }) => settled_cm ?? 0));
  const corrected = moved >= 1 ? `, after a correction of ${Math.round(moved)} cm` : "";
  return ` It keeps to what was wanted within ${furthest.toFixed(1)} cm${corrected}.`;
}
