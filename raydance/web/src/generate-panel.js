// The sentence field and the tab with what can be chosen about a generation.

import { byId, make } from "./dom.js";
import { isRight, wrongSentence } from "./form-check.js";
import { keptInWords } from "./steering-fields.js";

export const EXAMPLES = [
  "a slow turn with open arms",
  "two sharp punches with the right arm",
  "a wave goes through the whole body",
  "a person walks forward calmly",
  "a high kick with the left leg",
  "sinking into a deep squat and rising",
];
const SOURCES = {
  flow: "the motion flow",
  prior: "the decoder, from a random start",
  cluster: "the decoder, from similar movements",
  nearest: "the decoder, from the nearest clip",
};
const OF_FLOW = ["steps", "guidance", "candidates"];
const NUMBERS = { "num-samples": "num_samples", seconds: "seconds", seed: "seed", ...Object.fromEntries(OF_FLOW.map((name) => [name, name])) };
/** Cosines at least so large, and what they mean. */
const CLOSENESS = [
  [0.99, "the same words"],
  [0.85, "very similar"],
  [0.65, "similar"],
  [0.4, "only somewhat similar"],
  [-Infinity, "nothing like it was learned"],
];
/** Of the movements that a run knows, in its line. */
const MOST_CHARACTERS = 120;
let usualSource; // of the model that is chosen

export function attachGenerate(app) {
  const sentence = byId("sentence");
  byId("sentence-form").addEventListener("submit", (event) => {
    event.preventDefault();
    ask(app);
  });
  byId("examples").addEventListener("click", ({ target }) => {
    if (!target.matches("button")) return;
    sentence.value = target.textContent;
    ask(app);
  });
  byId("next-seed").addEventListener("click", () => {
    byId("seed").value = String(Math.round(Number(byId("seed").value || 0)) + 1);
    ask(app);
  });
  byId("source").addEventListener("change", showFlowFields);
  for (const id of Object.keys(NUMBERS)) {
    byId(id).addEventListener("keydown", (event) => {
      if (event.key === "Enter") ask(app);
    });
    byId(id).addEventListener("change", () => isRight(byId(id)));
  }
}

/** Has the sentence danced, or says beside the fields what is wrong with them. */
function ask(app) {
  const wrong = Object.keys(NUMBERS).filter((id) => !isRight(byId(id)));
  if (OF_FLOW.some((id) => wrong.includes(id))) byId("advanced").open = true;
  const problem = wrongSentence(byId("sentence").value, app.limits?.text_characters);
  const first = problem ? "sentence" : wrong[0];
  if (!first) return app.dances.generate(readForm());
  if (wrong.length) app.tabs.choose("generate");
  byId(first).focus();
  if (problem) app.jobs.fail(new Error(problem));
}

/** Sentences to try: from all over what the run was trained on, where that reads as sentences. */
export function examplesOf({ trained_on }) {
  const captions = (trained_on?.movements ?? []).filter((name) => name.split(" ").length > 3);
  if (captions.length < EXAMPLES.length) return EXAMPLES;
  return EXAMPLES.map((_, i) => captions[Math.floor((i * captions.length) / EXAMPLES.length)]);
}

/** What is danced where nothing was asked for. */
export const firstExample = () => byId("examples").querySelector("button").textContent;

/** What the form says, as the state that a link holds. */
export function readForm() {
  const state = { text: byId("sentence").value, source: byId("source").value || undefined, nearest: byId("with-nearest").checked };
  for (const [id, name] of Object.entries(NUMBERS)) {
    const { value, disabled } = byId(id);
    state[name] = value === "" || disabled ? undefined : Number(value);
  }
  state.num_samples ??= 1;
  state.seed ??= 0;
  return state;
}

