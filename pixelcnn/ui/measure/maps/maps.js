// The maps of one scored picture. Everything that is hovered is marked everywhere; the server is
// told only of the pixel that is chosen.

import { parseMessage } from "../../generate/player/trace.js";
import {
  MAP_COLOURS, barStep, drawColourBar, fitCanvas, outlinePixel, paintPixels, pixelUnder, valuesAt,
} from "../../generate/player/pictures.js";
import { readTheme } from "../../generate/player/panels.js";

const SELECT_PAUSE = 160; // ms without another key before the server is told
const LINE = { height: 190, left: 46, right: 10, top: 8, bottom: 34 };
const SPENT = "#3f83cc", EXPECTED = "#8a93a3";
const MOUNTED = new WeakMap(); // by parent element, which stays the same for a mount

class Maps {
  constructor(parent) {
    this.root = parent.querySelector(".pxm");
    this.root.__maps = this; // for tests
    this.find = (selector) => this.root.querySelector(selector);
    this.generation = 0;
    this.hovered = this.selected = -1;
    this.stop = new AbortController();
    this.listen();
    this.sizes = new ResizeObserver(() => this.draw());
    this.sizes.observe(this.root);
  }

  accept(view) {
    const { head, sections } = parseMessage(view);
    if (head.id === this.id) { // the same picture: the answer to a selection, or another pixel
      if (head.selected !== this.told) this.selected = this.told = head.selected;
      return;
    }
    Object.assign(this, head, sections);
    this.told = head.selected; // what the server was told, or said, last
    this.total = this.width * this.height;
    this.hovered = -1;
    this.step = new Uint16Array(this.total); // of each pixel
    this.spent = new Float64Array(this.total + 1);
    this.expected = new Float64Array(this.total + 1);
    for (let i = 0; i < this.total; i++) {
      this.step[this.scan[i]] = i;
      this.spent[i + 1] = this.spent[i] + this.surprise[this.scan[i]];
      this.expected[i + 1] = this.expected[i] + this.entropy[this.scan[i]];
    }
    const most = Math.max(this.uniform_bits, Math.min(24 * this.channels, Math.max(...this.surprise)));
    this.limits = { surprise: this.ceil(most), entropy: this.ceil(this.uniform_bits) };
    this.draw();
  }

  ceil(bits) { return Math.ceil(bits / barStep(bits)) * barStep(bits); }

  get shown() { return this.hovered >= 0 ? this.hovered : this.selected; }

  // --- drawing ---

  draw() {
    if (!this.total) return;
    this.theme ??= readTheme(this.root);
    for (const canvas of this.root.querySelectorAll(".pxm-map")) this.drawMap(canvas);
    for (const canvas of this.root.querySelectorAll(".pxm-bar")) {
      const { bar } = canvas.dataset, limit = this.limits[bar];
      const over = this[bar].some((bits) => bits > limit);
      drawColourBar(canvas, this.side(canvas), limit, this.theme, over);
    }
    this.drawLine(this.find(".pxm-line"));
    this.find(".pxm-readout").textContent = this.words();
  }

  side(canvas) { return Math.max(40, Math.min(300, canvas.parentElement.clientWidth)); }

  colour(map, pixel) {
    if (map === "picture") return valuesAt(this.values, pixel, this.channels);
    const at = Math.round((255 * this[map][pixel]) / this.limits[map]);
    return MAP_COLOURS[Math.max(0, Math.min(255, at))];
  }

  drawMap(canvas) {
    const side = this.side(canvas), scale = side / this.width;
    const ctx = fitCanvas(canvas, side, scale * this.height);
    const shape = { width: this.width, height: this.height, count: this.total };
    paintPixels(ctx, shape, side, (p) => this.colour(canvas.dataset.map, p));
    const outline = (pixel, colour, dashed) => {
      if (pixel < 0) return;
      const place = [(pixel % this.width) * scale, Math.floor(pixel / this.width) * scale, scale];
      outlinePixel(ctx, place, colour, 1.75, dashed);
    };
    outline(this.selected, this.theme.primary, false);
    if (this.hovered !== this.selected) outline(this.hovered, "#444", true);
  }

