// Where an object starts: a box that is dragged over the frame, or four numbers; and the frame's picture.

import { boxBetween, boxIn, middleBox } from "./box.js";
import { byId, make } from "./dom.js";
import { isRight } from "./form-check.js";
import { fitInto } from "./grid.js";

const SIDES = ["Left", "Top", "Right", "Bottom"];
const WIDTH_PX = 336;

export class StartPad {
  /**
   * @param size [width, height] of the frame, pixels.
   * @param onChange () the box, the frame or its picture is another.
   * @param onProblem (error) a picture cannot be shown.
   */
  constructor(size, onChange, onProblem) {
    this.size = size;
    this.box = middleBox(size);
    this.onChange = onChange;
    this.onProblem = onProblem;
    this.canvas = make("canvas", { id: "start-pad", className: "start-pad", role: "img", "aria-label": "Drag a box where the object starts" });
    this.inputs = SIDES.map((side, i) => {
      const input = make("input", { id: `box-${side.toLowerCase()}`, type: "number", min: "0", step: "1", inputMode: "numeric" });
      input.addEventListener("change", () => this.readNumbers());
      return input;
    });
    const picture = make("input", { id: "frame-picture", type: "file", accept: "image/*" });
    picture.addEventListener("change", () => this.setPicture(picture.files[0]));
    this.remove = make("button", { type: "button", hidden: true }, "Remove");
    this.remove.addEventListener("click", () => this.setPicture(null));
    this.element = make(
      "section",
      { className: "start" },
      make("h2", {}, "Where it starts"),
      this.canvas,
      make("div", { className: "sides" }, ...SIDES.map((side, i) => make("span", {}, make("label", { htmlFor: `box-${side.toLowerCase()}` }, side), this.inputs[i]))),
      make("div", { className: "with-button" }, make("label", { className: "quiet", htmlFor: "frame-picture" }, "Picture of the frame"), this.remove),
      picture,
    );
    this.file = picture;
    this.attachDrag();
    this.show();
  }

  attachDrag() {
    let corner;
    const placeOf = (event) => {
      const bounds = this.canvas.getBoundingClientRect();
      return [((event.clientX - bounds.x) / bounds.width) * this.size[0], ((event.clientY - bounds.y) / bounds.height) * this.size[1]];
    };
    this.canvas.addEventListener("pointerdown", (event) => {
      corner = placeOf(event);
      this.canvas.setPointerCapture(event.pointerId);
    });
    this.canvas.addEventListener("pointermove", (event) => {
      if (corner) this.setBox(boxBetween(corner, placeOf(event), this.size));
    });
    for (const end of ["pointerup", "pointercancel"]) this.canvas.addEventListener(end, () => (corner = undefined));
  }

  readNumbers() {
    if (!this.inputs.every(isRight)) return;
    const [left, top, right, bottom] = this.inputs.map(({ value }) => Number(value));
    this.setBox(boxBetween([left, top], [right, bottom], this.size));
  }

  setBox(box) {
    this.box = box;
    this.show();
    this.onChange();
  }

  /** Another frame; the box keeps its share of it. */
  setSize(size) {
    const box = boxIn(this.box, this.size, size);
    this.size = size;
    this.setBox(box);
  }

  /** A picture of the frame, whose size the frame then has; none for black. */
  async setPicture(file) {
    let picture = null;
    try {
      if (file) picture = await createImageBitmap(file);
      else this.file.value = "";
    } catch {
      return this.onProblem(new Error(`${file.name} is no picture that this browser can show.`));
    }
    this.picture?.close();
    this.picture = picture;
    this.remove.hidden = !this.picture;
    if (this.picture) this.setSize([this.picture.width, this.picture.height]);
    else this.setBox(this.box);
    return undefined;
  }

  show() {
    const { box, canvas, size } = this;
    this.inputs.forEach((input, i) => {
      input.max = String(size[i % 2]);
      input.value = String(box[i]);
      isRight(input);
    });
    canvas.width = WIDTH_PX;
    canvas.height = Math.max(24, Math.round((WIDTH_PX * size[1]) / size[0]));
    const { scale } = fitInto({ x: 0, y: 0, width: canvas.width, height: canvas.height }, size);
    const context = canvas.getContext("2d");
    context.fillStyle = "#000";
    context.fillRect(0, 0, canvas.width, canvas.height);
    if (this.picture) context.drawImage(this.picture, 0, 0, canvas.width, canvas.height);
    context.fillStyle = "#00ffff40";
    context.strokeStyle = "#00ffff";
    context.lineWidth = 2;
    const place = [box[0] * scale, box[1] * scale, (box[2] - box[0]) * scale, (box[3] - box[1]) * scale];
    context.fillRect(...place);
    context.strokeRect(...place);
  }
}
