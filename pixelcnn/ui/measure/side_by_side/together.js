// Several finished pictures played in step. All numbers are here; the server is not asked again.

import { parseMessage } from "../../generate/player/trace.js";
import {
  MAP_COLOURS, fitCanvas, hatch, outlinePixel, paintPixels, pixelUnder, rgba, valuesAt,
} from "../../generate/player/pictures.js";
import { readTheme } from "../../generate/player/panels.js";

const FAR = 255; // largest difference of two display values
const THUMB = 8; // about half the width of the slider's thumb
const KEYS_OF = "input, textarea, select, button, a, summary, [contenteditable], [role=slider],"
  + " [role=combobox], [role=listbox], [role=option], [role=dialog], [role=tab], [role=radio]";
const MOUNTED = new WeakMap(); // by parent element, which stays the same for a mount

class Together {
  constructor(parent) {
    this.root = parent.querySelector(".pxt");
    this.root.__together = this; // for tests
    this.find = (selector) => this.root.querySelector(selector);
    this.generation = 0;
    this.position = 0; // pixels shown of every picture
    this.clock = 0;
    this.hovered = -1;
    this.playing = false;
    this.dirty = true;
    this.stop = new AbortController();
    this.listen();
    this.sizes = new ResizeObserver(() => { this.dirty = true; });
    this.sizes.observe(this.root);
    this.frame = requestAnimationFrame((now) => this.tick(now));
  }

  accept(view) {
    const { head, sections } = parseMessage(view);
    if (head.id === this.id && String(head.captions) === String(this.captions)) return;
    Object.assign(this, head);
    this.total = this.width * this.height;
    this.uniform = sections.uniform;
    this.panels = this.captions.map((caption, n) => ({
      caption, first: this.first[n], values: sections[`values${n}`],
      levels: sections[`levels${n}`], surprise: sections[`surprise${n}`],
    }));
    this.find(".pxt-scrub").max = this.total;
    this.hovered = -1;
    this.makePanels();
    this.moveTo(0);
    this.playing = !matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (!this.playing) this.moveTo(this.total);
  }

  makePanels() {
    const grid = this.find(".pxt-panels");
    grid.style.setProperty("--pxt-columns", this.panels.length);
    grid.replaceChildren(...this.panels.map((panel, n) => {
      const figure = document.createElement("figure");
      figure.innerHTML = `<figcaption></figcaption><canvas class="pxt-picture" role="img"></canvas>`
        + `<canvas class="pxt-difference" role="img"></canvas><p class="pxt-told"></p>`;
      figure.querySelector("figcaption").textContent = `${n + 1}: ${panel.caption}`;
      figure.querySelector(".pxt-picture").ariaLabel = `Picture ${n + 1}: ${panel.caption}`;
      figure.querySelector(".pxt-difference").ariaLabel = `Differences of picture ${n + 1}`;
      for (const canvas of figure.querySelectorAll("canvas")) {
        canvas.addEventListener("pointermove", (event) => this.hover(pixelUnder(canvas, event, this)));
        canvas.addEventListener("pointerleave", () => this.hover(-1));
      }
      panel.figure = figure;
      return figure;
    }));
  }

  // Largest difference over the channels from the first picture, in display values.
  gap(panel, pixel) {
    let most = 0;
    for (let c = 0; c < this.channels; c++) {
      const at = pixel * this.channels + c;
      most = Math.max(most, Math.abs(panel.values[at] - this.panels[0].values[at]));
    }
    return most;
  }

  differing(panel) {
    let count = 0;
    for (let p = 0; p < this.position; p++) if (this.gap(panel, p) > 0) count += 1;
    return count;
  }

  // --- drawing ---

