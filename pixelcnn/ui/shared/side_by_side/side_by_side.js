// Several finished pictures played in step. All numbers are here; the server is not asked again.

import { clamp, placeOf, setText } from "../../browser/basics.js";
import { mount } from "../../browser/mount.js";
import { drawColourBar, fitCanvas, levelColour, mapColour, write } from "../../browser/paint.js";
import { PixelGrid, pixelUnder } from "../../browser/pixel_grid.js";
import { Playback } from "../../browser/playback.js";

const FAR = 255; // largest difference of two display values
const FIRST = "#d9772b"; // where a picture leaves the first one
const CHANNELS = ["#d04444", "#3f9e4d", "#3f6fcc"];
const EXPECTED = 56; // height of a distribution
const FIGURE = '<figcaption></figcaption><canvas class="pxt-picture" role="img"></canvas>'
  + '<canvas class="pxt-expected" role="img"></canvas><p class="pxt-note"></p>'
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
    this.panels = captions.map((caption, n) => {
      const difference = sections[`difference${n}`];
      return {
        caption, note: head.notes[n], numLevels: head.levels[n], levels: sections[`levels${n}`],
        surprise: sections[`surprise${n}`], expected: sections[`expected${n}`], difference,
        leaves: difference.findIndex(Boolean), // where it leaves the first picture; -1: nowhere
      };
    });
    this.hovered = this.pinned = -1;
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
      const [caption, picture, expected, note, difference] = figure.children;
      caption.textContent = `${n + 1}: ${panel.caption}`;
      picture.ariaLabel = `Picture ${n + 1}: ${panel.caption}`;
      difference.ariaLabel = `Differences of picture ${n + 1}`;
      expected.ariaLabel = `What picture ${n + 1}'s model expected at the pixel looked at, level by level`;
      note.textContent = panel.note;
      for (const canvas of [picture, difference]) {
        canvas.addEventListener("pointermove", (event) => this.hover(pixelUnder(canvas, event, this)));
        canvas.addEventListener("pointerleave", () => this.hover(-1));
        canvas.addEventListener("click", (event) => this.pin(pixelUnder(canvas, event, this)));
      }
      panel.figure = figure;
      return figure;
    }));
  }

  pin(pixel) {
    this.pinned = pixel === this.pinned ? -1 : pixel;
    this.touch();
  }

  escape() { this.pin(-1); }

  // The pixel that is looked at: under the pointer, or clicked, else the last one drawn.
  get pixel() {
    return this.hovered >= 0 ? this.hovered : this.pinned >= 0 ? this.pinned : this.position - 1;
  }

  draw() {
    const { find, theme, panels } = this;
    const compares = find(".pxt-differences").checked;
    panels.forEach((panel, n) => {
      const [, picture, expected, , difference, told] = panel.figure.children;
      const shape = { channels: this.channels, levels: panel.numLevels };
      this.drawPixels(picture, n, (p) => levelColour(panel.levels, p, shape));
      this.drawExpected(expected, panel);
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
      if (leaves < position) grid.outline(leaves, FIRST);
    }
    if (this.hovered >= 0 || this.pinned >= 0) grid.outline(this.pixel, theme.primary);
    else if (position < this.total) grid.outline(position - 1, theme.primary);
  }

  // What was expected at the pixel looked at, as bars over the levels, and what was drawn.
  drawExpected(canvas, { expected, levels, numLevels }) {
    const side = clamp(canvas.parentElement.clientWidth, 40, 300), { channels, pixel, theme } = this;
    const ctx = fitCanvas(canvas, side, EXPECTED), bottom = EXPECTED - 8, bar = side / numLevels;
    ctx.fillStyle = theme.border;
    ctx.fillRect(0, bottom, side, 1);
    if (pixel < 0 || pixel >= this.position) return;
    for (let channel = 0; channel < channels; channel++) {
      const dim = pixel * channels + channel;
      const roots = expected.subarray(dim * numLevels, (dim + 1) * numLevels); // sqrt(p) * 255
      const most = Math.max(...roots) ** 2;
      const colour = channels === 1 ? theme.text : CHANNELS[channel];
      ctx.fillStyle = colour;
      roots.forEach((root, level) => {
        const tall = (bottom * root ** 2) / most;
        ctx.fillRect(level * bar, bottom - tall, Math.max(1, bar), tall);
      });
      const x = clamp((levels[dim] + 0.5) * bar, 4, side - 4);
      ctx.fillStyle = channels === 1 ? FIRST : colour;
      ctx.fill(new Path2D(`M${x} ${bottom + 1}l4 7h-8z`));
    }
  }

  // Where on the time line each picture leaves the first one.
  drawFirsts() {
    const { ctx, x, bar, pixel } = this.drawTrack(46);
    const places = new Map();
    this.panels.forEach(({ leaves }, n) => {
      if (leaves >= 0) places.set(leaves, [...(places.get(leaves) ?? []), n + 1]);
    });
    ctx.font = `600 11px ${this.theme.font}`;
    for (const [p, numbers] of places) {
      bar(p + 1 - 1 / pixel, p + 1 + 1 / pixel, 21, 5, FIRST);
      write(ctx, numbers.join(", "), clamp(x(p + 1), 8, this.stripWidth - 8), 28, this.theme.text, "center", "top");
    }
  }

  told({ leaves, difference }, n) {
    if (n === 0) return "The others are compared with this one.";
    if (leaves < 0) return "The same picture, pixel by pixel.";
    if (leaves >= this.position) return "Still the same.";
    const { row, col } = placeOf(this, leaves);
    const differing = difference.subarray(0, this.position).filter(Boolean).length;
    return `First different at row ${row}, column ${col}; ${differing} of ${this.position} pixels differ.`;
  }

  words() {
    const p = this.pixel;
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
