// Fields of a form from the options of a task, which `/v1/models` lists as a JSON schema.

const FIRST = ["samples", "seconds", "seed", "genre", "labels", "k"];
const WORDS = { k: "Results", go_on: "Go on from, frames", through: "Pass through", kind: "Which path" };

const inWords = (name) => WORDS[name] ?? name[0].toUpperCase() + name.slice(1).replaceAll("_", " ");

/** An option's field: {name, label, kind: number | choice | flag | words | data | text, usual, ...}. */
export function fieldOf(name, schema) {
  const { anyOf, ...own } = schema;
  const one = { ...own, ...anyOf?.find(({ type }) => type !== "null") };
  const field = { name, label: inWords(name), help: one.description ?? "", usual: one.default ?? undefined };
  if (one.enum) return { ...field, kind: "choice", choices: one.enum };
  if (one.type === "boolean") return { ...field, kind: "flag" };
  if (one.type === "integer" || one.type === "number") {
    const isWhole = one.type === "integer";
    const max = one.maximum ?? (one.exclusiveMaximum === undefined ? undefined : one.exclusiveMaximum - (isWhole ? 1 : 0));
    return { ...field, kind: "number", isWhole, min: one.minimum ?? one.exclusiveMinimum, max };
  }
  if (one.type === "array") return { ...field, kind: one.items?.type === "string" ? "words" : "data" };
  return { ...field, kind: "text" };
}

/** Fields of a task: `first` are those that most people want, `others` the rest. */
export function fieldsOf(task) {
  const all = Object.entries(task.options.properties ?? {}).map(([name, schema]) => fieldOf(name, schema));
  const first = FIRST.map((name) => all.find((field) => field.name === name)).filter(Boolean);
  return { first, others: all.filter((field) => !first.includes(field)) };
}

/**
 * What was written into a field, as the service takes it; undefined where it is as usual.
 *
 * @param text of the field; of a flag "true" or "false".
 * @throws Error it cannot be read.
 */
export function valueOf(field, text) {
  const written = text.trim();
  if (!written) return undefined;
  let value = written;
  if (field.kind === "number") value = Number(written);
  if (field.kind === "flag") value = written === "true";
  if (field.kind === "words") value = written.split(",").map((word) => word.trim()).filter(Boolean);
  if (field.kind === "data") {
    try {
      value = JSON.parse(written);
    } catch {
      throw new Error(`${field.label}: ${field.help || "a list"}, such as [[1.5, 60, 200]]`);
    }
  }
  return value === field.usual || (field.kind === "data" && value.length === 0) ? undefined : value;
}
