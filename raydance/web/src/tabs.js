// The tabs of the tool panel, with arrow keys.

import { byId } from "./dom.js";

const USUAL = ["generate", "search", "describe", "map"];

/** @param onChange (name); @param names of the tabs `tab-NAME` and their panels `panel-NAME`. */
export function attachTabs(onChange, names = USUAL) {
  const buttons = names.map((name) => byId(`tab-${name}`));
  let current = names[0];
  const choose = (name) => {
    if (!names.includes(name)) name = names[0];
    current = name;
    names.forEach((other, i) => {
      const isChosen = other === name;
      buttons[i].setAttribute("aria-selected", String(isChosen));
      buttons[i].tabIndex = isChosen ? 0 : -1;
      byId(`panel-${other}`).hidden = !isChosen;
    });
    onChange(name);
  };
  buttons.forEach((button, i) => {
    button.addEventListener("click", () => choose(names[i]));
    button.addEventListener("keydown", (event) => {
      const moves = { ArrowRight: i + 1, ArrowLeft: i - 1, Home: 0, End: names.length - 1 };
      if (!(event.key in moves)) return;
      event.preventDefault();
      const next = (moves[event.key] + names.length) % names.length;
      buttons[next].focus();
      choose(names[next]);
    });
  });
  return { choose, current: () => current };
}
