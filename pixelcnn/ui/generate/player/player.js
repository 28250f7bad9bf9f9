// The controller: what is shown, what plays, what is asked of the server.

import { Store, lastRule, placeOf, ruleText } from "./trace.js";
import { BranchStrip, CodePanel, PixelPanel, SheetButtons } from "./panels.js";
import { ask, isLeaving } from "./leaving.js";
import { INSET } from "./charts.js";
import { Screen } from "./screen.js";

const AHEAD = 400; // pixels that are fetched before they are shown
const RETRY_MS = 500; // what is asked can get lost when a rerun overtakes it
const OPEN_RETRY_MS = 3000; // asked again too soon, it would bring the settings of the sheet back
const CONTROLS = "input, textarea, select, button, a, summary, audio, video, [contenteditable],"
  + " [role=slider], [role=combobox], [role=listbox], [role=option], [role=dialog], [role=tab]";
const INSTANCES = new WeakMap(); // by parent element, which stays the same for a mount

// Settings of this browser tab; a browser that forbids storage just forgets them.
const remember = (name, value) => {
  try { sessionStorage.setItem(`pixelcnn-player-${name}`, JSON.stringify(value)); } catch { /* */ }
};
const recall = (name) => {
  try { return JSON.parse(sessionStorage.getItem(`pixelcnn-player-${name}`)); } catch { return null; }
};

class Player {
  constructor(parent) {
    this.find = (selector) => parent.querySelector(selector);
    this.root = this.find(".pxc");
    this.root.__player = this; // for tests
    this.generation = 0;
    this.store = new Store();
    this.trace = null; // of the run that is shown
    this.position = 0; // pixels shown; the last of them is the current pixel
    this.clock = 0; // the position as playing time goes on, with its fraction
    this.goal = null; // a position to reach as soon as its pixels are here
    this.playing = false;
    this.askedAt = null; // when the unanswered question was sent
    this.answered = null; // the course that the server knows to be shown
    this.rule = null; // what the sliders say, as far as is heard here
    this.opening = null; // the picture of a sheet that was clicked
    this.pinned = this.hovered = this.hoveredPicture = -1;
    this.stop = new AbortController();
    this.panel = new PixelPanel(this.find, {
      pin: (position) => this.pin(position), fork: (position, level) => this.fork(position, level),
    });
    this.strip = new BranchStrip(this.find(".pxc-branches"), (trace) => this.select(trace));
    this.code = new CodePanel(this.find(".pxc-code"));
    this.cells = new SheetButtons(this.find(".pxc-cells"), {
      open: (image) => { this.opening = image; this.ask(); },
      hover: (image) => { this.hoveredPicture = image; this.touch(); },
    });
    this.screen = new Screen(this);
    this.find(".pxc-speed").value = recall("speed") ?? "60";
    if (!this.find(".pxc-speed").value) this.find(".pxc-speed").value = "60";
    this.find(".pxc-field").checked = recall("field") ?? true;
    this.listen();
    this.frame = requestAnimationFrame((now) => this.tick(now));
  }

  get have() { return this.trace?.have ?? 0; }
  get picture() { return this.store.picture; }
  get total() { return this.trace?.shape.total ?? 0; }
  get width() { return this.trace?.shape.width ?? 1; }
  get single() { return this.trace?.shape.images === 1; }
  get done() { return Boolean(this.trace?.done) && this.have >= this.total; }
  get speed() {
    const { value } = this.find(".pxc-speed");
    return value === "fastest" ? Infinity : Number(value);
  }
  get current() { return this.position - 1; }
  get selected() {
    return this.pinned >= 0 ? this.pinned : this.hovered >= 0 ? this.hovered : this.current;
  }

  // What the server sent for a drawn pixel, for tests.
  distribution(position) {
    return { ...this.trace.probabilities(position),
      level: this.trace.level[position], uniform: this.trace.uniform[position] };
  }

  touch() { this.screen.dirty = true; }

  // --- messages ---

  accept(view) {
    const first = this.trace === null;
    const { head, fresh } = this.store.accept(view);
    this.askedAt = null;
    this.answered = head.course;
    this.model = head.model;
    this.code.setCode(head.code);
    if (fresh) this.startPicture(head, first);
    if (head.rule !== this.rule) {
      this.rule = head.rule;
      if (lastRule(this.trace.name) !== head.rule) this.changeRule();
    }
    this.touch();
  }

