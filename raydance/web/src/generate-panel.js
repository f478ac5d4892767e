// The sentence field and the tab with what can be chosen about a generation.

import { byId, make } from "./dom.js";

const EXAMPLES = [
  "a slow turn with open arms",
  "two sharp punches with the right arm",
  "a wave goes through the whole body",
  "a person walks forward calmly",
  "a high kick with the left leg",
  "sinking into a deep squat and rising",
];
const SOURCES = {
  prior: "chance",
  cluster: "the cluster that fits",
  nearest: "the nearest clip",
  clip: "a clip",
};
const NUMBERS = { "num-samples": "num_samples", seconds: "seconds", seed: "seed" };

export function attachGenerate(app) {
  const sentence = byId("sentence");
  byId("sentence-form").addEventListener("submit", (event) => {
    event.preventDefault();
    app.dances.generate(readForm());
  });
  byId("examples").append(
    ...EXAMPLES.map((text) => {
      const button = make("button", { type: "button" }, text);
      button.addEventListener("click", () => {
        sentence.value = text;
        app.dances.generate(readForm());
      });
      return make("li", {}, button);
    }),
  );
  byId("next-seed").addEventListener("click", () => {
    byId("seed").value = String(Number(byId("seed").value || 0) + 1);
    app.dances.generate(readForm());
  });
  for (const id of ["num-samples", "seconds", "seed"]) {
    byId(id).addEventListener("keydown", (event) => {
      if (event.key === "Enter") app.dances.generate(readForm());
    });
  }
}

export const firstExample = EXAMPLES[0];

/** What the form says, as the state that a link holds. */
export function readForm() {
  const state = { text: byId("sentence").value, source: byId("source").value || undefined, nearest: byId("with-nearest").checked };
  for (const [id, name] of Object.entries(NUMBERS)) {
    const text = byId(id).value;
    state[name] = text === "" ? undefined : Number(text);
  }
  state.num_samples ??= 1;
  state.seed ??= 0;
  return state;
}

export function fillForm(state) {
  byId("sentence").value = state.text ?? "";
  byId("source").value = state.source ?? "";
  byId("with-nearest").checked = state.nearest ?? true;
  for (const [id, name] of Object.entries(NUMBERS)) byId(id).value = state[name] ?? "";
}

/** Offers the starting points that a model has, and its limits. A clip needs an id: no field. */
export function offer(model, limits) {
  const sources = model.sources.filter((source) => source !== "clip");
  byId("source").replaceChildren(
    make("option", { value: "" }, "as usual"),
    ...sources.map((source) => make("option", { value: source }, SOURCES[source] ?? source)),
  );
  byId("num-samples").max = String(limits.samples);
  byId("seconds").max = String(model.max_frames / model.fps);
  byId("seconds").placeholder = `${model.window / model.fps}`;
}

export function showAnswer({ notices, timings_ms }) {
  byId("notices").replaceChildren(...notices.map((notice) => make("li", {}, notice)));
  const total = timings_ms?.total;
  byId("timings").textContent = total === undefined ? "" : `Generated in ${Math.round(total)} ms.`;
}