  drawLine(canvas) {
    const width = Math.max(200, this.root.clientWidth - 4);
    const ctx = fitCanvas(canvas, width, LINE.height);
    const highest = Math.max(this.spent[this.total], this.expected[this.total], 1);
    const span = width - LINE.left - LINE.right, rise = LINE.height - LINE.top - LINE.bottom;
    const x = (step) => LINE.left + (span * step) / this.total;
    const y = (bits) => LINE.top + rise * (1 - bits / highest);
    const { theme } = this;
    ctx.font = `11px ${theme.font}`;
    ctx.textBaseline = "middle";
    const tick = [1, 2, 5].flatMap((n) => [0, 1, 2, 3, 4].map((e) => n * 10 ** e))
      .sort((a, b) => a - b).find((n) => highest / n <= 5) ?? highest;
    for (let bits = 0; bits <= highest; bits += tick) {
      ctx.fillStyle = theme.border;
      ctx.fillRect(LINE.left, Math.round(y(bits)), span, 1);
      ctx.fillStyle = theme.muted;
      ctx.textAlign = "right";
      ctx.fillText(bits.toLocaleString("en"), LINE.left - 6, y(bits));
    }
    ctx.textBaseline = "top";
    ctx.textAlign = "center";
    const every = Math.max(1, Math.ceil(this.height / (span / 70)));
    for (let line = 0; line < this.height; line += every) {
      ctx.fillStyle = theme.muted;
      ctx.fillText(`${line}`, x(line * this.width), LINE.height - LINE.bottom + 5);
    }
    ctx.fillText("line of the scan", LINE.left + span / 2, LINE.height - 14);
    for (const [bits, colour, dash, stroke] of
      [[this.expected, EXPECTED, [4, 3], 1.5], [this.spent, SPENT, [], 2.25]]) {
      ctx.beginPath();
      for (let i = 0; i <= this.total; i++) ctx.lineTo(x(i), y(bits[i]));
      ctx.setLineDash(dash);
      ctx.strokeStyle = colour;
      ctx.lineWidth = stroke;
      ctx.stroke();
    }
    ctx.setLineDash([]);
    for (const [pixel, colour] of [[this.selected, theme.primary], [this.hovered, theme.muted]]) {
      if (pixel < 0) continue;
      const at = x(this.step[pixel] + 0.5);
      ctx.fillStyle = colour;
      ctx.fillRect(at - 0.75, LINE.top, 1.5, rise);
      ctx.beginPath();
      ctx.arc(at, y(this.spent[this.step[pixel] + 1]), 3.5, 0, 2 * Math.PI);
      ctx.fill();
    }
  }

  words() {
    const p = this.shown;
    if (p < 0) return "";
    const levels = [...this.levels.slice(p * this.channels, (p + 1) * this.channels)].join(", ");
    const i = this.step[p], round = (bits) => Math.round(bits).toLocaleString("en");
    return `Row ${Math.floor(p / this.width)}, column ${p % this.width}: level ${levels} cost `
      + `${this.surprise[p].toFixed(2)} bits; the model expected ${this.entropy[p].toFixed(2)}. `
      + `Pixel ${i + 1} of ${this.total}: ${round(this.spent[i + 1])} of `
      + `${round(this.spent[this.total])} bits spent.`;
  }

  // --- the visitor ---

  listen() {
    const { signal } = this.stop;
    for (const canvas of this.root.querySelectorAll(".pxm-map, .pxm-line")) {
      const at = (event) => canvas.matches(".pxm-map")
        ? pixelUnder(canvas, event, this) : this.stepAt(canvas, event);
      canvas.addEventListener("pointermove", (event) => {
        if (event.pointerType !== "touch") this.hover(at(event));
      }, { signal });
      canvas.addEventListener("pointerleave", () => this.hover(-1), { signal });
      canvas.addEventListener("click", (event) => this.select(at(event), 0), { signal });
    }
    this.root.addEventListener("keydown", (event) => {
      const move = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
      if (!move[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      const [down, right] = move[event.key];
      const row = Math.floor(this.selected / this.width) + down;
      const col = (this.selected % this.width) + right;
      const inside = row >= 0 && row < this.height && col >= 0 && col < this.width;
      if (inside) this.select(row * this.width + col, SELECT_PAUSE);
    }, { signal });
  }

  stepAt(canvas, event) {
    const box = canvas.getBoundingClientRect();
    const span = box.width - LINE.left - LINE.right;
    const step = Math.floor(((event.clientX - box.left - LINE.left) / span) * this.total);
    return step >= 0 && step < this.total ? this.scan[step] : -1;
  }

  hover(pixel) {
    if (pixel === this.hovered) return;
    this.hovered = pixel;
    this.draw();
  }

  select(pixel, pause) {
    if (pixel < 0 || pixel === this.selected) return;
    this.selected = pixel;
    this.hovered = -1;
    this.draw();
    clearTimeout(this.telling);
    this.telling = setTimeout(() => {
      this.told = pixel;
      this.send("select", { id: this.id, pixel });
    }, pause);
  }

  destroy() {
    clearTimeout(this.telling);
    this.sizes.disconnect();
    this.stop.abort();
  }
}

// Streamlit calls this again for every message and theme; the clean-up of a superseded call must
// do nothing, hence the generation.
export default function (component) {
  const { parentElement, data } = component;
  let maps = MOUNTED.get(parentElement);
  if (!maps) MOUNTED.set(parentElement, maps = new Maps(parentElement));
  maps.send = component.setTriggerValue;
  maps.theme = null;
  const generation = ++maps.generation;
  if (data) maps.accept(data);
  maps.draw();
  return () => {
    if (generation !== maps.generation) return;
    maps.destroy();
    MOUNTED.delete(parentElement);
  };
}
