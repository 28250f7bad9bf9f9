// The controller: what is shown, what plays, what is asked of the server.

import { clamp, placeOf } from "../../browser/basics.js";
import { ask, isLeaving } from "../../browser/leaving.js";
import { mount } from "../../browser/mount.js";
import { pixelUnder } from "../../browser/pixel_grid.js";
import { INSET, Playback } from "../../browser/playback.js";
import { Store, ruleText } from "./trace.js";
import { BranchStrip, CodePanel, PixelPanel } from "./panels.js";
import { Screen } from "./screen.js";

const FASTEST = 10000; // told to the server for "fastest" and for jumps, in pixels per second
const SECONDS_AHEAD = 0.6;
const RETRY_MS = 500; // a pull can get lost when a rerun overtakes it; the server answers repeats
const FORK_RETRY_MS = 1500;
class Player extends Playback {
  constructor(root) {
    super(root, "60");
    this.store = new Store();
    this.trace = null; // of the run that is shown
    this.returning = null; // the goal of a remount: where the visitor was, not a wish to go on
    this.gap = false; // the server has pixels before the ones it sent
    this.arriving = false; // show all that the next message brings
    this.pulledAt = null; // when the unanswered pull was sent
    this.heldUntil = 0; // playing waits for the answer to changed settings
    this.turn = 0; // the newest turn into another branch that was followed
    this.ask = null; // the newest request for this browser's position
    this.asksLeft = 0; // how often to repeat the pull that answers it
    this.forking = null; // the unanswered fork
    this.pinned = this.hovered = this.hoveredPicture = -1;
    this.panel = new PixelPanel(this.find, {
      pin: (position) => this.pin(position), fork: (position, level) => this.fork(position, level),
    });
    this.strip = new BranchStrip(this.find(".pxc-branches"), (run) => this.select(run));
    this.code = new CodePanel(this.find(".pxc-code"));
    this.screen = new Screen(this);
    this.find(".pxc-field").checked = this.recall("field") ?? true;
    this.listen();
  }

  get have() { return this.trace?.have ?? 0; }
  get run() { return this.trace?.run ?? null; }
  get picture() { return this.store.picture; }
  get total() { return this.trace?.shape.total ?? 0; }
  get width() { return this.trace?.shape.width ?? 1; }
  get single() { return this.trace?.shape.images === 1; }
  get done() { return Boolean(this.trace?.done) && this.have >= this.total; }
  get waits() { return performance.now() < this.heldUntil || this.forking !== null; }
  get current() { return this.position - 1; }
  get selected() {
    return this.pinned >= 0 ? this.pinned : this.hovered >= 0 ? this.hovered : this.current;
  }

  // What the server sent for a drawn pixel, for tests.
  distribution(position) {
    return { ...this.trace.probabilities(position),
      level: this.trace.level[position], uniform: this.trace.uniform[position] };
  }

  // --- messages ---

  accept(message) {
    const first = this.trace === null;
    const { head, trace, fresh, rewound, gap } = this.store.accept(message);
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
    this.isReady = true;
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
    this.resized = true;
    this.root.dataset.mode = trace.shape.images === 1 ? "single" : "sheet";
    this.show(trace, 0);
    this.playing = true;
    const memory = first ? this.recall("place") : null; // a remount: go on where the visitor left
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
    super.moveTo(position);
    this.trace.seen = Math.max(this.trace.seen, position);
  }

  perform(action) {
    if (action === "start" && this.trace) this.seek(0); // and plays on
    else super.perform(action);
  }

  advance(seconds, now) {
    super.advance(seconds, now);
    this.pullIfLow(now);
    if (this.playing && !this.dirty && !this.resized) this.screen.drawCode(now); // between pixels too
  }

  lay() {
    super.lay();
    this.screen.lay();
  }

  draw(now) { this.screen.draw(now); }

  // --- the visitor ---

  listen() {
    this.on("[data-view]", "click", ({ currentTarget }) => this.screen.setView(currentTarget.dataset.view));
    this.on(".px-strip, .px-scrub", "pointermove", (event) => this.explainStrip(event));
    this.on(".pxc-field", "change", (event) => {
      this.remember("field", event.target.checked);
      this.touch();
    });
    const overlay = this.find(".pxc-overlay");
    this.on(overlay, "pointermove", (event) => {
      if (event.pointerType !== "touch") this.hover(pixelUnder(overlay, event, this.trace.shape));
    });
    this.on(overlay, "pointerleave", () => this.hover(-1));
    this.on(overlay, "click", (event) => {
      const position = pixelUnder(overlay, event, this.trace.shape);
      this.pin(position === this.pinned ? -1 : position);
    });
    this.on(".pxc-unpin", "click", () => this.escape());
    this.on(".pxc-code", "toggle", () => this.touch());
    this.panel.listen((...listener) => this.on(...listener), () => this.touch());
  }

  escape() { this.pin(-1); }

  hover(position) {
    if (position === this.hovered) return;
    this.hovered = position;
    this.touch();
  }

  hoverPicture(image) {
    this.hoveredPicture = image;
    this.touch();
  }

  pin(position) {
    this.pinned = position;
    this.touch();
  }

  explainStrip(event) {
    if (!this.trace) return;
    const box = this.find(".px-scrub").getBoundingClientRect();
    const share = (event.clientX - box.left - INSET) / (box.width - 2 * INSET);
    const position = clamp(Math.floor(share * this.total), 0, this.total - 1);
    const { row, col } = placeOf(this.trace.shape, position);
    const forced = this.trace.forced.get(position);
    event.currentTarget.title = `row ${row}, column ${col}: ${ruleText(this.trace.ruleAt(position))}`
      + (forced ? `, forced to level ${forced.level}` : "");
  }

  destroy() {
    if (this.trace) {
      this.remember("place", { picture: this.picture, run: this.run, position: this.goal ?? this.position,
        seen: this.trace.seen, playing: this.playing, pinned: this.pinned, view: this.screen.view });
    }
    super.destroy();
  }
}

export default mount(".pxc", Player);
