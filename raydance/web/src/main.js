// The page: its parts, and what passes between them. Each part is given the whole, `app`.

import { Address } from "./address.js";
import { Cast } from "./cast.js";
import { Dances } from "./dances.js";
import { DescribePanel } from "./describe-panel.js";
import { byId, make } from "./dom.js";
import { attachDownload } from "./download.js";
import { attachGenerate, offer, readForm } from "./generate-panel.js";
import { Jobs } from "./jobs.js";
import { askKey } from "./key-dialog.js";
import { MapPanel } from "./map-panel.js";
import { Player } from "./player.js";
import { SearchPanel } from "./search-panel.js";
import { Service } from "./service.js";
import { Stage } from "./stage.js";
import { SteeringFields } from "./steering-fields.js";
import { attachTabs } from "./tabs.js";
import { COLOURS, followTheme } from "./theme.js";
import { Timeline } from "./timeline.js";
import { attachTransport } from "./transport.js";
import { attachView } from "./view.js";

const NO_WEBGL = "No dancer can be drawn here: this browser offers no WebGL 2 (see its settings for graphics acceleration). Search, captions, the map and downloads work without.";

class App {
  constructor() {
    this.service = new Service(askKey);
    this.jobs = new Jobs();
    this.formats = [];
    this.player = new Player();
    this.stage = new Stage(
      byId("canvas"),
      (elapsed_s) => this.player.advance(elapsed_s),
      () => {
        this.cast.follow();
        this.dances.noteDrawn();
      },
    );
    if (!this.stage.canDraw) this.jobs.keep(NO_WEBGL);
    this.cast = new Cast(this);
    this.dances = new Dances(this);
    this.timeline = new Timeline(this.player);
    this.search = new SearchPanel(this);
    this.description = new DescribePanel(this);
    this.map = new MapPanel(this);
    this.steering = new SteeringFields(this);
    followTheme((theme) => {
      this.stage.setColours(COLOURS[theme]);
      this.map.setTheme(theme);
    });
    this.tabs = attachTabs((name) => {
      if (name === "map") this.openMap();
      this.address.remember();
    });
    attachTransport(this.player, this.stage);
    attachGenerate(this);
    attachDownload(this);
    this.address = new Address(this);
    attachView(this);
  }

  async start() {
    const about = await this.service.models();
    this.models = about.models;
    this.limits = about.limits;
    this.formats = about.formats.write;
    const choice = byId("model");
    choice.replaceChildren(...about.models.map(({ name }) => make("option", { value: name }, name)));
    choice.hidden = about.models.length < 2;
    choice.addEventListener("change", () => {
      this.chooseModel(choice.value);
      if (byId("sentence").value.trim()) this.dances.generate(readForm());
      if (this.tabs.current() === "map") this.openMap();
    });
    this.description.setLimits(about.formats.read, about.limits);
    await this.address.restore();
  }

  chooseModel(name) {
    const model = this.models.find((one) => one.name === name) ?? this.models.find((one) => one.is_default) ?? this.models[0];
    if (!model) throw new Error("The service serves no model.");
    this.service.model = model.is_default ? undefined : model.name;
    byId("model").value = model.name;
    byId("library-choice").hidden = !model.library;
    offer(model, this.limits);
  }

  openMap() {
    this.map.open().catch((error) => this.jobs.fail(error));
  }
}

const app = new App();
let hasStarted = false; // until then nothing may be under way, and yet all is still to come
app
  .start()
  .catch((error) => app.jobs.fail(error))
  .finally(() => (hasStarted = true));

/** Read-only, for tests and the curious. */
globalThis.raydance = {
  playback: () => ({
    time_s: app.player.time_s,
    duration_s: app.player.duration_s,
    is_playing: app.player.isPlaying,
    speed: app.player.speed,
    num_frames_drawn: app.stage.num_drawn,
    pixel_ratio: app.stage.sharpness.ratio,
    look: app.stage.look,
    focus: app.stage.focusOf(app.stage.isSplit ? app.stage.figures.slice(0, 1) : app.stage.figures, app.player.time_s),
    is_busy: !hasStarted || app.jobs.num > 0,
    first_frame_ms: app.dances.first_frame_ms,
    takes: app.cast.takes.map(({ kind, label, note, motion }) => ({ kind, label, note, num_frames: motion.num_frames, num_joints: motion.num_joints })),
  }),
  pose: (take = 0) => [...app.stage.figures[take].pose],
  map: () => app.map.scatter.points.map((point) => ({ ...point, place: app.map.scatter.placeOf(point) })),
};