/** Shows a state. @return what of it this run or this service does not give, in words. */
export function fillForm(state) {
  const changed = [];
  byId("sentence").value = state.text ?? "";
  byId("source").value = state.source ?? "";
  byId("with-nearest").checked = state.nearest ?? true;
  for (const [id, name] of Object.entries(NUMBERS)) {
    const { min, max } = byId(id);
    const [low, high] = [min === "" ? -Infinity : Number(min), max === "" ? Infinity : Number(max)];
    const kept = state[name] === undefined ? undefined : Math.min(Math.max(state[name], low), high);
    if (kept !== state[name]) changed.push(`${id.replace("-", " ")} is ${kept} in place of ${state[name]}`);
    byId(id).value = kept === undefined ? "" : String(kept);
    isRight(byId(id));
  }
  if (["source", ...OF_FLOW].some((name) => state[name] !== undefined)) byId("advanced").open = true;
  showFlowFields();
  return changed;
}

/** The settings of the flow can be chosen where it makes the motion. */
function showFlowFields() {
  const isFlow = (byId("source").value || usualSource) === "flow";
  for (const id of OF_FLOW) byId(id).disabled = !isFlow;
}

/** Offers the sources that a model has, and its limits. */
export function offer(model, limits) {
  byId("source").replaceChildren(
    make("option", { value: "" }, `${plain(model.default_source)} (this run's choice)`),
    ...model.sources.map((source) => make("option", { value: source }, SOURCES[source] ?? source)),
  );
  usualSource = model.default_source;
  for (const id of OF_FLOW) byId(id).placeholder = model.flow?.[id] ?? "";
  showFlowFields();
  byId("num-samples").max = String(limits.samples);
  byId("seconds").max = String(model.max_frames / model.fps);
  byId("examples").replaceChildren(...examplesOf(model).map((text) => make("li", {}, make("button", { type: "button" }, text))));
  byId("knows").hidden = !model.trained_on;
  byId("knows").textContent = model.trained_on ? trainedOn(model.trained_on) : "";
  byId("knows").title = model.trained_on?.movements.join(", ") ?? "";
  byId("seconds").placeholder = `${model.window / model.fps}`;
}

const plain = (source) => (SOURCES[source] ?? source).replace(/^the /, "");

/** What a run was trained on, for who has to guess what it can do: {num_clips, seconds, movements}. */
export function trainedOn({ num_clips, seconds, movements }, most = 8) {
  const minutes = seconds < 90 ? `${Math.round(seconds)} seconds` : seconds < 5400 ? `${Math.round(seconds / 60)} minutes` : `${(seconds / 3600).toFixed(1)} hours`;
  const listed = movements.slice(0, most);
  while (listed.length > 1 && listed.join(", ").length > MOST_CHARACTERS) listed.pop();
  const named = listed.join(", ");
  const others = movements.length > listed.length ? ` and ${movements.length - listed.length} more` : "";
  return `Trained on ${num_clips} ${num_clips === 1 ? "recording" : "recordings"} (${minutes}).${named ? ` It knows: ${named}${others}.` : ""}`;
}

export function showAnswer({ notices, made, understood_as, timings_ms }) {
  byId("notices").replaceChildren(...notices.map((notice) => make("li", {}, notice)));
  const total = timings_ms?.total;
  byId("understood").textContent = inWords(understood_as);
  const how = madeBy(made);
  byId("timings").textContent = total === undefined ? "" : `Generated ${how ? `${how} ` : ""}in ${Math.round(total)} ms.${keptInWords(made?.constraints)}`;
}

/** How a sentence was understood: {caption, similarity, notice?}; a notice stands by itself. */
export function inWords(understood) {
  if (!understood || understood.notice) return "";
  const [, words] = CLOSENESS.find(([least]) => understood.similarity >= least);
  return `Understood as: “${understood.caption}” (${words})`;
}

/** How a motion was made: {source, steps?, guidance?, candidates?}. */
export function madeBy(made) {
  if (!made) return "";
  const settings = [];
  if (made.steps) settings.push(`${made.steps} steps`);
  if (made.guidance !== undefined) settings.push(`guidance ${made.guidance}`);
  if (made.candidates > 1) settings.push(`the best of ${made.candidates}`);
  return `by ${SOURCES[made.source] ?? made.source}${settings.length ? ` (${settings.join(", ")})` : ""}`;
}
