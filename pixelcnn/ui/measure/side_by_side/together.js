// Several finished pictures played in step. All numbers are here; the server is not asked again.

import { clamp, placeOf, setText } from "../../browser/basics.js";
import { mount } from "../../browser/mount.js";
import { drawColourBar, fitCanvas, mapColour, valuesAt, write } from "../../browser/paint.js";
import { PixelGrid, pixelUnder } from "../../browser/pixel_grid.js";
import { Playback } from "../../browser/playback.js";

const FAR = 255; // largest difference of two display values
const FIRST = "#d9772b"; // where a picture leaves the first one
const FIGURE = '<figcaption></figcaption><canvas class="pxt-picture" role="img"></canvas>'
  + '<canvas class="pxt-difference" role="img"></canvas><p class="pxt-told"></p>';

class Together extends Playback {
  constructor(root) {
    super(root, "200");
    this.find(".px-scrub").ariaLabel = "Pixels drawn";
    this.on(".pxt-differences", "change", () => this.touch());
  }

  accept({ head, sections }) {
    if (head.id === this.id && String(head.captions) === String(this.captions)) return;
    const { id, captions, width, height, channels } = head;
    Object.assign(this, { id, captions, width, height, channels, total: width * height });
    this.uniform = sections.uniform;
    this.panels = captions.map((caption, n) => ({
      caption, leaves: head.first[n], values: sections[`values${n}`], levels: sections[`levels${n}`],
      surprise: sections[`surprise${n}`], difference: sections[`difference${n}`],
    }));
    this.hovered = -1;
    this.isReady = true;
    this.makePanels();
    this.playing = !matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.moveTo(this.playing ? 0 : this.total);
  }

  makePanels() {
    const frame = this.find(".pxt-panels");
    frame.style.setProperty("--pxt-columns", this.panels.length);
    frame.replaceChildren(...this.panels.map((panel, n) => {
      const figure = document.createElement("figure");
      figure.innerHTML = FIGURE;
      const [caption, picture, difference] = figure.children;
      caption.textContent = `${n + 1}: ${panel.caption}`;
      picture.ariaLabel = `Picture ${n + 1}: ${panel.caption}`;
      difference.ariaLabel = `Differences of picture ${n + 1}`;
      for (const canvas of [picture, difference]) {
        canvas.addEventListener("pointermove", (event) => this.hover(pixelUnder(canvas, event, this)));
        canvas.addEventListener("pointerleave", () => this.hover(-1));
      }
      panel.figure = figure;
      return figure;
    }));
  }

  draw() {
    const { find, theme, panels } = this;
    const compares = find(".pxt-differences").checked;
    panels.forEach((panel, n) => {
      const [, picture, difference, told] = panel.figure.children;
      this.drawPixels(picture, n, (p) => valuesAt(panel.values, p, this.channels));
      difference.hidden = !compares || n === 0;
      if (!difference.hidden) this.drawPixels(difference, n, (p) => mapColour(panel.difference[p] / FAR));
      setText(told, this.told(panel, n));
    });
    find(".pxt-bar").hidden = !compares || panels.length === 1;
    if (!find(".pxt-bar").hidden) {
      drawColourBar(find(".pxt-bar"), clamp(this.root.clientWidth, 120, 300), {
        ticks: [[0, "no difference"], [1, "black against white"]],
        label: "Colour bar of the differences, 0 to 255 of 255",
      }, theme);
    }
    this.drawFirsts();
    setText(find(".pxt-readout"), this.words());
    this.showTransport(`${this.position} of ${this.total} pixels`);
  }

  drawPixels(canvas, n, colour) {
    const side = clamp(canvas.parentElement.clientWidth, 40, 300), scale = side / this.width;
    const { position, theme, panels } = this;
    const grid = new PixelGrid(fitCanvas(canvas, side, scale * this.height), this, scale);
    grid.fillEmpty(theme);
    grid.paint((p) => (p < position ? colour(p) : null));
    // In the first picture, every place at which another one leaves it.
    for (const { leaves } of n === 0 ? panels : [panels[n]]) {
      if (leaves !== null && leaves < position) grid.outline(leaves, FIRST);
    }
    if (this.hovered >= 0) grid.outline(this.hovered, "#444");
    else if (position < this.total) grid.outline(position - 1, theme.primary);
  }

  // Where on the time line each picture leaves the first one.
  drawFirsts() {
    const { ctx, x, bar, pixel } = this.drawTrack(46);
    const places = new Map();
    this.panels.forEach(({ leaves }, n) => {
      if (n > 0 && leaves !== null) places.set(leaves, [...(places.get(leaves) ?? []), n + 1]);
    });
    ctx.font = `600 11px ${this.theme.font}`;
    for (const [p, numbers] of places) {
      bar(p + 1 - 1 / pixel, p + 1 + 1 / pixel, 21, 5, FIRST);
      write(ctx, numbers.join(", "), clamp(x(p + 1), 8, this.stripWidth - 8), 28, this.theme.text, "center", "top");
    }
  }

  told({ leaves, difference }, n) {
    if (n === 0) return "The others are compared with this one.";
    if (leaves === null) return "The same picture, pixel by pixel.";
    if (leaves >= this.position) return "Still the same.";
    const { row, col } = placeOf(this, leaves);
    const differing = difference.subarray(0, this.position).filter(Boolean).length;
    return `First different at row ${row}, column ${col}; ${differing} of ${this.position} pixels differ.`;
  }

  words() {
    const p = this.hovered >= 0 ? this.hovered : this.position - 1;
    if (p < 0) return `Nothing drawn yet: 0 of ${this.total} pixels.`;
    const part = (array) => [...array.slice(p * this.channels, (p + 1) * this.channels)];
    const u = part(this.uniform).map((value) => value.toFixed(3)).join(", ");
    const drawn = this.panels.map((panel, n) => p < this.position
      ? `${n + 1}: level ${part(panel.levels).join(", ")}, ${panel.surprise[p].toFixed(1)} bits`
      : `${n + 1}: not drawn yet`);
    const { row, col } = placeOf(this, p);
    return `Row ${row}, column ${col}: the same random number ${u} gave ${drawn.join(" · ")}. `
      + `${this.position} of ${this.total} pixels.`;
  }
}

export default mount(".pxt", Together);