  startPicture(head, first) {
    this.pinned = this.hovered = this.hoveredPicture = -1;
    this.opening = null;
    this.screen.resized = true;
    this.root.dataset.mode = this.store.shape.images === 1 ? "single" : "sheet";
    this.rule = head.rule; // where the course has another one, the sliders will follow
    this.show(this.store.traces[0], 0);
    this.playing = true;
    const memory = first ? recall("place") : null; // a remount: go on where the visitor left
    if (memory?.picture === this.picture) {
      this.store.restore(memory.traces);
      this.show(this.store.find(memory.course), memory.position);
      this.rule = memory.rule;
      this.playing = memory.playing;
      this.pinned = memory.pinned;
      this.screen.setView(memory.view);
    } else if (head.pin !== null) { // opened at a pixel of a finished picture
      this.pinned = head.pin;
      this.goal = this.total;
      this.playing = false;
    }
  }

  show(trace, position) {
    if (this.trace) this.trace.left = this.position; // for coming back to it
    this.trace = trace;
    this.moveTo(Math.min(position, trace.have));
    this.goal = position > trace.have ? position : null;
  }

  ask() {
    if (isLeaving()) return;
    this.askedAt = performance.now();
    ask(this, "ask", {
      picture: this.picture, course: this.trace.name, have: this.have, rule: this.rule,
      open: this.opening,
    });
  }

  askIfNeeded(now) {
    const { goal, position, total, trace, opening } = this;
    const low = this.have < Math.min(total, (goal ?? position) + AHEAD);
    if (!low && opening === null && this.answered === trace.name) return;
    const retry = opening === null ? RETRY_MS : OPEN_RETRY_MS;
    if (this.askedAt === null || now - this.askedAt > retry) this.ask();
  }

  // --- courses ---

  // Goes on by what the sliders say; a finished picture is drawn anew from the start.
  changeRule() {
    // Mounted anew, the player is yet to come back to where it was.
    const coming = this.goal !== null && this.goal <= this.trace.seen;
    const position = coming ? this.goal : this.position;
    const finished = position >= this.total;
    this.turn(finished ? 0 : position, this.rule);
    this.playing ||= finished;
  }

  fork(position, level) {
    this.turn(position, this.rule, level);
    this.playing = true;
  }

  turn(position, rule, level = null) {
    const trace = this.store.turn(this.trace, position, rule, level);
    if (trace !== this.trace) this.pinned = -1;
    this.show(trace, position);
  }

  select(trace) {
    if (trace === this.trace) return;
    this.playing = false;
    this.pinned = -1;
    this.show(trace, trace.left);
    this.touch();
  }

  // The address draws this course again. What Streamlit writes there may lack it.
  writeAddress() {
    const wanted = this.trace.name.includes("~") ? this.trace.name : null; // one rule is no history
    const query = new URLSearchParams(location.search);
    if (query.get("history") === wanted || isLeaving()) return;
    if (wanted) query.set("history", wanted);
    else query.delete("history");
    const search = query.toString().replaceAll("%7E", "~");
    history.replaceState(history.state, "", `${location.pathname}${search && `?${search}`}`);
  }

  // --- playback ---

  moveTo(position) {
    this.position = position;
    this.clock = position;
    this.trace.seen = Math.max(this.trace.seen, position);
    this.touch();
  }

  // Goes to a position, or as near as what is here allows and on when more arrives.
  seek(target) {
    const wanted = Math.max(0, Math.min(this.total, Math.round(target)));
    this.moveTo(Math.min(wanted, this.have));
    this.goal = wanted > this.have ? wanted : null;
  }

  step(pixels) {
    this.playing = false;
    this.seek((this.goal ?? this.position) + pixels);
  }

  toggle() {
    this.playing = !this.playing;
    this.goal = null;
    if (this.playing && this.position >= this.total) this.seek(0);
    this.touch();
  }

  perform(action) {
    if (!this.trace) return;
    const { width } = this;
    if (action === "play") this.toggle();
    else if (action === "start") this.seek(0);
    else if (action === "end") this.step(this.total);
    else this.step({ "back": -1, "forward": 1, "row-back": -width, "row-forward": width }[action]);
  }

  advance(seconds) {
    if (this.goal !== null) {
      if (this.have > this.position) this.moveTo(Math.min(this.goal, this.have));
      if (this.position >= this.goal) this.goal = null;
    } else if (this.playing) {
      const clock = Math.min(this.have, this.clock + this.speed * seconds);
      if (Math.floor(clock) !== this.position) this.moveTo(Math.floor(clock));
      this.clock = clock;
    }
    if (this.playing && this.position >= this.total) {
      this.playing = false;
      this.touch();
    }
  }

  tick(now) {
    const seconds = Math.min(0.25, (now - (this.before ?? now)) / 1000); // a hidden tab stands still
    this.before = now;
    if (this.trace) {
      this.advance(seconds);
      this.askIfNeeded(now);
      this.writeAddress();
      this.screen.update(now);
    }
    this.frame = requestAnimationFrame((next) => this.tick(next));
  }

  // --- the visitor ---

