// What the parts of the page ask the service to dance, put on the stage as it comes.

import { announce } from "./dom.js";
import { showAnswer } from "./generate-panel.js";
import { refOf } from "./hits.js";
import { blendTake, clipTake, generatedTake } from "./takes.js";

const NUM_STEPS = 9;
const SIDE_BY_SIDE = [0, 2, 4, 6, 8];
const MOST_TAKES = 9;

export class Dances {
  constructor(app) {
    this.app = app;
  }

  get cast() {
    return this.app.cast;
  }

  generate(form, clips = []) {
    const { service, jobs } = this.app;
    const asked_ms = performance.now();
    const { text, seed, num_samples, seconds, source, steps, guidance, candidates, nearest } = form;
    const steering = this.app.steering.read();
    return jobs.during("Generating", async (isCurrent) => {
      const answer = await service.generate({ text, seed, num_samples, seconds, source, steps, guidance, candidates, steering });
      if (!isCurrent()) return;
      const num = answer.samples.length;
      const takes = answer.samples.map((data, i) => generatedTake(service, data, text, seed, i, num));
      this.cast.show(takes, { ...form, clips: clips.length ? clips : undefined });
      this.asked_ms = asked_ms;
      showAnswer(answer);
      announce(`${num === 1 ? "A dancer dances" : `${num} dancers dance`} “${text}”`);
      await this.addReal(text, nearest, clips, isCurrent);
    });
  }

  /** Beside generated dancers: the nearest clip of the library, and clips that a link names. */
  async addReal(text, nearest, clips, isCurrent) {
    const { service } = this.app;
    const refs = clips.map((ref) => ({ ref, label: "Clip" }));
    if (nearest) {
      const { hits } = await service.searchText({ text, limit: 1 });
      const [hit] = hits;
      if (hit?.has_motion) refs.unshift({ ref: refOf(hit), label: "Nearest clip of the library" });
    }
    const takes = await Promise.all(refs.map(async ({ ref, label }) => clipTake(service, await service.clip(ref), ref, label)));
    if (isCurrent() && takes.length) this.cast.show([...this.cast.takes, ...takes], this.cast.shown, { isAddition: true });
  }

  playClips(refs) {
    const { service, jobs } = this.app;
    return jobs.during("Fetching", async (isCurrent) => {
      const every = await Promise.all(refs.map((ref) => service.clip(ref)));
      if (!isCurrent()) return;
      const takes = every.map((data, i) => clipTake(service, data, refs[i]));
      this.cast.show(takes, { clips: refs });
      announce(`Playing ${takes.map((take) => take.label).join(", ")}`);
    });
  }

  addClip(ref) {
    const { service, jobs } = this.app;
    if (this.cast.takes.length >= MOST_TAKES) return jobs.fail(new Error(`There are ${MOST_TAKES} dancers on the stage, which is as many as it takes.`));
    return jobs.during("Fetching", async (isCurrent) => {
      const data = await service.clip(ref);
      if (!isCurrent()) return;
      const take = clipTake(service, data, ref);
      const { takes, shown } = this.cast;
      this.cast.show([...takes, take], { ...shown, clips: [...(shown.clips ?? []), ref] }, { isAddition: true });
      announce(`Added ${take.label}`);
    });
  }

  blend(start, end, share = 0.5, side_by_side = false) {
    const { service, jobs } = this.app;
    return jobs.during("Dancing between", async (isCurrent) => {
      const answer = await service.interpolate({ start, end, steps: NUM_STEPS });
      if (!isCurrent()) return;
      this.steps = answer.samples.map((data, i) => blendTake(service, data, i));
      this.showSteps({ start, end, share, side_by_side });
    });
  }

  showSteps(shown, keeps = {}) {
    const one = this.steps.reduce((best, step) => (Math.abs(step.share - shown.share) < Math.abs(best.share - shown.share) ? step : best));
    const takes = shown.side_by_side ? SIDE_BY_SIDE.map((i) => this.steps[i]).filter(Boolean) : [one];
    this.cast.show(takes, { ...shown, share: one.share }, keeps);
    announce(shown.side_by_side ? "Five steps from the first clip to the second" : `${one.label} ${one.note}`);
  }

  setShare(share) {
    const { shown } = this.cast;
    if (shown.start) this.showSteps({ ...shown, share }, { isAddition: true, keepsView: true });
  }

  setSideBySide(side_by_side) {
    const { shown } = this.cast;
    if (shown.start) this.showSteps({ ...shown, side_by_side }, { isAddition: true });
  }

  /** Takes the time from a question to the first picture of the answer in motion. */
  noteDrawn() {
    const { player } = this.app;
    if (this.asked_ms !== undefined && player.isPlaying && player.time_s > 0) {
      this.first_frame_ms = performance.now() - this.asked_ms;
      this.asked_ms = undefined;
    }
  }
}
