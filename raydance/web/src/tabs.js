// The tabs of the tool panel, with arrow keys.

import { byId } from "./dom.js";

export const TABS = ["generate", "search", "describe", "map"];

export function attachTabs(onChange) {
  const buttons = TABS.map((name) => byId(`tab-${name}`));
  let current = TABS[0];
  const choose = (name) => {
    if (!TABS.includes(name)) name = TABS[0];
    current = name;
    TABS.forEach((other, i) => {
      const isChosen = other === name;
      buttons[i].setAttribute("aria-selected", String(isChosen));
      buttons[i].tabIndex = isChosen ? 0 : -1;
      byId(`panel-${other}`).hidden = !isChosen;
    });
    onChange(name);
  };
  buttons.forEach((button, i) => {
    button.addEventListener("click", () => choose(TABS[i]));
    button.addEventListener("keydown", (event) => {
      const moves = { ArrowRight: i + 1, ArrowLeft: i - 1, Home: 0, End: TABS.length - 1 };
      if (!(event.key in moves)) return;
      event.preventDefault();
      const next = (moves[event.key] + TABS.length) % TABS.length;
      buttons[next].focus();
      choose(TABS[next]);
    });
  });
  return { choose, current: () => current };
}