  draw() {
    this.dirty = false;
    this.theme ??= readTheme(this.root);
    this.root.style.setProperty("--px-on-primary", this.theme.onPrimary);
    this.root.dataset.playing = String(this.playing);
    this.root.dataset.position = this.position;
    const play = this.find(".pxt-play");
    play.ariaLabel = this.playing ? "Pause" : "Play";
    this.find(".pxt-scrub").value = this.position;
    const differences = this.find(".pxt-differences").checked;
    this.panels.forEach((panel, n) => {
      const [picture, difference] = panel.figure.querySelectorAll("canvas");
      const side = Math.max(40, Math.min(300, panel.figure.clientWidth));
      this.drawPixels(picture, side, (p) => valuesAt(panel.values, p, this.channels));
      difference.hidden = !differences || n === 0;
      difference.style.display = difference.hidden ? "none" : "block";
      if (!difference.hidden) {
        this.drawPixels(difference, side, (p) => MAP_COLOURS[this.gap(panel, p)]);
      }
      panel.figure.querySelector(".pxt-told").textContent = this.told(panel, n);
    });
    this.find(".pxt-bar").style.display = differences && this.panels.length > 1 ? "block" : "none";
    if (differences) this.drawScale(this.find(".pxt-bar"));
    this.drawMarks(this.find(".pxt-marks"));
    this.find(".pxt-readout").textContent = this.words();
  }

  drawPixels(canvas, side, colour) {
    const scale = side / this.width;
    const ctx = fitCanvas(canvas, side, scale * this.height);
    ctx.fillStyle = hatch(ctx, this.theme.empty, this.theme.emptyBack);
    ctx.fillRect(0, 0, side, scale * this.height);
    const shape = { width: this.width, height: this.height, count: this.position };
    paintPixels(ctx, shape, side, colour);
    const figure = canvas.closest("figure");
    const panel = this.panels.find((other) => other.figure === figure);
    // In the first picture, every place at which another one leaves it.
    const firsts = panel === this.panels[0] ? this.first.slice(1) : [panel.first];
    for (const p of firsts) if (p !== null && p < this.position) this.mark(ctx, p, scale, "#d9772b");
    if (this.hovered >= 0) this.mark(ctx, this.hovered, scale, "#444");
    else if (this.position < this.total && this.position > 0) {
      this.mark(ctx, this.position - 1, scale, this.theme.primary);
    }
  }

  mark(ctx, pixel, scale, colour) {
    const place = [(pixel % this.width) * scale, Math.floor(pixel / this.width) * scale, scale];
    outlinePixel(ctx, place, colour, 1.75);
  }

  drawScale(canvas) {
    const width = Math.max(120, Math.min(300, this.root.clientWidth)), inset = 8;
    const ctx = fitCanvas(canvas, width, 32), span = width - 2 * inset;
    canvas.ariaLabel = "Colour bar of the differences, 0 to 255 of 255";
    for (let x = 0; x < span; x++) {
      ctx.fillStyle = rgba(MAP_COLOURS[Math.round((FAR * x) / (span - 1))], 1);
      ctx.fillRect(inset + x, 2, 1.5, 10);
    }
    ctx.fillStyle = this.theme.text;
    ctx.font = `11px ${this.theme.font}`;
    ctx.textBaseline = "top";
    for (const [share, align, text] of [[0, "left", "no difference"], [1, "right", "black against white"]]) {
      ctx.textAlign = align;
      ctx.fillText(text, inset + share * span, 16);
    }
  }

  // Where on the time line each picture leaves the first one.
  drawMarks(canvas) {
    const width = this.find(".pxt-scrub").clientWidth;
    const ctx = fitCanvas(canvas, width, 18);
    ctx.font = `600 11px ${this.theme.font}`;
    ctx.textBaseline = "top";
    ctx.textAlign = "center";
    const places = new Map();
    this.first.forEach((p, n) => {
      if (n > 0 && p !== null) places.set(p, [...(places.get(p) ?? []), n + 1]);
    });
    for (const [p, numbers] of places) {
      const x = THUMB + ((width - 2 * THUMB) * (p + 1)) / this.total;
      ctx.fillStyle = "#d9772b";
      ctx.fillRect(x - 1, 0, 2, 5);
      ctx.fillStyle = this.theme.text;
      ctx.fillText(numbers.join(", "), Math.max(8, Math.min(width - 8, x)), 6);
    }
  }

  told(panel, n) {
    if (n === 0) return "The others are compared with this one.";
    if (panel.first === null) return "The same picture, pixel by pixel.";
    if (panel.first >= this.position) return "Still the same.";
    const row = Math.floor(panel.first / this.width), col = panel.first % this.width;
    return `First different at row ${row}, column ${col}; ${this.differing(panel)} of `
      + `${this.position} pixels differ.`;
  }

