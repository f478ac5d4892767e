// Elements by id, and elements made from data. Text is always set as text, never as HTML.

export const byId = (id) => document.getElementById(id);

/** An element with properties, `data-*`/ARIA attributes and children (elements or text). */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (name.includes("-") || name === "role") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Says something to screen readers without moving the focus. */
export function announce(text) {
  byId("live").textContent = text;
}

export const setPressed = (button, isPressed) => button.setAttribute("aria-pressed", String(isPressed));

export const isReducedMotion = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/** Seconds as a viewer reads them: 2.5 -> "2.5". */
export const inSeconds = (seconds) => seconds.toFixed(1);

/** Words as they are shown: those that no person wrote say so. */
export const marked = (words, isDerived) => (isDerived ? `${words} (derived)` : words);

export const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
