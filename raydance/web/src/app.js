// The page of a Dance-Language run: its parts, and what passes between them. Each part is given the
// whole, `app`.

import { Address } from "./address.js";
import { Cast } from "./cast.js";
import { Dances } from "./dances.js";
import { DescribePanel } from "./describe-panel.js";
import { byId, make } from "./dom.js";
import { attachDownload } from "./download.js";
import { attachGenerate, offer, readForm } from "./generate-panel.js";
import { MapPanel } from "./map-panel.js";
import { Player } from "./player.js";
import { SearchPanel } from "./search-panel.js";
import { Stage } from "./stage.js";
import { SteeringFields } from "./steering-fields.js";
import { attachTabs } from "./tabs.js";
import { COLOURS, followTheme } from "./theme.js";
import { Timeline } from "./timeline.js";
import { attachTransport } from "./transport.js";
import { attachView, NO_WEBGL } from "./view.js";

export class App {
  constructor(service, jobs) {
    this.service = service;
    this.jobs = jobs;
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

  async start(about) {
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

  /** Clears what belongs to the dancers that others now take the place of. */
  clearBeside(shown) {
    this.timeline.show([]);
    if (shown.what !== "file") this.description.clear();
  }

  /** What tests look at besides what all pages have. */
  facts() {
    const { dances, player, stage } = this;
    return {
      pixel_ratio: stage.sharpness.ratio,
      look: stage.look,
      focus: stage.focusOf(stage.isSplit ? stage.figures.slice(0, 1) : stage.figures, player.time_s),
      first_frame_ms: dances.first_frame_ms,
    };
  }

  openMap() {
    this.map.open().catch((error) => this.jobs.fail(error));
  }
}
