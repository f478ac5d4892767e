// Light or dark: the system's choice until the reader makes one. The page's colours are CSS
// (`light-dark()`); the stage's are here, because WebGL cannot read them from there.

import { byId, setPressed } from "./dom.js";

const NAME = "raydance-theme";

export const COLOURS = {
  light: {
    paper: "#fafaf8",
    floor: "#ffffff",
    grid: "#c9ced6",
    shadow: "#262b38",
    shadowStrength: 0.68,
    left: "#1c6ec8",
    right: "#e26a28",
    middle: "#3a4252",
    sky: "#ffffff",
    ground: "#cfd3da",
    ambient: 1.55,
    key: 2.0,
    rim: 0.5,
  },
  dark: {
    paper: "#14161b",
    floor: "#20242c",
    grid: "#3c434f",
    shadow: "#000000",
    shadowStrength: 0.9,
    left: "#3d8ce6",
    right: "#f07d3c",
    middle: "#cfd5df",
    sky: "#c9d6ea",
    ground: "#2a2f39",
    ambient: 1.15,
    key: 2.0,
    rim: 1.3,
  },
};

/** Distinct also for colour-blind readers (after Okabe and Ito), for dots on both papers. */
export const CLUSTERS = ["#2b7fd0", "#e07b28", "#1f9e77", "#c9589f", "#8a6fd1", "#b3912a", "#3aa7b8", "#c4503f", "#7c8794", "#6b9e3a"];

export const clusterColour = (cluster) => CLUSTERS[((cluster % CLUSTERS.length) + CLUSTERS.length) % CLUSTERS.length];

/** Calls `onChange("light" | "dark")` now and whenever it changes. */
export function followTheme(onChange) {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const button = byId("theme");
  const apply = () => {
    const chosen = localStorage.getItem(NAME);
    const theme = chosen ?? (system.matches ? "dark" : "light");
    document.documentElement.dataset.theme = theme;
    setPressed(button, theme === "dark");
    onChange(theme);
  };
  button.addEventListener("click", () => {
    localStorage.setItem(NAME, document.documentElement.dataset.theme === "dark" ? "light" : "dark");
    apply();
  });
  system.addEventListener("change", apply);
  apply();
}
