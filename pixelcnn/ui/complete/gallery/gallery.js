// One button for each picture; made anew only when the pictures change.

import { Component, mount } from "../../browser/mount.js";
import { valuesAt } from "../../browser/paint.js";
import { paintAtlas } from "../../browser/pixel_grid.js";

class Gallery extends Component {
  accept({ head, sections }) {
    const pictures = Object.values(sections);
    const shown = JSON.stringify([head, ...pictures.map(String)]);
    if (shown === this.shown) return;
    this.shown = shown;
    this.root.classList.toggle("pxg-named", head.named);
    this.root.replaceChildren(...pictures.map((values, index) => {
      const [height, width, channels] = head.sections[index].shape;
      const button = document.createElement("button"), canvas = document.createElement("canvas");
      const title = head.titles[index];
      Object.assign(button, { type: "button", title, ariaLabel: title });
      paintAtlas(canvas, width, height, (pixel) => valuesAt(values, pixel, channels));
      button.append(canvas);
      button.addEventListener("click", () => this.setTriggerValue("choose", { index }));
      return button;
    }));
  }
}

export default mount(".pxg", Gallery);
