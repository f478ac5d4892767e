// Long work as jobs of the service: a line says how far each is and cancels it, and no connection has
// to stay open meanwhile.

import { announce, byId, make } from "./dom.js";

const FIRST_PAUSE_MS = 150;
const LONGEST_PAUSE_MS = 2000;
const PICTURES = ["gif", "mp4"];
const LONG_S = 10;

/** Whether an answer may take longer than a reader waits without a word. */
export const isLong = ({ format, seconds = 0 }) => PICTURES.includes(format) || seconds > LONG_S;

/** What `v1/jobs` takes for a request to another route: {query, request}. */
export function jobOf(path, { headers, body } = {}) {
  const [place, query] = path.split("?");
  const route = decodeURIComponent(place.replace(/^v1\//, ""));
  if (body && typeof body !== "string") return { query: `?${new URLSearchParams({ route })}`, request: { method: "POST", body } };
  const asked = body ? JSON.parse(body) : Object.fromEntries(new URLSearchParams(query));
  const json = { ...headers, "Content-Type": "application/json" };
  return { query: "", request: { method: "POST", headers: json, body: JSON.stringify({ route, request: asked }) } };
}

/** Answers a request as `service.send` does, by a job. */
export async function sendAsJob(service, path, request) {
  const job = jobOf(path, request);
  let state = await (await service.send(`v1/jobs${job.query}`, job.request)).json();
  const url = `v1/jobs/${state.id}`;
  const line = showLine();
  try {
    for (let pause_ms = FIRST_PAUSE_MS; state.state === "queued" || state.state === "running"; pause_ms = Math.min(2 * pause_ms, LONGEST_PAUSE_MS)) {
      line.tell(state);
      await line.pause(pause_ms);
      state = await service.json(url);
    }
    return await service.send(`${url}/result`);
  } catch (error) {
    if (error.name === "AbortError") await service.send(url, { method: "DELETE" });
    // A job is known to the process that took it: where there are several, another may be asked.
    else if (error.status === 404 && state.state !== "failed") return service.send(path, request);
    throw error;
  } finally {
    line.end();
  }
}

function showLine() {
  const cancelled = new AbortController();
  const words = make("span");
  const bar = make("progress", { max: 1 });
  const button = make("button", { type: "button" }, "Cancel");
  const row = make("p", {}, words, bar, button);
  button.addEventListener("click", () => cancelled.abort());
  byId("long-work").append(row);
  return {
    tell({ doing, progress }) {
      words.textContent = doing;
      if (progress > 0) bar.value = progress;
    },
    pause: (ms) =>
      new Promise((done, fail) => {
        const stop = () => fail(cancelled.signal.reason);
        if (cancelled.signal.aborted) return stop();
        cancelled.signal.addEventListener("abort", stop, { once: true });
        setTimeout(done, ms);
      }),
    end() {
      row.remove();
      if (cancelled.signal.aborted) announce("Cancelled");
    },
  };
}
