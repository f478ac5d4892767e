// Who is on the stage: the takes, their labels, and the one chosen for download and search.

import { byId, isReducedMotion, make, setPressed } from "./dom.js";

export class Cast {
  constructor(app) {
    this.app = app;
    this.takes = [];
    this.shown = {}; // what of a link says what is danced
  }

  /**
   * Puts takes on the stage.
   *
   * @param shown what a link says to have them again.
   * @param isAddition keeps time and whether it plays.
   */
  show(takes, shown, { isAddition = false, keepsView = isAddition } = {}) {
    const { player, stage, address } = this.app;
    const resume = address.takeResume();
    if (!isAddition) {
      this.app.clearBeside(shown);
      this.chosen = undefined;
    }
    this.takes = takes;
    this.shown = shown;
    this.chosen = takes.includes(this.chosen) ? this.chosen : takes[0];
    this.app.map?.showBlend(shown.start ? shown : null);
    stage.prefersSplit = takes.filter((take) => take.kind === "generated").length > 1;
    stage.show(takes.map((take) => take.motion), { keepsView });
    this.showLabels();
    this.markLayout();
    if (!isAddition) player.time_s = 0;
    player.load(Math.max(...takes.map((take) => take.motion.duration_s)), Math.max(...takes.map((take) => take.motion.fps)));
    if (resume.camera) stage.setView(resume.camera);
    if (!isAddition) this.begin(resume.time_s);
    byId("canvas").setAttribute("aria-label", `On the stage: ${takes.map((take) => `${take.label}, ${take.note}`).join("; ")}`);
    address.remember();
  }

  /** Plays, or stands still at the time that a link names or where motion is not wanted. */
  begin(time_s) {
    const { player } = this.app;
    if (time_s !== undefined) {
      player.pause();
      player.seek(time_s);
    } else if (isReducedMotion()) {
      player.pause();
      player.seek(player.duration_s / 2);
    } else player.play();
  }

  showLabels() {
    const labels = this.takes.map((take) => {
      const said = this.isSaidOnce(take) ? null : make("span", {}, take.note);
      const label = make("button", { type: "button", title: "Choose for download and search" }, make("strong", {}, take.label), said);
      label.dataset.kind = take.kind;
      label.addEventListener("click", () => {
        this.chosen = take;
        this.markChosen();
      });
      return label;
    });
    byId("labels").replaceChildren(...labels);
    const said = this.takes.find((take) => this.isSaidOnce(take));
    byId("sentence-shown").textContent = said ? said.note : "";
    this.markChosen();
  }

  /** Whether a sample shares its sentence with others, so that it stands above them all. */
  isSaidOnce(take) {
    const alike = this.takes.filter((other) => other.kind === "generated" && other.note === take.note);
    return take.kind === "generated" && alike.length > 1;
  }

  markChosen() {
    const labels = [...byId("labels").children];
    labels.forEach((label, i) => setPressed(label, this.takes[i] === this.chosen));
    byId("labels").classList.toggle("is-choice", labels.length > 1);
  }

  /** Splitting also depends on the room there is, so this follows every picture too. */
  markLayout() {
    byId("layout").hidden = this.takes.length < 2;
    setPressed(byId("layout"), this.app.stage.isSplit);
  }

  /** Moves the labels to where the picture just drawn shows their dancers. */
  follow() {
    const places = this.app.stage.labelPlaces();
    [...byId("labels").children].forEach((label, i) => {
      if (!places[i]) return;
      label.style.transform = `translate(-50%, -100%) translate(${places[i].x.toFixed(1)}px, ${places[i].y}px)`;
      label.style.maxWidth = `${places[i].room}px`;
      label.style.setProperty("--colour", places[i].colour ?? "transparent");
    });
    this.markLayout();
  }
}
