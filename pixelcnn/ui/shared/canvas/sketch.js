// The drawing itself: levels and states of all pixels, and what the tools do to them.
// Nothing in this file touches the page.

import { placeOf } from "../../browser/basics.js";

// States of a pixel, as in pixelcnn/ui/shared/sketch.py.
export const UNKNOWN = 0;
export const GIVEN = 1;
export const DRAWN = 2;
const MAX_UNDO = 60;

export const toBase64 = (bytes) => btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
export const fromBase64 = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

export class Sketch {
  constructor({ height, width, channels, levels }) {
    Object.assign(this, { height, width, channels, levels }); // `levels` is their number
    this.level = new Uint8Array(height * width * channels); // one pixel's channels after another's
    this.state = new Uint8Array(height * width); // an unknown pixel keeps its level, for invert
    this.undoStack = [];
    this.redoStack = [];
  }

  get total() { return this.height * this.width; }

  fits(other) {
    return ["height", "width", "channels", "levels"].every((name) => this[name] === other[name]);
  }

  levelsAt(pixel) { return this.level.subarray(pixel * this.channels, (pixel + 1) * this.channels); }

  // --- copies of all pixels ---

  copy() { return { level: this.level.slice(), state: this.state.slice() }; }

  put({ level, state }) {
    this.level.set(level);
    this.state.set(state);
  }

  equals({ level, state }) {
    return this.level.every((value, i) => value === level[i])
      && this.state.every((value, i) => value === state[i]);
  }

  // --- undo ---

  // Ends a change that began at `before`; says whether there was one.
  remember(before) {
    if (this.equals(before)) return false;
    this.undoStack.push(before);
    if (this.undoStack.length > MAX_UNDO) this.undoStack.shift();
    this.redoStack = [];
    return true;
  }

  undo() { return this.swap(this.undoStack, this.redoStack); }

  redo() { return this.swap(this.redoStack, this.undoStack); }

  swap(from, to) {
    if (!from.length) return false;
    to.push(this.copy());
    this.put(from.pop());
    return true;
  }

  // --- changes ---

  set(pixel, paint) {
    if (paint.unknown) {
      this.state[pixel] = UNKNOWN;
    } else {
      this.levelsAt(pixel).fill(paint.level);
      this.state[pixel] = DRAWN;
    }
  }

  apply(pixels, paint) { for (const pixel of pixels) this.set(pixel, paint); }

  clear() {
    this.level.fill(0);
    this.state.fill(UNKNOWN);
  }

  // What was known becomes unknown; what was unknown is given with the level that lies there.
  invert() {
    for (let i = 0; i < this.total; i++) this.state[i] = this.state[i] === UNKNOWN ? GIVEN : UNKNOWN;
  }

  // --- sets of pixels ---

  block(top, left, bottom, right) {
    const pixels = [];
    for (let row = Math.max(0, top); row <= Math.min(this.height - 1, bottom); row++) {
      for (let col = Math.max(0, left); col <= Math.min(this.width - 1, right); col++) {
        pixels.push(row * this.width + col);
      }
    }
    return pixels;
  }

  // All marks of a brush from one pixel to another, so that a quick stroke has no gaps.
  stroke(from, to, size) {
    const a = placeOf(this, from), b = placeOf(this, to), before = Math.floor((size - 1) / 2);
    const steps = Math.max(Math.abs(b.row - a.row), Math.abs(b.col - a.col), 1);
    const pixels = new Set();
    for (let i = 0; i <= steps; i++) {
      const row = Math.round(a.row + ((b.row - a.row) * i) / steps) - before;
      const col = Math.round(a.col + ((b.col - a.col) * i) / steps) - before;
      for (const pixel of this.block(row, col, row + size - 1, col + size - 1)) pixels.add(pixel);
    }
    return [...pixels];
  }

  rectangle(from, to) {
    const a = placeOf(this, from), b = placeOf(this, to);
    return this.block(Math.min(a.row, b.row), Math.min(a.col, b.col),
      Math.max(a.row, b.row), Math.max(a.col, b.col));
  }

  above(pixel) { return this.block(0, 0, placeOf(this, pixel).row, this.width - 1); }

  below(pixel) { return this.block(placeOf(this, pixel).row, 0, this.height - 1, this.width - 1); }

  // The connected pixels that look like this one.
  fill(first) {
    const look = (pixel) => (this.state[pixel] === UNKNOWN ? "" : this.levelsAt(pixel).join());
    const found = new Set([first]);
    for (const pixel of found) {
      const { row, col } = placeOf(this, pixel);
      for (const next of [[row - 1, col], [row + 1, col], [row, col - 1], [row, col + 1]]) {
        const [beside] = this.block(...next, ...next); // none outside of the picture
        if (beside !== undefined && look(beside) === look(first)) found.add(beside);
      }
    }
    return [...found];
  }

  // --- words ---

  count(state) { return this.state.reduce((sum, value) => sum + (value === state), 0); }

  describe(pixel) {
    const { row, col } = placeOf(this, pixel);
    const what = ["unknown", "given", "drawn"][this.state[pixel]];
    return `row ${row}, column ${col}: ${what}`
      + (this.state[pixel] === UNKNOWN ? "" : `, level ${this.levelsAt(pixel).join(", ")}`);
  }
}
