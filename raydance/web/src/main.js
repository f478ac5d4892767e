// The page: which kind it is follows from what the service says that its runs can do.

import { App } from "./app.js";
import { Jobs } from "./jobs.js";
import { askKey } from "./key-dialog.js";
import { Service } from "./service.js";
import { TaskApp } from "./task-app.js";

const service = new Service(askKey);
const jobs = new Jobs();
let app;
let hasStarted = false; // until then nothing may be under way, and yet all is still to come

async function start() {
  const about = await service.models();
  app = about.models[0]?.tasks ? new TaskApp(service, jobs, about) : new App(service, jobs);
  await app.start(about);
}

jobs.during("Loading", start, "page").finally(() => (hasStarted = true));

/** Read-only, for tests and the curious. */
globalThis.raydance = {
  playback: () => ({
    is_busy: !hasStarted || jobs.num > 0,
    takes: [],
    ...(app && {
      time_s: app.player.time_s,
      duration_s: app.player.duration_s,
      is_playing: app.player.isPlaying,
      speed: app.player.speed,
      num_frames_drawn: app.stage.num_drawn,
      takes: app.cast.takes.map(({ kind, label, note, motion }) => ({ kind, label, note, num_frames: motion.num_frames, num_joints: motion.num_joints })),
      ...app.facts(),
    }),
  }),
  pose: (take = 0) => [...app.stage.figures[take].pose],
  map: () => app.map.scatter.points.map((point) => ({ ...point, place: app.map.scatter.placeOf(point) })),
};
