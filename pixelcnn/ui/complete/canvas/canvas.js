// The controller: pointer, keyboard and buttons change the grid; the server is told after each
// change and can replace the drawing by sending another revision.

const INSTANCES = new WeakMap(); // by parent element, which stays the same for a mount
const MEMORY = "pixelcnn-canvas";
const ZOOMS = [1, 1.5, 2, 3];
const KEYS = {
  b: ["tool", "brush"], r: ["tool", "rectangle"], a: ["tool", "above"], l: ["tool", "below"],
  f: ["tool", "fill"], 1: ["size", 1], 2: ["size", 2], 3: ["size", 3], i: ["paint", "ink"],
  k: ["paint", "background"], u: ["paint", "unknown"],
};

class Canvas {
  constructor(parent) {
    this.find = (selector) => parent.querySelector(selector);
    this.root = this.find(".pxd");
    this.root.__canvas = this; // for tests
    this.element = this.find(".pxd-canvas");
    this.generation = 0;
    this.grid = null;
    this.revision = null; // of the server's last replacement that was taken
    this.tool = "brush";
    this.size = 2;
    this.unknown = false;
    this.zoom = 0;
    this.gesture = null; // {pointer (null: keyboard), tool, paint, from, at, before}
    this.hovered = null;
    this.cursor = null; // of the keyboard
    this.stop = new AbortController();
    this.listen();
  }

  // --- messages ---

  accept(data) {
    if (data.revision !== this.revision) this.cancel(); // it changed what is replaced now
    const first = this.grid === null || !this.grid.fits(data); // of this size and these levels
    if (first) this.grid = new Grid(data);
    this.data = { ...data, ignoredBits: data.ignored ? fromBase64(data.ignored) : null };
    this.findLevel().max = data.levels - 1;
    if (first) this.findLevel().value = data.levels - 1;
    if (data.revision !== this.revision) this.replace(data, first);
    this.revision = data.revision;
    this.keep();
    this.draw();
  }

  // The server's drawing takes the place of the one here, which can be taken back.
  replace(data, first) {
    const theirs = { level: fromBase64(data.level), state: fromBase64(data.state) };
    const memory = first ? this.recall(data) : null;
    if (memory) {
      Object.assign(this.grid, { undoStack: memory.undo, redoStack: memory.redo });
      this.grid.put(memory);
      if (this.grid.equals(theirs)) return;
      // The new session after a reload knows nothing of this drawing yet, and one whose drawing
      // was not replaced since has missed the last stroke before the page was left.
      if (data.fresh || memory.revision === data.revision) {
        setTimeout(() => this.send());
        return;
      }
    }
    const before = this.grid.copy();
    this.grid.put(theirs);
    if (!first || memory) this.grid.remember(before);
  }

  send() {
    clearTimeout(this.waiting);
    this.setStateValue("drawing", {
      revision: this.revision, level: toBase64(this.grid.level), state: toBase64(this.grid.state),
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
    }, this.data.pause_ms);
  }

  // The drawing and what can be taken back outlive a reload and other pages, in this tab.
  keep() {
    const pack = ({ level, state }) => toBase64(level) + " " + toBase64(state);
    const { grid, data } = this;
    const value = {
      link: data.link, revision: this.revision,
      height: grid.height, width: grid.width, levels: grid.levels, now: pack(grid),
      undo: grid.undoStack.slice(-20).map(pack), redo: grid.redoStack.slice(-20).map(pack),
    };
    try { sessionStorage.setItem(MEMORY, JSON.stringify(value)); } catch { /* forgets */ }
  }

  recall(data) {
    const unpack = (text) => {
      const [level, state] = text.split(" ").map(fromBase64);
      return { level, state };
    };
    try {
      const value = JSON.parse(sessionStorage.getItem(MEMORY));
      // A new session without a link goes on with what was drawn last, under whatever link.
      if (!value || (data.link && value.link !== data.link) || !this.grid.fits(value)) return null;
      const [undo, redo] = [value.undo, value.redo].map((steps) => steps.map(unpack));
      return { ...unpack(value.now), undo, redo, revision: value.revision };
    } catch {
      return null;
    }
  }

