// The clock that all dancers share.

import { clamp } from "./dom.js";

export const SPEEDS = [0.1, 0.25, 0.5, 0.75, 1, 1.5, 2];

/** Fires `tick` when the time changes and `change` when anything else does. */
export class Player extends EventTarget {
  time_s = 0;
  duration_s = 0;
  fps = 20;
  speed = 1;
  isLooping = true;
  isPlaying = false;

  load(duration_s, fps) {
    this.duration_s = duration_s;
    this.fps = fps;
    this.time_s = clamp(this.time_s, 0, duration_s);
    this.changed();
    this.seek(this.time_s);
  }

  /** Moves on by seconds of the viewer's time. */
  advance(elapsed_s) {
    if (!this.isPlaying || this.duration_s === 0) return;
    let time_s = this.time_s + elapsed_s * this.speed;
    if (time_s >= this.duration_s) {
      if (this.isLooping) time_s %= this.duration_s;
      else {
        time_s = this.duration_s;
        this.pause();
      }
    }
    this.seek(time_s);
  }

  seek(time_s) {
    this.time_s = clamp(time_s, 0, this.duration_s);
    this.dispatchEvent(new Event("tick"));
  }

  /** One frame forward or back, standing still. */
  step(num_frames) {
    this.pause();
    this.seek((Math.round(this.time_s * this.fps) + num_frames) / this.fps);
  }

  play() {
    if (this.time_s >= this.duration_s) this.seek(0);
    this.isPlaying = true;
    this.changed();
  }

  pause() {
    this.isPlaying = false;
    this.changed();
  }

  toggle() {
    if (this.isPlaying) this.pause();
    else this.play();
  }

  setSpeed(speed) {
    this.speed = speed;
    this.changed();
  }

  /** The next slower (-1) or faster (1) speed. */
  shiftSpeed(by) {
    const place = SPEEDS.findIndex((speed) => speed >= this.speed - 1e-6);
    this.setSpeed(SPEEDS[clamp(place + by, 0, SPEEDS.length - 1)]);
  }

  setLooping(isLooping) {
    this.isLooping = isLooping;
    this.changed();
  }

  changed() {
    this.dispatchEvent(new Event("change"));
  }
}
