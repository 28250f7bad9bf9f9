// The controller: pointer, keyboard and buttons change the sketch; the server is told after each
// change and can replace the drawing by sending another revision.

import { clamp, placeOf, setText } from "../../browser/basics.js";
import { LEAVING_MS, way } from "../../browser/leaving.js";
import { Component, mount } from "../../browser/mount.js";
import { pixelBeside, placeUnder } from "../../browser/pixel_grid.js";
import { paintSketch } from "./paint.js";
import { DRAWN, GIVEN, Sketch, UNKNOWN, fromBase64, toBase64 } from "./sketch.js";

const ZOOMS = [1, 1.5, 2, 3];
const KEYS = {
  b: ["tool", "brush"], r: ["tool", "rectangle"], a: ["tool", "above"], l: ["tool", "below"],
  f: ["tool", "fill"], 1: ["size", 1], 2: ["size", 2], 3: ["size", 3], i: ["paint", "ink"],
  k: ["paint", "background"], u: ["paint", "unknown"],
};

class Canvas extends Component {
  constructor(root) {
    super(root);
    this.element = this.find(".pxd-canvas");
    this.levelInput = this.find(".pxd-level");
    this.sketch = null;
    this.revision = null; // of the server's last replacement that was taken
    this.tool = "brush";
    this.size = 2;
    this.unknown = false;
    this.zoom = 0;
    this.gesture = null; // {pointer (null: keyboard), tool, paint, from, at, before}
    this.cursor = -1; // the pixel that the keyboard is at
    this.listen();
  }

  // --- messages ---

  accept({ head, sections }) {
    if (head.revision !== this.revision) this.cancel(); // it changed what is replaced now
    const first = !this.sketch?.fits(head); // of this shape and these levels
    if (first) this.sketch = new Sketch(head);
    this.head = head;
    this.ignored = sections.ignored ?? null;
    this.levelInput.max = head.levels - 1;
    if (first) this.levelInput.value = head.levels - 1;
    if (head.revision !== this.revision) this.replace(head, sections, first);
    this.revision = head.revision;
    this.keep();
    this.isReady = true;
    this.touch();
  }

  // The server's drawing takes the place of the one here, which can be taken back.
  replace(head, theirs, first) {
    const { sketch } = this;
    const memory = first || head.fresh ? this.recallDrawing(head) : null;
    if (memory) {
      Object.assign(sketch, { undoStack: memory.undo, redoStack: memory.redo });
      sketch.put(memory);
      if (sketch.equals(theirs)) return;
      // A new session, after a reload or of a server started anew, knows nothing of this drawing
      // yet, and one whose drawing was not replaced since has missed the last stroke before the
      // page was left.
      if (head.fresh || memory.revision === head.revision) {
        setTimeout(() => this.send());
        return;
      }
    }
    const before = sketch.copy();
    sketch.put(theirs);
    if (!first || memory) sketch.remember(before);
  }

  send() {
    clearTimeout(this.waiting);
    this.setStateValue("drawing", {
      revision: this.revision, level: toBase64(this.sketch.level), state: toBase64(this.sketch.state),
    });
    this.keep();
  }

