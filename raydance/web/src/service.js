// The service's HTTP contract, one method per route. Paths are relative, so that the page also works
// behind a prefix. Every failure is a `Problem`, whose message is meant for the reader.

import { isLong, sendAsJob } from "./long-work.js";

const KEY_NAME = "raydance-api-key";
const LONGEST_WAIT_S = 5;

export class Problem extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

/** Where a clip's motion is, or a file made of it. `ref`: {clip_id, start_s?, end_s?, library?}. */
export function clipPath(ref, more = {}, folder = "clips") {
  const query = new URLSearchParams();
  for (const name of ["start_s", "end_s"]) if (ref[name] !== undefined) query.set(name, ref[name]);
  if (ref.library) query.set("library", "true");
  for (const [name, value] of Object.entries(more)) if (value) query.set(name, value);
  const path = ref.clip_id.split("/").map(encodeURIComponent).join("/");
  return `v1/${folder}/${path}${query.size ? `?${query}` : ""}`;
}

export class Service {
  /** @param askKey () -> Promise of a key, or of null where the reader gives none. */
  constructor(askKey) {
    this.askKey = askKey;
    this.model = undefined;
    this.asking = null;
  }

  models = () => this.json("v1/models");
  generate = (body) => this.post("v1/generate", body, isLong(body));
  searchText = (body) => this.post("v1/search", body);
  searchFile = (file, fields = {}) => this.json("v1/search", this.form(file, fields));
  describe = (file, fields = {}) => this.json("v1/describe", this.form(file, fields));
  convert = (file, fields = {}) => this.json("v1/convert", this.form(file, { ...fields, format: "json" }));
  convertTo = (file, format, fields = {}) => this.file("v1/convert", this.form(file, { ...fields, format }), isLong({ format }));
  interpolate = (body) => this.post("v1/interpolate", body);
  clip = (ref) => this.json(clipPath(ref, { model: this.model }));
  clipTo = (ref, format) => this.file(clipPath(ref, { model: this.model, format }), {}, isLong({ format }));
  thumbnail = async (ref) => (await this.file(clipPath(ref, { model: this.model }, "thumbnails"))).blob;
  map = (limit) => this.json(`v1/map?${new URLSearchParams({ limit, ...(this.model && { model: this.model }) })}`);

  task = (name, asked) => this.json(`v1/tasks/${name}`, this.taskRequest(asked));
  taskTo = (name, asked) => this.file(`v1/tasks/${name}`, this.taskRequest(asked), isLong(asked));

  /** `asked`: {text?, box?, options?, files?: {input: File}, format?, sample?, file?: changes of it}. */
  taskRequest({ text, box, options = {}, files = {}, format, sample, file }) {
    const fields = { text, box, options, format, sample, file, model: this.model };
    if (!Object.keys(files).length) {
      return { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(fields) };
    }
    const body = new FormData();
    for (const [name, file] of Object.entries(files)) body.set(name, file, file.name);
    const texts = { ...fields, box: box?.join(","), options: JSON.stringify(options), file: file && JSON.stringify(file) };
    for (const [name, value] of Object.entries(texts)) if (value !== undefined && value !== "") body.set(name, value);
    return { method: "POST", body };
  }

  form(file, fields) {
    const body = new FormData();
    body.set("file", file, file.name);
    const all = { ...fields, model: this.model };
    for (const [name, value] of Object.entries(all)) if (value !== undefined && value !== "") body.set(name, value);
    return { method: "POST", body };
  }

  post(path, body, asJob = false) {
    const text = JSON.stringify({ ...body, model: this.model });
    return this.json(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: text }, asJob);
  }

  async json(path, request, asJob = false) {
    return (await this.ask(path, request, asJob)).json();
  }

  ask = (path, request, asJob) => (asJob ? sendAsJob(this, path, request) : this.send(path, request));

  async file(path, request, asJob = false) {
    const response = await this.ask(path, request, asJob);
    const named = /filename="?([^";]+)"?/.exec(response.headers.get("Content-Disposition") ?? "");
    const residual_cm = Number(response.headers.get("X-Raydance-Residual-Cm") ?? 0);
    return { blob: await response.blob(), name: named?.[1], residual_cm };
  }

  async send(path, request = {}, attempt = 0) {
    const key = sessionStorage.getItem(KEY_NAME);
    const headers = { ...request.headers, ...(key && { "X-API-Key": key }) };
    let response;
    try {
      response = await fetch(path, { ...request, headers });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Problem("The service does not answer. Is it still running?");
    }
    if (response.ok) return response;
    if (response.status === 401 && (await this.obtainKey(key))) return this.send(path, request, attempt);
    const wait_s = Number(response.headers.get("Retry-After") ?? NaN);
    if (response.status === 503 && wait_s <= LONGEST_WAIT_S && attempt < 2) {
      await new Promise((done) => setTimeout(done, 1000 * wait_s));
      return this.send(path, request, attempt + 1);
    }
    throw new Problem(await readable(response), response.status);
  }

  /** Asks once, however many requests were refused; true where it is worth trying again. */
  async obtainKey(refused) {
    if (sessionStorage.getItem(KEY_NAME) !== refused) return true;
    this.asking ??= this.askKey().finally(() => (this.asking = null));
    const key = await this.asking;
    if (key) sessionStorage.setItem(KEY_NAME, key);
    return Boolean(key);
  }
}

/** What problem+json says, or at least the status. */
async function readable(response) {
  try {
    const problem = await response.json();
    const parts = [problem.detail ?? problem.title];
    for (const error of problem.errors ?? []) {
      if (!parts[0]?.includes(error.message)) parts.push(`${error.where}: ${error.message}`);
    }
    if (parts[0]) return parts.join(" ");
  } catch {
    // not JSON: a proxy's page, say
  }
  return `The service answered ${response.status} ${response.statusText}`.trim();
}