  words() {
    const p = this.hovered >= 0 ? this.hovered : this.position - 1;
    if (p < 0) return `Nothing drawn yet: 0 of ${this.total} pixels.`;
    const part = (array) => [...array.slice(p * this.channels, (p + 1) * this.channels)];
    const u = part(this.uniform).map((value) => value.toFixed(3)).join(", ");
    const drawn = this.panels.map((panel, n) => p < this.position
      ? `${n + 1}: level ${part(panel.levels).join(", ")}, ${panel.surprise[p].toFixed(1)} bits`
      : `${n + 1}: not drawn yet`);
    return `Row ${Math.floor(p / this.width)}, column ${p % this.width}: the same random number `
      + `${u} gave ${drawn.join(" · ")}. ${this.position} of ${this.total} pixels.`;
  }

  // --- playback ---

  moveTo(position) {
    this.position = this.clock = Math.max(0, Math.min(this.total, position));
    this.dirty = true;
  }

  perform(action) {
    if (action === "play") {
      this.playing = !this.playing;
      if (this.playing && this.position >= this.total) this.moveTo(0);
    } else {
      this.playing = false;
      this.moveTo({ start: 0, end: this.total, back: this.position - 1, forward: this.position + 1,
        "row-back": this.position - this.width, "row-forward": this.position + this.width }[action]);
    }
    this.dirty = true;
  }

  tick(now) {
    const seconds = Math.min(0.25, (now - (this.before ?? now)) / 1000); // a hidden tab stands still
    this.before = now;
    if (this.total && this.playing) {
      this.clock = Math.min(this.total, this.clock + seconds * Number(this.find(".pxt-speed").value));
      if (Math.floor(this.clock) !== this.position) {
        this.position = Math.floor(this.clock);
        this.dirty = true;
      }
      if (this.position >= this.total) this.playing = false;
    }
    if (this.total && this.dirty) this.draw();
    this.frame = requestAnimationFrame((next) => this.tick(next));
  }

  // --- the visitor ---

  listen() {
    const { signal } = this.stop;
    for (const button of this.root.querySelectorAll("[data-do]")) {
      button.addEventListener("click", () => this.perform(button.dataset.do), { signal });
    }
    this.find(".pxt-scrub").addEventListener("input", (event) => {
      this.playing = false;
      this.moveTo(Number(event.target.value));
    }, { signal });
    this.find(".pxt-differences").addEventListener("change", () => { this.dirty = true; }, { signal });
    document.addEventListener("keydown", (event) => this.key(event), { signal });
  }

  key(event) {
    if (!this.total || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    const path = event.composedPath(), inside = path.includes(this.root), target = path[0];
    // Elsewhere on the page the keys belong to the control that has the focus, if any has it.
    if (!inside && target.closest?.(KEYS_OF)) return;
    if (inside && target.matches("select")) return;
    if (inside && target.matches("input[type=range]") && event.key !== " ") return;
    if (inside && event.key === " " && target.matches("button, input[type=checkbox]")) return;
    const action = { " ": "play", ArrowLeft: "back", ArrowRight: "forward", ArrowUp: "row-back",
      ArrowDown: "row-forward", Home: "start", End: "end" }[event.key];
    if (!action || (event.key === " " && event.repeat)) return;
    event.preventDefault(); // the page would scroll
    this.perform(action);
  }

  hover(pixel) {
    if (pixel === this.hovered) return;
    this.hovered = pixel;
    this.dirty = true;
  }

  destroy() {
    cancelAnimationFrame(this.frame);
    this.sizes.disconnect();
    this.stop.abort();
  }
}

// Streamlit calls this again for every message and theme; the clean-up of a superseded call must
// do nothing, hence the generation.
export default function (component) {
  const { parentElement, data } = component;
  let players = MOUNTED.get(parentElement);
  if (!players) MOUNTED.set(parentElement, players = new Together(parentElement));
  players.theme = null;
  players.dirty = true;
  const generation = ++players.generation;
  if (data) players.accept(data);
  return () => {
    if (generation !== players.generation) return;
    players.destroy();
    MOUNTED.delete(parentElement);
  };
}
