// The download menu: the chosen dancer as a file. Where the file is not quite what is seen, a line
// above the button says so until something else is clicked.

import { announce, byId, inSeconds, make } from "./dom.js";

const WORDS = {
  bvh: "BVH: for animation tools",
  glb: "GLB: for 3-D scenes and the web",
  gif: "GIF: a moving picture",
  mp4: "MP4: a film",
  svg: "SVG: a drawing",
  npz: "NPZ: for Python",
  json: "JSON: numbers as text",
};

const WITH_NAMES = ["bvh", "glb"];
const NOTICEABLE_CM = 1;

/** What is to be changed about the motion, as fields that the service takes. */
function readOptions(format, { in_s, out_s }) {
  const options = {
    start_s: in_s?.toFixed(3),
    end_s: out_s?.toFixed(3),
    out_fps: byId("file-rate").value,
    names: WITH_NAMES.includes(format) ? byId("file-names").value : "",
    in_place: byId("file-in-place").checked ? "true" : "",
    loop: byId("file-loop").checked ? "true" : "",
  };
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value));
}

const partInWords = ({ in_s, out_s, duration_s }) =>
  in_s === undefined && out_s === undefined ? "" : `, ${inSeconds(in_s ?? 0)} to ${inSeconds(out_s ?? duration_s)} s`;

export function attachDownload(app) {
  const button = byId("download");
  const panel = byId("download-panel");
  const list = byId("download-menu");
  const difference = byId("download-difference");
  const items = () => [...list.querySelectorAll("button")];

  const close = (refocus) => {
    panel.hidden = true;
    button.setAttribute("aria-expanded", "false");
    if (refocus) button.focus();
  };
  const open = () => {
    const take = app.cast.chosen;
    if (!take) return app.jobs.fail(new Error("There is nothing on the stage to download yet."));
    const written = (take.formats ?? app.formats).filter((format) => WORDS[format]);
    list.replaceChildren(
      make("p", { className: "quiet", role: "presentation" }, `${take.label}: ${take.note}${take.isWhole ? "" : partInWords(app.player)}`),
      ...written.map((format) => {
        const item = make("button", { type: "button", role: "menuitem", tabIndex: -1 }, WORDS[format]);
        item.dataset.format = format;
        item.addEventListener("click", () => save(take, format));
        return item;
      }),
    );
    byId("download-options").hidden = Boolean(take.isWhole);
    difference.hidden = true;
    panel.hidden = false;
    button.setAttribute("aria-expanded", "true");
    items()[0]?.focus();
  };
  const save = async (take, format) => {
    close(true);
    const options = take.isWhole ? {} : readOptions(format, app.player);
    const write = async () => {
      const { blob, name, residual_cm = 0 } = await take.save(format, options);
      const url = URL.createObjectURL(blob);
      make("a", { href: url, download: name ?? `${take.stem}.${format}` }).click();
      setTimeout(() => URL.revokeObjectURL(url), 30_000);
      announce(`${format.toUpperCase()} downloaded`);
      difference.hidden = residual_cm < NOTICEABLE_CM;
      difference.textContent = difference.hidden ? "" : `The ${format.toUpperCase()} differs from what you see by up to ${residual_cm.toFixed(1)} cm: its bones keep one length.`;
    };
    await app.jobs.during(`Writing ${format.toUpperCase()}`, write, "download");
  };

  button.addEventListener("click", () => (panel.hidden ? open() : close(true)));
  panel.addEventListener("keydown", (event) => {
    const every = items();
    const place = every.indexOf(document.activeElement);
    const moves = { ArrowDown: place + 1, ArrowUp: place - 1, Home: 0, End: -1 };
    if (event.key === "Escape") close(true);
    else if (event.target.closest("details")) return;
    else if (event.key in moves) {
      event.preventDefault();
      every.at(moves[event.key] % every.length).focus();
    }
  });
  document.addEventListener("pointerdown", (event) => {
    if (event.target.closest(".menu")) return;
    difference.hidden = true;
    if (!panel.hidden) close(false);
  });
}
