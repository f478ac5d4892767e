// The bar below the stage, and the keys of the whole page.

import { byId, inSeconds, make, setPressed } from "./dom.js";
import { SPEEDS } from "./player.js";

export function attachTransport(player, stage) {
  const scrub = byId("scrub");
  const play = byId("play");
  const speed = byId("speed");
  const loop = byId("loop");
  speed.append(...SPEEDS.map((value) => make("option", { value: String(value) }, `${value}×`)));

  player.addEventListener("tick", () => {
    scrub.value = String(player.time_s);
    scrub.style.setProperty("--share", player.duration_s ? player.time_s / player.duration_s : 0);
    byId("clock").textContent = `${inSeconds(player.time_s)} / ${inSeconds(player.duration_s)} s`;
    scrub.setAttribute("aria-valuetext", `${inSeconds(player.time_s)} of ${inSeconds(player.duration_s)} seconds`);
    stage.moveTo(player.time_s);
  });
  player.addEventListener("change", () => {
    scrub.max = String(player.duration_s || 1);
    scrub.step = String(1 / (player.fps * 4));
    scrub.disabled = play.disabled = player.duration_s === 0;
    play.setAttribute("aria-label", player.isPlaying ? "Pause" : "Play");
    play.classList.toggle("is-on", player.isPlaying);
    speed.value = String(player.speed);
    const share = (time_s) => (player.duration_s ? time_s / player.duration_s : 0);
    scrub.style.setProperty("--in", share(player.in_s ?? 0));
    scrub.style.setProperty("--out", player.out_s === undefined ? 1 : share(player.out_s));
    const isPart = player.in_s !== undefined || player.out_s !== undefined;
    scrub.classList.toggle("is-part", isPart);
    byId("mark-none").hidden = !isPart;
    setPressed(byId("mark-in"), player.in_s !== undefined);
    setPressed(byId("mark-out"), player.out_s !== undefined);
    setPressed(loop, player.isLooping);
    if (stage.isRunning !== player.isPlaying) stage.setRunning(player.isPlaying);
  });
  play.addEventListener("click", () => player.toggle());
  byId("mark-in").addEventListener("click", () => player.mark("in_s"));
  byId("mark-out").addEventListener("click", () => player.mark("out_s"));
  byId("mark-none").addEventListener("click", () => player.unmark());
  loop.addEventListener("click", () => player.setLooping(!player.isLooping));
  speed.addEventListener("change", () => player.setSpeed(Number(speed.value)));
  scrub.addEventListener("input", () => {
    const time_s = Number(scrub.value);
    player.pause();
    player.seek(time_s);
  });
  player.changed();
}

const isTyping = (target) => target.closest("input:not([type=range], [type=checkbox]), select, textarea, dialog, [role=menu]");
const hasOwnArrows = (target) => target.closest("input[type=range], [role=tab], [role=application]");
const hasOwnSpace = (target) => target.closest("button, summary, input, a, label");

/** Space, arrows, [ and ], and on the stage Shift with arrows, + and -. */
export function attachKeys(player, stage, more) {
  document.addEventListener("keydown", (event) => {
    const { target, key } = event;
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(target)) return;
    const turn = 0.12;
    const turns = { ArrowLeft: { yaw: -turn }, ArrowRight: { yaw: turn }, ArrowUp: { pitch: turn }, ArrowDown: { pitch: -turn } };
    const actions = {
      "[": () => player.shiftSpeed(-1),
      "]": () => player.shiftSpeed(1),
      i: () => player.mark("in_s"),
      o: () => player.mark("out_s"),
      x: () => player.unmark(),
      "+": () => stage.nudge({ zoom: 1.15 }),
      "-": () => stage.nudge({ zoom: 1 / 1.15 }),
      ...more,
    };
    if (!hasOwnSpace(target)) actions[" "] = () => player.toggle();
    if (!hasOwnArrows(target)) {
      if (event.shiftKey && turns[key]) actions[key] = () => stage.nudge(turns[key]);
      else if (key === "ArrowLeft") actions[key] = () => player.step(-1);
      else if (key === "ArrowRight") actions[key] = () => player.step(1);
    }
    const action = actions[key] ?? actions[key.toLowerCase()];
    if (!action) return;
    event.preventDefault();
    action();
  });
}