  // --- what the tools do ---

  findLevel() { return this.find(".pxd-level"); }
  get paint() { return { unknown: this.unknown, level: Number(this.findLevel().value) }; }

  // The pixels that a gesture changes; a stroke has changed the earlier ones already.
  pixels(tool, from, to) {
    const { grid } = this;
    if (tool === "brush") return grid.stroke(from, to, this.size);
    if (tool === "rectangle") return grid.rectangle(from, to);
    if (tool === "above") return grid.above(to);
    if (tool === "below") return grid.below(to);
    return grid.area(to);
  }

  begin(at, erase, pointer) {
    const paint = erase ? { unknown: true } : this.paint;
    this.gesture = { pointer, tool: this.tool, paint, from: at, at, before: this.grid.copy() };
    this.move(at);
  }

  move(at) {
    const { gesture, grid } = this;
    if (gesture.tool === "brush") {
      grid.apply(this.pixels("brush", gesture.at, at), gesture.paint);
    } else { // what a shape covers is only what it covers at last
      grid.put(gesture.before);
      grid.apply(this.pixels(gesture.tool, gesture.from, at), gesture.paint);
    }
    gesture.at = at;
    this.draw();
  }

  end() {
    const { before } = this.gesture;
    this.gesture = null;
    this.changed(before);
  }

  cancel() {
    if (!this.gesture) return;
    this.grid.put(this.gesture.before);
    this.gesture = null;
    this.draw();
  }

  changed(before) {
    if (this.grid.remember(before)) {
      if (this.data.pause_ms) {
        this.keep();
        this.sendSoon();
      } else this.send();
    }
    this.draw();
  }

  perform(action) {
    const { grid } = this;
    if (this.gesture) this.cancel();
    if (action === "undo" || action === "redo") {
      if (grid[action]()) this.send();
      return this.draw();
    }
    if (action === "larger" || action === "smaller") {
      this.zoom = clamp(this.zoom + (action === "larger" ? 1 : -1), 0, ZOOMS.length - 1);
      return this.draw();
    }
    const before = grid.copy();
    grid[action]();
    this.changed(before);
  }

  choose(kind, value) {
    if (kind === "tool") this.tool = value;
    else if (kind === "size") this.size = Number(value);
    else if (value === "unknown") this.unknown = true;
    else this.setLevel(value === "ink" ? this.grid.levels - 1 : 0);
    this.draw();
  }

  setLevel(level) {
    this.unknown = false;
    this.findLevel().value = clamp(level, 0, this.grid.levels - 1);
    this.draw();
  }

  // --- the visitor ---

  listen() {
    const { signal } = this.stop;
    const on = (target, event, act) => target.addEventListener(event, act, { signal });
    for (const kind of ["tool", "size", "paint"]) {
      for (const button of this.root.querySelectorAll(`[data-${kind}]`)) {
        on(button, "click", () => this.choose(kind, button.dataset[kind]));
      }
    }
    for (const button of this.root.querySelectorAll("[data-do]")) {
      on(button, "click", () => this.perform(button.dataset.do));
    }
    on(this.findLevel(), "input", (event) => this.setLevel(Number(event.target.value)));
    on(this.find(".pxd-order"), "change", () => this.draw());
    const { element } = this;
    on(element, "contextmenu", (event) => event.preventDefault());
    on(element, "pointerdown", (event) => {
      if (event.button !== 0 && event.button !== 2) return;
      if (this.gesture) return this.cancel(); // a second finger, or the other button
      element.setPointerCapture(event.pointerId);
      this.cursor = null;
      this.begin(this.pixelAt(event), event.button === 2, event.pointerId);
    });
    on(element, "pointermove", (event) => {
      const at = this.pixelAt(event);
      if (event.pointerType !== "touch") this.hovered = at;
      if (this.gesture?.pointer !== event.pointerId) return this.draw();
      for (const part of event.getCoalescedEvents?.() ?? []) this.move(this.pixelAt(part));
      this.move(at);
    });
    on(element, "pointerup", ({ pointerId }) => {
      if (this.gesture?.pointer === pointerId) this.end();
    });
    on(element, "pointercancel", () => this.cancel());
    on(element, "pointerleave", () => {
      this.hovered = null;
      this.draw();
    });
    on(element, "focus", () => {
      if (element.matches(":focus-visible")) this.cursor ??= this.middle();
      this.draw();
    });
    on(element, "blur", () => {
      this.cancel();
      this.cursor = null;
      this.draw();
    });
    on(this.root, "keydown", (event) => this.key(event));
    this.sizes = new ResizeObserver(() => this.draw());
    this.sizes.observe(this.root);
  }

