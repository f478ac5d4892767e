// The form of a task: its options, and files that it takes.

import { make } from "./dom.js";
import { isRight } from "./form-check.js";
import { fieldsOf, valueOf } from "./task-schema.js";

export class TaskForm {
  /**
   * @param task as `/v1/models` lists it.
   * @param files {input: suffixes} of the inputs that are files and have a field here.
   * @param onEnter () asks for it.
   */
  constructor(task, files, onEnter) {
    this.task = task;
    const { first, others } = fieldsOf(task);
    this.fields = [...first, ...others];
    this.inputs = {};
    this.files = {};
    this.main = make("div", { className: "fields" }, ...first.flatMap((field) => this.row(field)));
    const chosen = Object.entries(files).flatMap(([name, suffixes]) => this.fileRow(name, suffixes));
    this.more = make("details", { hidden: !others.length && !chosen.length }, make("summary", {}, "Advanced"), make("div", { className: "fields" }, ...others.flatMap((field) => this.row(field)), ...chosen));
    for (const element of [this.main, this.more]) {
      element.addEventListener("keydown", (event) => {
        if (event.key === "Enter" && event.target.matches("input:not([type=file], [type=checkbox])")) onEnter();
      });
    }
  }

  idOf(name) {
    return `${this.task.name}-${name}`;
  }

  row(field) {
    const id = this.idOf(field.name);
    let input;
    if (field.kind === "choice") input = make("select", { id }, ...field.choices.map((choice) => make("option", { value: choice }, choice)));
    else if (field.kind === "flag") input = make("input", { id, type: "checkbox", checked: field.usual });
    else if (field.kind === "number") {
      input = make("input", { id, type: "number", min: field.min, max: field.max, step: field.isWhole ? "1" : "any", inputMode: field.isWhole ? "numeric" : "decimal" });
      input.addEventListener("change", () => isRight(input));
    } else input = make("input", { id, type: "text", placeholder: field.kind === "words" ? "one, two" : "" });
    if (["number", "choice", "text"].includes(field.kind)) input.value = field.usual ?? "";
    if (field.kind === "number" && field.usual === undefined) input.placeholder = "as learned";
    this.inputs[field.name] = input;
    return [make("label", { htmlFor: id, title: field.help }, field.label), input];
  }

  fileRow(name, suffixes) {
    const id = this.idOf(name);
    this.files[name] = make("input", { id, type: "file", accept: suffixes.join(",") });
    return [make("label", { htmlFor: id, title: this.task.inputs[name].help }, `${name[0].toUpperCase()}${name.slice(1)} file`), this.files[name]];
  }

  /** Puts a file into its field, as if it had been chosen. */
  setFile(name, file) {
    const data = new DataTransfer();
    data.items.add(file);
    this.files[name].files = data.files;
    this.more.open = true;
  }

  /** {options, files}; null where something is wrong, which is then said beside its field. */
  read() {
    const wrong = Object.values(this.inputs).filter((input) => input.type === "number" && !isRight(input));
    if (wrong.length) {
      if (this.more.contains(wrong[0])) this.more.open = true;
      wrong[0].focus();
      return null;
    }
    const options = {};
    for (const field of this.fields) {
      const input = this.inputs[field.name];
      const value = valueOf(field, field.kind === "flag" ? String(input.checked) : input.value);
      if (value !== undefined) options[field.name] = value;
    }
    const files = Object.entries(this.files).flatMap(([name, input]) => (input.files[0] ? [[name, input.files[0]]] : []));
    return { options, files: Object.fromEntries(files) };
  }

  /** Shows options that a link names; what it does not name is as usual. */
  fill(options) {
    for (const field of this.fields) {
      const value = options[field.name] ?? field.usual;
      const input = this.inputs[field.name];
      if (field.kind === "flag") input.checked = Boolean(value);
      else if (field.kind === "data") input.value = value?.length ? JSON.stringify(value) : "";
      else if (field.kind === "words") input.value = value?.join?.(", ") ?? "";
      else input.value = value ?? "";
      if (input.type === "number") isRight(input);
    }
  }
}
