// What is wrong with a form, said beside the field in the reader's words, before the service is asked.

/**
 * What is wrong with a number; empty where nothing is.
 *
 * @param field {label, value (text), min, max, isWhole, isBad: whether the browser reads no number}
 */
export function wrongNumber({ label, value, min, max, isWhole, isBad }) {
  const number = Number(value);
  const allowed = `${min} to ${max}`;
  if (isBad || (value !== "" && !Number.isFinite(number))) return `${label}: a number is needed, ${allowed}`;
  if (value === "") return "";
  if (number < min || number > max) return `${label}: ${allowed}, not ${value}`;
  if (isWhole && !Number.isInteger(number)) return `${label}: a whole number is needed, ${allowed}`;
  return "";
}

/** What is wrong with a sentence. */
export function wrongSentence(text, most = Infinity) {
  if (!text.trim()) return "Describe a movement in words first.";
  if (text.length > most) return `The sentence has ${text.length} characters; at most ${most} are read.`;
  return "";
}

/** Marks a field with what is wrong with it; true where nothing is. */
export function isRight(input) {
  const label = document.querySelector(`label[for=${input.id}]`)?.textContent ?? input.id;
  const [min, max] = [Number(input.min || -Infinity), Number(input.max || Infinity)];
  const isWhole = input.step === "1" || input.step === "";
  const wrong = input.disabled ? "" : wrongNumber({ label, value: input.value, min, max, isWhole, isBad: input.validity.badInput });
  let said = document.getElementById(`${input.id}-wrong`);
  if (wrong && !said) {
    said = document.createElement("small");
    said.id = `${input.id}-wrong`;
    said.className = "wrong";
    said.setAttribute("role", "alert");
    (input.closest(".with-button") ?? input).after(said);
  }
  if (said) {
    said.textContent = wrong;
    said.hidden = !wrong;
  }
  input.setAttribute("aria-invalid", String(Boolean(wrong)));
  return !wrong;
}