  middle() { return { row: this.grid.height >> 1, col: this.grid.width >> 1 }; }

  pixelAt(event) {
    const box = this.element.getBoundingClientRect();
    const { height, width } = this.grid;
    return {
      row: clamp(Math.floor(((event.clientY - box.top) / box.height) * height), 0, height - 1),
      col: clamp(Math.floor(((event.clientX - box.left) / box.width) * width), 0, width - 1),
    };
  }

  key(event) {
    const { key } = event;
    const done = () => {
      event.preventDefault();
      event.stopPropagation(); // Streamlit and the player have keys of their own
    };
    if (event.ctrlKey || event.metaKey) {
      const action = { z: event.shiftKey ? "redo" : "undo", y: "redo" }[key.toLowerCase()];
      if (!action || event.altKey) return;
      done();
      return this.perform(action);
    }
    if (event.altKey || event.target !== this.element) return;
    const way = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[key];
    if (way) {
      done();
      this.step(way, event.shiftKey);
    } else if (key === " " || key === "Enter") {
      done();
      if (!event.repeat) this.stamp(this.paint);
    } else if (key === "Delete" || key === "Backspace") {
      done();
      this.stamp({ unknown: true });
    } else if (key === "Escape" && this.gesture) {
      done();
      this.cancel();
    } else if (key === "[" || key === "]") {
      done();
      const step = Math.max(1, Math.round(this.grid.levels / 16));
      this.setLevel(this.paint.level + (key === "]" ? step : -step));
    } else if (key === "+" || key === "-") {
      done();
      this.perform(key === "+" ? "larger" : "smaller");
    } else if (KEYS[key.toLowerCase()]) {
      done();
      this.choose(...KEYS[key.toLowerCase()]);
    }
  }

  step([rows, cols], painting) {
    const from = this.cursor ?? this.middle();
    this.cursor = {
      row: clamp(from.row + rows, 0, this.grid.height - 1),
      col: clamp(from.col + cols, 0, this.grid.width - 1),
    };
    if (this.gesture) this.move(this.cursor); // a rectangle that was begun with Space
    else if (painting && this.tool === "brush") {
      const before = this.grid.copy();
      this.grid.apply(this.pixels("brush", from, this.cursor), this.paint);
      this.changed(before);
    }
    this.draw();
    const cell = this.cell, frame = this.find(".pxd-frame");
    const into = (at, size, scroll) => clamp(scroll, (at + 2) * cell - size, (at - 1) * cell);
    frame.scrollLeft = into(this.cursor.col, frame.clientWidth, frame.scrollLeft);
    frame.scrollTop = into(this.cursor.row, frame.clientHeight, frame.scrollTop);
  }

  // Uses the tool at the cursor; a rectangle takes two corners.
  stamp(paint) {
    this.cursor ??= this.middle();
    if (this.gesture) return this.end();
    this.begin(this.cursor, paint.unknown, null);
    if (this.tool !== "rectangle") this.end();
  }