  // Not after a click on a link, see leaving.js; the stroke is kept for the next visit.
  sendSoon(since = performance.now()) {
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => {
      const isLeaving = way.leftAt > since && performance.now() - way.leftAt < LEAVING_MS;
      if (isLeaving) this.sendSoon(since);
      else this.send();
    }, this.head.pause_ms);
  }

  // The drawing and what can be taken back outlive a reload and other pages, in this tab.
  keep() {
    const pack = ({ level, state }) => toBase64(level) + " " + toBase64(state);
    const { sketch } = this, { height, width, channels, levels } = sketch;
    this.remember("drawing", {
      link: this.head.link, revision: this.revision, height, width, channels, levels,
      now: pack(sketch), undo: sketch.undoStack.slice(-20).map(pack), redo: sketch.redoStack.slice(-20).map(pack),
    });
  }

  recallDrawing({ link, fresh }) {
    const unpack = (text) => {
      const [level, state] = text.split(" ").map(fromBase64);
      return { level, state };
    };
    const value = this.recall("drawing");
    // Only a new session may be about another drawing: that of its link, if it has one.
    if (!value || (fresh && link && value.link !== link) || !this.sketch.fits(value)) return null;
    const [undo, redo] = [value.undo, value.redo].map((steps) => steps.map(unpack));
    return { ...unpack(value.now), undo, redo, revision: value.revision };
  }

  // --- what the tools do ---

  get paint() { return { unknown: this.unknown, level: Number(this.levelInput.value) }; }

  // The pixels that a gesture changes; a stroke has changed the earlier ones already.
  pixels(tool, from, to) {
    if (tool === "brush") return this.sketch.stroke(from, to, this.size);
    return tool === "rectangle" ? this.sketch.rectangle(from, to) : this.sketch[tool](to);
  }

  begin(at, erase, pointer) {
    const paint = erase ? { unknown: true } : this.paint;
    this.gesture = { pointer, tool: this.tool, paint, from: at, at, before: this.sketch.copy() };
    this.move(at);
  }

  move(at) {
    const { gesture, sketch } = this;
    const isBrush = gesture.tool === "brush";
    if (!isBrush) sketch.put(gesture.before); // what a shape covers is only what it covers at last
    sketch.apply(this.pixels(gesture.tool, isBrush ? gesture.at : gesture.from, at), gesture.paint);
    gesture.at = at;
    this.touch();
  }

  end() {
    const { before } = this.gesture;
    this.gesture = null;
    this.changed(before);
  }

  cancel() {
    if (!this.gesture) return;
    this.sketch.put(this.gesture.before);
    this.gesture = null;
    this.touch();
  }

  changed(before) {
    this.touch();
    if (!this.sketch.remember(before)) return;
    this.keep();
    if (this.head.pause_ms) this.sendSoon();
    else this.send();
  }

  perform(action) {
    const { sketch } = this;
    this.cancel();
    this.touch();
    if (action === "undo" || action === "redo") {
      if (sketch[action]()) this.send();
    } else if (action === "larger" || action === "smaller") {
      this.zoom = clamp(this.zoom + (action === "larger" ? 1 : -1), 0, ZOOMS.length - 1);
    } else {
      const before = sketch.copy();
      sketch[action]();
      this.changed(before);
    }
  }

  choose(kind, value) {
    if (kind === "tool") this.tool = value;
    else if (kind === "size") this.size = Number(value);
    else if (value === "unknown") this.unknown = true;
    else this.setLevel(value === "ink" ? this.sketch.levels - 1 : 0);
    this.touch();
  }

  setLevel(level) {
    this.unknown = false;
    this.levelInput.value = clamp(level, 0, this.sketch.levels - 1);
    this.touch();
  }

  // --- the visitor ---

  listen() {
    for (const kind of ["tool", "size", "paint"]) {
      this.on(`[data-${kind}]`, "click", (event) => this.choose(kind, event.currentTarget.dataset[kind]));
    }
    this.on("[data-do]", "click", (event) => this.perform(event.currentTarget.dataset.do));
    this.on(this.levelInput, "input", () => this.setLevel(this.paint.level));
    this.on(".pxd-order", "change", () => this.touch());
    const { element } = this;
    const on = (event, act) => this.on(element, event, act);
    on("contextmenu", (event) => event.preventDefault());
    on("pointerdown", (event) => {
      if (event.button !== 0 && event.button !== 2) return;
      if (this.gesture) return this.cancel(); // a second finger, or the other button
      element.setPointerCapture(event.pointerId);
      this.cursor = -1;
      this.begin(this.pixelAt(event), event.button === 2, event.pointerId);
    });
    on("pointermove", (event) => {
      const at = this.pixelAt(event);
      if (event.pointerType !== "touch") this.hovered = at;
      this.touch();
      if (this.gesture?.pointer !== event.pointerId) return;
      for (const part of event.getCoalescedEvents?.() ?? []) this.move(this.pixelAt(part));
      this.move(at);
    });
    on("pointerup", ({ pointerId }) => {
      if (this.gesture?.pointer === pointerId) this.end();
    });
    on("pointercancel", () => this.cancel());
    on("pointerleave", () => {
      this.hovered = -1;
      this.touch();
    });
    on("focus", () => {
      if (element.matches(":focus-visible")) this.cursor = this.here;
      this.touch();
    });
    on("blur", () => {
      this.cancel();
      this.cursor = -1;
      this.touch();
    });
    this.on(this.root, "keydown", (event) => this.key(event));
  }

  // Where the keyboard is, or would begin.
  get here() {
    const { height, width } = this.sketch;
    return this.cursor >= 0 ? this.cursor : (height >> 1) * width + (width >> 1);
  }

  // A stroke goes on outside, along the edge.
  pixelAt(event) {
    const { height, width } = this.sketch;
    const { row, col } = placeUnder(this.element, event, this.sketch);
    return clamp(row, 0, height - 1) * width + clamp(col, 0, width - 1);
  }

  key(event) {
    const action = this.actionOf(event);
    if (!action) return;
    event.preventDefault();
    event.stopPropagation(); // Streamlit and the player have keys of their own
    action();
  }

  actionOf(event) {
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (event.ctrlKey || event.metaKey) {
      const action = { z: event.shiftKey ? "redo" : "undo", y: "redo" }[key];
      return action && !event.altKey ? () => this.perform(action) : null;
    }
    if (event.altKey || event.target !== this.element) return null;
    const beside = pixelBeside(event, this.here, this.sketch);
    if (beside >= 0) return () => this.step(beside, event.shiftKey);
    if (key === " " || key === "Enter") return () => { if (!event.repeat) this.stamp(this.paint); };
    if (key === "Delete" || key === "Backspace") return () => this.stamp({ unknown: true });
    if (key === "Escape") return this.gesture && (() => this.cancel());
    if (key === "[" || key === "]") {
      const step = Math.max(1, Math.round(this.sketch.levels / 16));
      return () => this.setLevel(this.paint.level + (key === "]" ? step : -step));
    }
    if (key === "+" || key === "-") return () => this.perform(key === "+" ? "larger" : "smaller");
    return KEYS[key] && (() => this.choose(...KEYS[key]));
  }

  step(to, painting) {
    const from = this.here;
    this.cursor = to;
    if (this.gesture) this.move(to); // a rectangle that was begun with Space
    else if (painting && this.tool === "brush") {
      const before = this.sketch.copy();
      this.sketch.apply(this.pixels("brush", from, to), this.paint);
      this.changed(before);
    }
    this.touch();
    const frame = this.find(".pxd-frame"), { row, col } = placeOf(this.sketch, to);
    const into = (at, size, scroll) => clamp(scroll, (at + 2) * this.cell - size, (at - 1) * this.cell);
    frame.scrollLeft = into(col, frame.clientWidth, frame.scrollLeft);
    frame.scrollTop = into(row, frame.clientHeight, frame.scrollTop);
  }

  // Uses the tool at the cursor; a rectangle takes two corners.
  stamp(paint) {
    if (this.gesture) return this.end();
    this.cursor = this.here;
    this.begin(this.cursor, paint.unknown, null);
    if (this.tool !== "rectangle") this.end();
  }

  // --- the screen ---

  lay() { this.room = Math.max(64, this.find(".pxd-frame").clientWidth || this.root.clientWidth); }

  draw() {
    const { sketch, head, find, gesture, ignored } = this;
    const ratio = window.devicePixelRatio || 1;
    const fitting = Math.min(this.room / sketch.width, 448 / Math.max(sketch.width, sketch.height));
    this.cell = Math.max(2, Math.floor(fitting * ZOOMS[this.zoom] * ratio)) / ratio; // crisp
    const at = this.cursor >= 0 ? this.cursor : this.hovered;
    const showsOrder = find(".pxd-order").checked && !gesture;
    paintSketch(this.element, sketch, this.cell, {
      order: showsOrder ? head.order : null, ignored, hints: head.hints, cursor: this.cursor,
      marked: at >= 0 && !gesture ? this.pixels(this.tool, at, at) : null,
    }, this.theme);
    const { level } = this.paint;
    this.press("tool", this.tool);
    this.press("size", this.size);
    this.press("paint", this.unknown ? "unknown"
      : level === 0 ? "background" : level === sketch.levels - 1 ? "ink" : "");
    setText(find(".pxd-value"), this.unknown ? "–" : `${level}`);
    const disable = (selector, disabled) => { find(selector).disabled = disabled; };
    disable("[data-do=undo]", !sketch.undoStack.length);
    disable("[data-do=redo]", !sketch.redoStack.length);
    disable("[data-do=smaller]", this.zoom === 0);
    disable("[data-do=larger]", this.zoom === ZOOMS.length - 1);
    disable(".pxd-order", head.order === null);
    for (const state of [UNKNOWN, GIVEN, DRAWN]) {
      setText(find(`[data-count="${state}"]`), `${sketch.count(state)}`);
    }
    setText(find(".pxd-drawn-word"), head.hints ? "hints, drawn by hand" : "by hand");
    const crossed = ignored ? ignored.filter((isIgnored, i) => isIgnored && sketch.state[i]).length : 0;
    find(".pxd-ignored").hidden = crossed === 0;
    setText(find(".pxd-ignored b"), `${crossed}`);
    setText(find(".pxd-status"), gesture?.tool === "rectangle" && this.cursor >= 0
      ? "Move to the other corner, then press Space. Escape cancels." : at >= 0 ? sketch.describe(at) : "");
    Object.assign(this.root.dataset, {
      revision: this.revision, known: sketch.total - sketch.count(UNKNOWN),
    });
  }

  destroy() {
    clearTimeout(this.waiting);
    super.destroy();
  }
}

export default mount(".pxd", Canvas);
