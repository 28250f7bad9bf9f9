// The maps of one scored picture. Everything that is hovered is marked everywhere; the server is
// told only of the pixel that is chosen.

import { clamp, placeOf, setText, thousands } from "../../browser/basics.js";
import { Component, mount } from "../../browser/mount.js";
import {
  barStep, bitsBar, drawColourBar, drawDisc, fitCanvas, mapColour, strokeWith, valuesAt, write,
} from "../../browser/paint.js";
import { PixelGrid, pixelBeside, pixelUnder } from "../../browser/pixel_grid.js";

const SELECT_PAUSE = 160; // ms without another key before the server is told
const LINE = { height: 190, left: 46, right: 10, top: 8, bottom: 34 };
const SPENT = "#3f83cc", EXPECTED = "#8a93a3";

class Maps extends Component {
  constructor(root) {
    super(root);
    this.selected = -1;
    for (const canvas of this.all(".pxm-map, .pxm-line")) {
      const at = (event) => canvas.matches(".pxm-map")
        ? pixelUnder(canvas, event, this) : this.stepAt(canvas, event);
      this.on(canvas, "pointermove", (event) => {
        if (event.pointerType !== "touch") this.hover(at(event));
      });
      this.on(canvas, "pointerleave", () => this.hover(-1));
      this.on(canvas, "click", (event) => this.select(at(event), 0));
    }
    this.on(root, "keydown", (event) => {
      const pixel = pixelBeside(event, this.selected, this);
      if (pixel < 0) return;
      event.preventDefault();
      this.select(pixel, SELECT_PAUSE);
    });
  }

  accept({ head, sections }) {
    if (head.id === this.id) { // the same picture: the answer to a selection, or another pixel
      if (head.selected !== this.told) this.selected = this.told = head.selected;
      return;
    }
    // Of every pixel: values, levels, surprise, entropy, step; of every step: scan, spent, expected.
    Object.assign(this, head, sections);
    this.told = head.selected; // what the server was told, or said, last
    this.total = this.width * this.height;
    this.hovered = -1;
    const ceil = (bits) => Math.ceil(bits / barStep(bits)) * barStep(bits);
    const most = Math.max(this.uniform_bits, Math.min(24 * this.channels, Math.max(...this.surprise)));
    this.limits = { surprise: ceil(most), entropy: ceil(this.uniform_bits) };
    this.isReady = true;
  }

  get shown() { return this.hovered >= 0 ? this.hovered : this.selected; }

  // --- drawing ---

  lay() {
    this.side = clamp(this.find(".pxm-map").parentElement.clientWidth, 40, 300);
    this.lineWidth = Math.max(200, this.root.clientWidth - 4);
  }

  draw() {
    for (const canvas of this.all(".pxm-map")) this.drawMap(canvas);
    for (const canvas of this.all(".pxm-bar")) {
      const { bar } = canvas.dataset, limit = this.limits[bar];
      const over = this[bar].some((bits) => bits > limit);
      drawColourBar(canvas, this.side, bitsBar(limit, over), this.theme);
    }
    this.drawLine(this.find(".pxm-line"));
    setText(this.find(".pxm-readout"), this.words());
  }

  drawMap(canvas) {
    const { map } = canvas.dataset, scale = this.side / this.width;
    const grid = new PixelGrid(fitCanvas(canvas, this.side, scale * this.height), this, scale);
    grid.paint((p) => (map === "picture" ? valuesAt(this.values, p, this.channels)
      : mapColour(this[map][p] / this.limits[map])));
    grid.outline(this.selected, this.theme.primary);
    if (this.hovered !== this.selected) grid.outline(this.hovered, "#444", 1.75, true);
  }

  drawLine(canvas) {
    const { theme, total, lineWidth: width } = this;
    const ctx = fitCanvas(canvas, width, LINE.height);
    const highest = Math.max(this.spent[total], this.expected[total], 1);
    const span = width - LINE.left - LINE.right, rise = LINE.height - LINE.top - LINE.bottom;
    const x = (step) => LINE.left + (span * step) / total;
    const y = (bits) => LINE.top + rise * (1 - bits / highest);
    ctx.font = `11px ${theme.font}`;
    const tick = [1, 2, 5].flatMap((n) => [0, 1, 2, 3, 4].map((e) => n * 10 ** e))
      .sort((a, b) => a - b).find((n) => highest / n <= 5) ?? highest;
    for (let bits = 0; bits <= highest; bits += tick) {
      ctx.fillStyle = theme.border;
      ctx.fillRect(LINE.left, Math.round(y(bits)), span, 1);
      write(ctx, bits.toLocaleString("en"), LINE.left - 6, y(bits), theme.muted, "right", "middle");
    }
    const every = Math.max(1, Math.ceil(this.height / (span / 70)));
    const below = (text, at, down) => write(ctx, text, at, LINE.height - down, theme.muted, "center", "top");
    for (let line = 0; line < this.height; line += every) {
      below(`${line}`, x(line * this.width), LINE.bottom - 5);
    }
    below("lines read so far", LINE.left + span / 2, 14);
    for (const [values, ...stroke] of [[this.expected, EXPECTED, 1.5, [4, 3]], [this.spent, SPENT, 2.25]]) {
      const path = new Path2D();
      values.forEach((bits, i) => path.lineTo(x(i), y(bits)));
      strokeWith(ctx, path, stroke);
    }
    for (const [pixel, colour] of [[this.selected, theme.primary], [this.hovered, theme.muted]]) {
      if (pixel < 0) continue;
      const at = x(this.step[pixel] + 0.5);
      ctx.fillStyle = colour;
      ctx.fillRect(at - 0.75, LINE.top, 1.5, rise);
      drawDisc(ctx, at, y(this.spent[this.step[pixel] + 1]), 3.5, colour);
    }
  }

  words() {
    const p = this.shown;
    if (p < 0) return "";
    const levels = [...this.levels.slice(p * this.channels, (p + 1) * this.channels)].join(", ");
    const i = this.step[p];
    const { row, col } = placeOf(this, p);
    return `Row ${row}, column ${col}: level ${levels} cost `
      + `${this.surprise[p].toFixed(2)} bits; the model expected ${this.entropy[p].toFixed(2)}. `
      + `Pixel ${i + 1} of ${this.total}: ${thousands(this.spent[i + 1])} of `
      + `${thousands(this.spent[this.total])} bits spent.`;
  }

  // --- the visitor ---

  stepAt(canvas, event) {
    const box = canvas.getBoundingClientRect();
    const span = box.width - LINE.left - LINE.right;
    const step = Math.floor(((event.clientX - box.left - LINE.left) / span) * this.total);
    return step >= 0 && step < this.total ? this.scan[step] : -1;
  }

  select(pixel, pause) {
    if (pixel < 0 || pixel === this.selected) return;
    this.selected = pixel;
    this.hovered = -1;
    this.touch();
    clearTimeout(this.telling);
    this.telling = setTimeout(() => {
      this.told = pixel;
      this.setTriggerValue("select", { id: this.id, pixel });
    }, pause);
  }

  destroy() {
    clearTimeout(this.telling);
    super.destroy();
  }
}

export default mount(".pxm", Maps);
