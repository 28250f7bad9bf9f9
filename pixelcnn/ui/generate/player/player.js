// The controller: what is shown, what plays, what is asked of the server.

import { Store, placeOf, ruleText } from "./trace.js";
import { BranchStrip, CodePanel, PixelPanel, SheetButtons } from "./panels.js";
import { ask, isLeaving } from "./leaving.js";
import { INSET } from "./charts.js";
import { Screen } from "./screen.js";

const FASTEST = 10000; // told to the server for "fastest" and for jumps, in pixels per second
const SECONDS_AHEAD = 0.6;
const RETRY_MS = 500; // a pull can get lost when a rerun overtakes it; the server answers repeats
const FORK_RETRY_MS = 1500;
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
    this.returning = null; // the goal of a remount: where the visitor was, not a wish to go on
    this.playing = false;
    this.gap = false; // the server has pixels before the ones it sent
    this.arriving = false; // show all that the next message brings
    this.pulledAt = null; // when the unanswered pull was sent
    this.heldUntil = 0; // playing waits for the answer to changed settings
    this.turn = 0; // the newest turn into another branch that was followed
    this.ask = null; // the newest request for this browser's position
    this.asksLeft = 0; // how often to repeat the pull that answers it
    this.forking = null; // the unanswered fork
    this.pinned = this.hovered = this.hoveredPicture = -1;
    this.stop = new AbortController();
    this.panel = new PixelPanel(this.find, {
      pin: (position) => this.pin(position), fork: (position, level) => this.fork(position, level),
    });
    this.strip = new BranchStrip(this.find(".pxc-branches"), (run) => this.select(run));
    this.code = new CodePanel(this.find(".pxc-code"));
    this.cells = new SheetButtons(this.find(".pxc-cells"), {
      open: (image) => this.send("open", { image }),
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
  get run() { return this.trace?.run ?? null; }
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
    const { head, trace, fresh, rewound, gap } = this.store.accept(view);
    this.pulledAt = null;
    this.heldUntil = 0;
    this.asksLeft = 0;
    this.model = head.model;
    this.code.setCode(trace.shape.images === 1 ? head.code : null);
    const turned = !fresh && head.turn > this.turn; // the server went on in a new branch
    this.turn = fresh ? head.turn : Math.max(this.turn, head.turn);
    if (fresh) this.startPicture(trace, first, head.pin);
    else if (turned && trace !== this.trace) this.startBranch(trace);
    else if (!this.store.traces.has(this.run)) this.show(trace, trace.have);
    if (trace === this.trace) {
      this.gap = gap;
      if (rewound !== null) this.moveTo(Math.min(this.position, rewound));
      if (this.arriving && !gap && head.count > 0) {
        this.arriving = false;
        this.moveTo(this.have);
      }
    }
    if (this.forking && head.fork_request === this.forking.value.id) { // answered, but not by a turn
      this.forking = null;
      this.panel.say("No branch was made.", true);
    }
    const asked = this.ask !== null && head.ask > this.ask;
    this.ask = Math.max(this.ask ?? 0, head.ask);
    if (asked) {
      this.pull();
      this.asksLeft = 3;
      this.heldUntil = performance.now() + RETRY_MS;
    }
    this.touch();
  }

  startPicture(trace, first, pin) {
    this.pinned = this.hovered = this.hoveredPicture = -1;
    this.forking = null;
    this.screen.resized = true;
    this.root.dataset.mode = trace.shape.images === 1 ? "single" : "sheet";
    this.show(trace, 0);
    this.playing = true;
    const memory = first ? recall("place") : null; // a remount: go on where the visitor left
    if (memory?.picture === this.picture && memory.run === trace.run) {
      trace.seen = memory.seen;
      this.goal = this.returning = memory.position;
      this.playing = memory.playing;
      this.pinned = memory.pinned;
      this.screen.setView(memory.view);
    } else if (pin !== null) { // opened at a pixel of a finished picture
      this.pinned = pin;
      this.goal = this.total;
      this.playing = false;
    }
  }

  startBranch(trace) {
    const goesOn = this.playing || this.position >= this.total || this.forking !== null;
    this.forking = null;
    this.pinned = -1;
    this.show(trace, trace.fork);
    this.playing = goesOn;
  }

  show(trace, position) {
    if (this.trace) this.trace.left = this.position; // for coming back to it
    this.trace = trace;
    this.gap = this.arriving = false;
    this.goal = null;
    this.moveTo(Math.min(position, trace.have));
    if (position > trace.have) this.goal = position;
  }

  send(name, value) { ask(this, name, value); }

  pull() {
    if (isLeaving()) return;
    const { trace, goal, speed } = this;
    this.pulledAt = performance.now();
    this.send("pull", {
      run: trace.run, revision: trace.revision, have: trace.have,
      position: goal !== null && goal === this.returning ? goal : this.position,
      seen: trace.seen, speed: goal !== null ? FASTEST : Math.min(speed, FASTEST),
      holds: this.store.dependency?.model ?? null, turn: this.turn,
    });
  }

  pullIfLow(now) {
    const { have, position, total, speed, goal, forking } = this;
    if (forking) { // its answer comes first; repeated in case it was lost
      if (now - forking.at < FORK_RETRY_MS) return;
      forking.at = now;
      forking.tries += 1;
      if (forking.tries <= 3) return this.send("fork", forking.value);
      this.forking = null;
      this.panel.say("The server did not answer. Try again.", true);
    }
    const ahead = Math.max(32, Math.min(400, speed * SECONDS_AHEAD));
    const wanting = goal !== null ? goal > have : this.playing && have - position < ahead;
    const needed = have < total && (wanting || this.gap || this.arriving);
    if (!needed && this.asksLeft === 0) return;
    if (this.pulledAt !== null && now - this.pulledAt <= RETRY_MS) return;
    this.asksLeft = Math.max(0, this.asksLeft - 1);
    this.pull();
  }

  fork(position, level) {
    if (this.forking) return; // a second click
    const id = Math.random().toString(36).slice(2); // lets the server drop a repeated request
    const value = { run: this.run, position, level, id };
    this.playing = false;
    this.forking = { value, at: performance.now(), tries: 1 };
    this.send("fork", value);
  }

  select(run) {
    const branch = this.store.branches.find((other) => other.run === run);
    if (run === this.run || !branch) return;
    const trace = this.store.ensure(run, branch.parent, branch.fork);
    const known = trace.have > trace.fork;
    this.playing = false;
    this.pinned = -1;
    this.forking = null;
    this.pulledAt = null;
    this.show(trace, Math.min(trace.left ?? trace.have, trace.have));
    this.arriving = !known; // after a remount only the active branch is here: fetch this one
    this.send("select", { run });
    // The server answers a selection too; asking in the same breath could overtake it.
    if (this.arriving) this.pulledAt = performance.now();
    this.touch();
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

  advance(seconds, now) {
    if (this.goal !== null) {
      if (this.have > this.position) this.moveTo(Math.min(this.goal, this.have));
      if (this.position >= this.goal) this.goal = null;
    } else if (this.playing && now >= this.heldUntil && this.forking === null) {
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
      this.advance(seconds, now);
      this.pullIfLow(now);
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
      remember("place", { picture: this.picture, run: this.run, position: this.goal ?? this.position,
        seen: this.trace.seen, playing: this.playing, pinned: this.pinned, view: this.screen.view });
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
