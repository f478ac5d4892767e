// How many pixels are drawn for each of the screen's: fewer where the machine is slow, because smooth
// motion matters more than sharp edges, and more again once it keeps up.

const SLOW_MS = 36;
const STEADY_MS = 34; // a screen of 30 Hz is steady
const SLOW_PATIENCE_MS = 1200;
const STEADY_PATIENCE_MS = 4000;
const MOST_PATIENCE_MS = 64_000;
const LONGEST_MS = 150; // of a frame as it counts: a tab that was away tells nothing of the machine
const LEAST = 0.6;
const STEP = 0.75;

export class Sharpness {
  /** @param sharpest pixels drawn for each of the page's, as many as are worth it. */
  constructor(sharpest) {
    this.sharpest = sharpest;
    this.ratio = sharpest;
    this.frame_ms = 16;
    this.slow_ms = 0;
    this.steady_ms = 0;
    this.patience_ms = STEADY_PATIENCE_MS;
  }

  /** Takes the time since the last frame; true where the ratio changed. */
  note(elapsed_ms) {
    const ms = Math.min(elapsed_ms, LONGEST_MS);
    this.frame_ms += 0.15 * (ms - this.frame_ms);
    this.slow_ms = this.frame_ms > SLOW_MS ? this.slow_ms + ms : 0;
    this.steady_ms = this.frame_ms < STEADY_MS ? this.steady_ms + ms : 0;
    if (this.slow_ms >= SLOW_PATIENCE_MS && this.ratio > LEAST) {
      // Slow again after it was raised: the next try waits longer.
      if (this.wasRaised) this.patience_ms = Math.min(2 * this.patience_ms, MOST_PATIENCE_MS);
      this.wasRaised = false;
      return this.change(Math.max(LEAST, this.ratio * STEP));
    }
    if (this.steady_ms >= this.patience_ms && this.ratio < this.sharpest) {
      this.wasRaised = true;
      return this.change(Math.min(this.sharpest, this.ratio / STEP));
    }
    return false;
  }

  change(ratio) {
    this.ratio = ratio;
    this.slow_ms = this.steady_ms = 0;
    return true;
  }
}
