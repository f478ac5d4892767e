// The clock that all dancers share.

import { clamp } from "./dom.js";

export const SPEEDS = [0.1, 0.25, 0.5, 0.75, 1, 1.5, 2];

/**
 * Fires `tick` when the time changes, `seek` where it does so at once instead of in playing, and
 * `change` when anything else does. A `leader` such as a song says the time while it plays:
 * {timeAfter(time_s, elapsed_s)}.
 */
export class Player extends EventTarget {
  time_s = 0;
  duration_s = 0;
  fps = 20;
  speed = 1;
  isLooping = true;
  isPlaying = false;
  in_s = undefined; // the part that is played and downloaded: all where undefined
  out_s = undefined;
  leader = undefined;

  load(duration_s, fps) {
    if (duration_s !== this.duration_s) this.in_s = this.out_s = undefined;
    this.duration_s = duration_s;
    this.fps = fps;
    this.time_s = clamp(this.time_s, 0, duration_s);
    this.changed();
    this.seek(this.time_s);
  }

  /** Moves on by seconds of the viewer's time. */
  advance(elapsed_s) {
    if (!this.isPlaying || this.duration_s === 0) return;
    let time_s = this.leader?.timeAfter(this.time_s, elapsed_s * this.speed) ?? this.time_s + elapsed_s * this.speed;
    const [first_s, last_s] = [this.in_s ?? 0, this.out_s ?? this.duration_s];
    // Behind the part, where the viewer has gone by hand, it goes on to the end.
    const end_s = this.time_s > last_s ? this.duration_s : last_s;
    if (time_s < end_s) return this.moveTo(time_s);
    if (this.isLooping) time_s = first_s + ((time_s - end_s) % Math.max(last_s - first_s, 1e-3));
    else {
      time_s = end_s;
      this.pause();
    }
    this.seek(time_s);
  }

  /** Makes the time the first or the last of the part that is played and downloaded. */
  mark(name) {
    const other = name === "in_s" ? "out_s" : "in_s";
    this[name] = this.time_s;
    const isEmpty = (this.out_s ?? this.duration_s) - (this.in_s ?? 0) < 1 / this.fps;
    if (isEmpty) this[other] = undefined;
    // A part that is all, or (the other end being here too) nothing, is no part.
    if (this.in_s !== undefined && this.in_s < 1e-3) this.in_s = undefined;
    if (this.out_s !== undefined && this.duration_s - this.out_s < 1e-3) this.out_s = undefined;
    this.changed();
  }

  unmark() {
    this.in_s = this.out_s = undefined;
    this.changed();
  }

  seek(time_s) {
    this.time_s = clamp(time_s, 0, this.duration_s);
    this.dispatchEvent(new Event("seek")); // first, so that the leader is there when it is shown
    this.dispatchEvent(new Event("tick"));
  }

  moveTo(time_s) {
    this.time_s = clamp(time_s, 0, this.duration_s);
    this.dispatchEvent(new Event("tick"));
  }

  /** One frame forward or back, standing still. */
  step(num_frames) {
    this.pause();
    this.seek((Math.round(this.time_s * this.fps) + num_frames) / this.fps);
  }

  play() {
    if (this.time_s >= (this.out_s ?? this.duration_s)) this.seek(this.in_s ?? 0);
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