  // --- the screen ---

  // Once per frame at most, however often it is asked for.
  draw() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = null;
      if (this.grid) this.show();
    });
  }

  show() {
    const { grid, data, root, find } = this;
    this.theme ??= {
      ...readTheme(root), edge: "rgb(46,140,255)", hint: "rgb(255,136,40)", order: "rgb(58,190,120)",
    };
    const ratio = window.devicePixelRatio || 1;
    const room = Math.max(64, find(".pxd-frame").clientWidth || root.clientWidth);
    const fitting = Math.min(room / grid.width, 448 / Math.max(grid.width, grid.height));
    this.cell = Math.max(2, Math.floor(fitting * ZOOMS[this.zoom] * ratio)) / ratio; // crisp
    const at = this.cursor ?? this.hovered;
    const marked = at && !this.gesture ? this.pixels(this.tool, at, at) : null;
    const order = find(".pxd-order").checked && data.order !== null ? data.order : null;
    paintGrid(this.element, grid, this.cell, {
      order, marked, cursor: this.cursor, painting: this.gesture !== null, ignored: data.ignoredBits,
      hints: data.hints,
    }, this.theme);
    const pressed = (kind, value) => {
      for (const button of root.querySelectorAll(`[data-${kind}]`)) {
        button.setAttribute("aria-pressed", String(button.dataset[kind] === String(value)));
      }
    };
    const { level } = this.paint;
    pressed("tool", this.tool);
    pressed("size", this.size);
    pressed("paint", this.unknown ? "unknown"
      : level === 0 ? "background" : level === grid.levels - 1 ? "ink" : "");
    setText(find(".pxd-value"), this.unknown ? "–" : `${level}`);
    find("[data-do=undo]").disabled = !grid.undoStack.length;
    find("[data-do=redo]").disabled = !grid.redoStack.length;
    find("[data-do=smaller]").disabled = this.zoom === 0;
    find("[data-do=larger]").disabled = this.zoom === ZOOMS.length - 1;
    find(".pxd-order").disabled = data.order === null;
    for (const state of [UNKNOWN, GIVEN, DRAWN]) {
      setText(find(`[data-count="${state}"]`), `${grid.count(state)}`);
    }
    setText(find(".pxd-drawn-word"), data.hints ? "hints, drawn by hand" : "by hand");
    this.showIgnored();
    setText(find(".pxd-status"), this.gesture?.tool === "rectangle" && this.cursor
      ? "Move to the other corner, then press Space. Escape cancels." : at ? grid.describe(at) : "");
    Object.assign(root.dataset, { revision: this.revision, known: grid.total - grid.count(UNKNOWN) });
  }

  showIgnored() {
    const { grid, data, find } = this;
    const bits = data.ignoredBits;
    let count = 0;
    for (let i = 0; bits && i < grid.total; i++) {
      if (bits[i >> 3] & (0x80 >> (i & 7)) && grid.state[i] !== UNKNOWN) count += 1;
    }
    find(".pxd-ignored").hidden = count === 0;
    setText(find(".pxd-ignored b"), `${count}`);
  }

  retheme() {
    this.theme = null;
    this.draw();
  }

  destroy() {
    clearTimeout(this.waiting);
    cancelAnimationFrame(this.frame);
    this.sizes.disconnect();
    this.stop.abort();
  }
}

// Streamlit calls this again for every message and theme; the clean-up of a superseded call must
// do nothing, hence the generation.
export default function (component) {
  const { parentElement, data } = component;
  let canvas = INSTANCES.get(parentElement);
  if (!canvas) INSTANCES.set(parentElement, canvas = new Canvas(parentElement));
  canvas.setStateValue = component.setStateValue;
  const generation = ++canvas.generation;
  if (data) canvas.accept(data);
  canvas.retheme();
  return () => {
    if (generation !== canvas.generation) return;
    canvas.destroy();
    INSTANCES.delete(parentElement);
  };
}