  listen() {
    const { signal } = this.stop;
    const on = (selector, event, act) =>
      this.find(selector).addEventListener(event, act, { signal });
    for (const button of this.root.querySelectorAll("[data-do]")) {
      button.addEventListener("click", () => this.perform(button.dataset.do), { signal });
    }
    for (const button of this.root.querySelectorAll("[data-view]")) {
      button.addEventListener("click", () => this.screen.setView(button.dataset.view), { signal });
    }
    on(".pxc-scrub", "input", (event) => {
      this.playing = false;
      this.seek(Number(event.target.value));
    });
    on(".pxc-strip", "pointermove", (event) => this.explainStrip(event));
    on(".pxc-scrub", "pointermove", (event) => this.explainStrip(event));
    on(".pxc-speed", "change", (event) => remember("speed", event.target.value));
    on(".pxc-field", "change", (event) => {
      remember("field", event.target.checked);
      this.touch();
    });
    on(".pxc-overlay", "pointermove", (event) => {
      if (event.pointerType !== "touch") this.hover(this.pixelAt(event));
    });
    on(".pxc-overlay", "pointerleave", () => this.hover(-1));
    on(".pxc-overlay", "click", (event) => {
      const position = this.pixelAt(event);
      this.pin(position === this.pinned ? -1 : position);
    });
    on(".pxc-unpin", "click", () => this.pin(-1));
    on(".pxc-code", "toggle", () => this.touch());
    this.panel.listen(on, () => this.touch());
    document.addEventListener("keydown", (event) => this.key(event), { signal });
    this.sizes = new ResizeObserver(() => { this.screen.resized = true; });
    this.sizes.observe(this.root);
  }

  pixelAt(event) {
    const box = this.find(".pxc-overlay").getBoundingClientRect();
    const { width, total } = this.trace.shape;
    const col = Math.floor(((event.clientX - box.left) / box.width) * width);
    const row = Math.floor(((event.clientY - box.top) / box.height) * (total / width));
    return col < 0 || col >= width || row < 0 || row * width >= total ? -1 : row * width + col;
  }

  hover(position) {
    if (position === this.hovered) return;
    this.hovered = position;
    this.touch();
  }

  pin(position) {
    this.pinned = position;
    this.touch();
  }

  explainStrip(event) {
    if (!this.trace) return;
    const box = this.find(".pxc-scrub").getBoundingClientRect();
    const share = (event.clientX - box.left - INSET) / (box.width - 2 * INSET);
    const position = Math.max(0, Math.min(this.total - 1, Math.floor(share * this.total)));
    const { row, col } = placeOf(this.trace.shape, position);
    const forced = this.trace.forced.get(position);
    event.currentTarget.title = `row ${row}, column ${col}: ${ruleText(this.trace.ruleAt(position))}`
      + (forced ? `, forced to level ${forced.level}` : "");
  }

  key(event) {
    if (!this.trace || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    const path = event.composedPath();
    const inside = path.includes(this.root);
    const target = path[0];
    // Elsewhere on the page the keys belong to the control that has the focus, if any has it.
    if (!inside && target.closest?.(CONTROLS)) return;
    const { key } = event;
    if (key === "Escape" && this.pinned >= 0) return this.pin(-1);
    if (inside && target.matches("select, input[type=number]")) return;
    if (inside && target.matches("input[type=range]") && key !== " ") return; // it scrubs itself
    if (key === " " && inside && target.matches("button, summary, input[type=checkbox]")) return;
    const action = { " ": "play", ArrowLeft: "back", ArrowRight: "forward", ArrowUp: "row-back",
      ArrowDown: "row-forward", Home: "start", End: "end" }[key];
    if (!action || (key === " " && event.repeat)) return;
    event.preventDefault(); // the page would scroll
    this.perform(action);
  }

  destroy() {
    if (this.trace) {
      remember("place", {
        picture: this.picture, course: this.trace.name, position: this.goal ?? this.position,
        rule: this.rule, playing: this.playing, pinned: this.pinned, view: this.screen.view,
        traces: this.store.traces.map(({ name, parent, fork, text, seen, left }) => (
          { name, parent, fork, text, seen, left })),
      });
    }
    cancelAnimationFrame(this.frame);
    this.sizes.disconnect();
    this.stop.abort();
  }
}

// Streamlit calls this again for every message and theme; the clean-up of a superseded call must
// do nothing, hence the generation.
export default function (component) {
  const { parentElement, data } = component;
  let player = INSTANCES.get(parentElement);
  if (!player) INSTANCES.set(parentElement, player = new Player(parentElement));
  player.setTriggerValue = component.setTriggerValue;
  const generation = ++player.generation;
  player.screen.retheme();
  if (data) player.accept(data);
  return () => {
    if (generation !== player.generation) return;
    player.destroy();
    INSTANCES.delete(parentElement);
  };
}
