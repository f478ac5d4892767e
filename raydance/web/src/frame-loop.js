// Pictures that are drawn only when something has changed, or all the time while it runs.

/** Base of the viewers; they have `draw()`, which ends with `noteDrawn()`. */
export class FrameLoop {
  isRunning = false;
  num_drawn = 0;

  /** @param onFrame (elapsed_s) called before every frame while `isRunning`; @param onDrawn after. */
  constructor(onFrame, onDrawn) {
    this.onFrame = onFrame;
    this.onDrawn = onDrawn;
  }

  setRunning(isRunning) {
    this.isRunning = isRunning;
    this.last_ms = undefined;
    this.invalidate();
  }

  invalidate() {
    this.isDue = true;
    this.request ??= requestAnimationFrame((now_ms) => this.loop(now_ms));
  }

  loop(now_ms) {
    this.request = undefined;
    this.isDue = false;
    const elapsed_ms = this.last_ms === undefined ? 0 : now_ms - this.last_ms;
    this.last_ms = now_ms;
    if (this.isRunning) this.onFrame(Math.min(elapsed_ms, 250) / 1000);
    this.beforeDraw(elapsed_ms);
    this.draw();
    if (this.isRunning || this.isDue) this.invalidate();
    else this.last_ms = undefined;
  }

  beforeDraw() {}

  noteDrawn() {
    this.num_drawn++;
    this.onDrawn();
  }
}
