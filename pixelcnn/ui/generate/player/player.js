// The controller: what is shown, what plays, what is asked of the server.

import { clamp } from "../../browser/basics.js";
import { ask, isLeaving } from "../../browser/leaving.js";
import { mount } from "../../browser/mount.js";
import { pixelUnder } from "../../browser/pixel_grid.js";
import { INSET, Playback } from "../../browser/playback.js";
import { Store, pixelAt, ruleText, whereIs } from "./trace.js";
import { BranchStrip, CodePanel, PixelPanel } from "./panels.js";
import { Screen } from "./screen.js";

const AHEAD = 400; // positions that are fetched before they are shown
const RETRY_MS = 500; // what is asked can get lost when a rerun overtakes it
const SETTLED_MS = 400; // a setting acts when it has not changed for so long: ten presses are one change
const SURE_SPEED = 60; // pixels/s, through pixels that are nearly sure
const OPEN_RETRY_MS = 3000; // asked again too soon, it would bring the settings of the sheet back

class Player extends Playback {
  constructor(root) {
    super(root, "60");
    this.store = new Store();
    this.trace = null; // of the course that is shown
    this.askedAt = null; // when the unanswered question was sent
    this.answered = null; // the course that the server knows to be shown
    this.rule = null; // what the sliders say, as far as it acts here
    this.heard = null; // {rule, at}: what they say since then, which does not act yet
    this.opening = null; // the picture of a sheet that was clicked
    this.pinned = -1; // `hovered` is a position, too; of a sheet a picture
    this.panel = new PixelPanel(this);
    this.strip = new BranchStrip(this.find(".pxc-branches"), (trace) => this.select(trace));
    this.code = new CodePanel(this.find(".pxc-code"));
    this.screen = new Screen(this);
    this.find(".pxc-field").checked = this.recall("field") ?? false;
    this.listen();
  }

  get have() { return this.trace?.have ?? 0; }
  get picture() { return this.store.picture; }
  get total() { return this.trace?.shape.total ?? 0; }
  get width() { return this.trace ? this.total / this.trace.shape.height : 1; }
  get single() { return this.trace?.shape.images === 1; }
  get done() { return this.trace !== null && this.have >= this.total; }
  get current() { return this.position - 1; }
  get selected() {
    if (this.pinned >= 0) return this.pinned;
    if (this.hovered >= 0) return this.hovered;
    return this.finished ? this.trace.mostSurprising() : this.current;
  }
  get finished() { return this.done && this.position >= this.total && !this.playing; }
  // A finished picture rests on the pixel that surprised most.
  get resting() { return this.finished && this.pinned < 0 && this.hovered < 0; }
  get keys() { return { ...super.keys, n: "uncertain", N: "uncertain", Enter: "set" }; }
  get speed() {
    const speed = super.speed;
    const isSure = speed < SURE_SPEED && this.single && this.find(".pxc-quick").checked
      && this.trace.isCertain(Math.min(this.position, this.total - 1));
    return isSure ? SURE_SPEED : speed;
  }

  // --- messages ---

  accept(message) {
    const first = this.trace === null;
    const { head, fresh } = this.store.accept(message);
    this.isReady = true;
    this.askedAt = null;
    this.answered = head.course;
    this.code.setCode(head.code);
    if (fresh) this.startPicture(head, first);
    if (head.rule === this.rule) this.heard = null;
    else if (head.rule !== this.heard?.rule) this.heard = { rule: head.rule, at: performance.now() };
    this.touch();
  }

  startPicture(head, first) {
    this.pinned = this.hovered = -1;
    this.opening = null;
    this.resized = true;
    this.root.dataset.mode = this.store.shape.images === 1 ? "single" : "sheet";
    this.name(this.store.shape);
    this.find(".pxc-unit").textContent = this.store.shape.unit;
    this.rule = head.rule; // where the course has another one, the sliders will follow
    this.show(this.store.traces[0], 0);
    this.playing = true;
    const memory = first ? this.recall("place") : null; // a remount: go on where the visitor left
    if (memory?.picture === this.picture) {
      this.store.restore(memory.traces);
      this.show(this.store.find(memory.course), memory.position);
      this.rule = memory.rule;
      this.playing = memory.playing;
      this.pinned = memory.pinned;
      this.screen.setView(memory.view);
    } else if (head.pin !== null) { // a finished picture is opened, perhaps at one of its pixels
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

  hearRule(now) {
    if (!this.heard || now - this.heard.at < SETTLED_MS) return;
    this.rule = this.heard.rule;
    this.heard = null;
    if (this.trace.lastRule.text !== this.rule) this.changeRule();
  }

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
    super.moveTo(position);
    this.trace.seen = Math.max(this.trace.seen, position);
  }

  perform(action) {
    if (action === "start" && this.trace) this.seek(0); // and plays on
    else if (action === "uncertain") this.seekUncertain();
    else if (action === "set") this.setLevel();
    else super.perform(action);
  }

  seekUncertain() {
    if (!this.single) return;
    let next = this.goal ?? this.position;
    while (next < this.have && this.trace.isCertain(next)) next += 1;
    this.scrub(Math.min(next + 1, this.have));
  }

  // Lets the visitor type another level for the selected pixel.
  setLevel() {
    if (!this.single || this.selected < 0) return;
    this.playing = false;
    this.pin(this.selected);
    this.draw(performance.now()); // before, there is no field
    this.find(".pxc-level").select();
  }

  // The next steps that are offered, see `Screen.drawWays`.
  go(way) {
    const { selected } = this, rule = this.trace.lastRule.text;
    if (way === "again") return this.fork(selected, this.trace.redraw(selected));
    this.turn(0, { restart: rule, mild: "0.9_0_1", rows: "1_0_1" }[way]);
    if (way === "rows") this.turn(10 * this.width, rule);
    this.playing = true;
  }

  advance(seconds, now) {
    this.hearRule(now);
    super.advance(seconds);
    this.askIfNeeded(now);
    this.writeAddress();
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
    const overlay = this.find(".px-overlay");
    this.on(overlay, "pointermove", (event) => {
      if (event.pointerType !== "touch") this.hover(this.firstUnder(event));
    });
    this.on(overlay, "pointerleave", () => this.hover(-1));
    this.on(overlay, "click", (event) => {
      const first = this.firstUnder(event), next = this.pinned + 1, { shape } = this.trace;
      if (pixelAt(shape, first) !== pixelAt(shape, this.pinned)) this.pin(first);
      else this.pin(next % shape.channels ? next : -1); // from channel to channel, then to none
    });
    this.on(".pxc-unpin", "click", () => this.escape());
    this.on("[data-way]", "click", ({ currentTarget }) => this.go(currentTarget.dataset.way));
    this.on(".pxc-ways a", "click", (event) => { // by the menu's own link the session goes on
      const page = event.currentTarget.getAttribute("href");
      const link = document.querySelector(`[data-testid=stSidebar] a[href$="${page}"]`);
      if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      link.click();
    });
    this.on(".pxc-code", "toggle", () => this.touch());
  }

  // The first channel of the pixel under the pointer; -1 outside.
  firstUnder(event) {
    const { shape } = this.trace;
    return Math.max(-1, pixelUnder(event.currentTarget, event, shape) * shape.channels);
  }

  escape() { this.pin(-1); }

  open(image) {
    this.opening = image;
    this.ask();
  }

  pin(position) {
    this.pinned = position;
    this.touch();
  }

  explainStrip(event) {
    const box = this.find(".px-scrub").getBoundingClientRect();
    const share = (event.clientX - box.left - INSET) / (box.width - 2 * INSET);
    const position = clamp(Math.floor(share * this.total), 0, this.total - 1);
    const forced = this.trace.forced.get(position);
    event.currentTarget.title = `${whereIs(this.trace.shape, position)}: `
      + ruleText(this.trace.ruleAt(position)) + (forced ? `, forced to level ${forced.level}` : "");
  }

  destroy() {
    if (this.trace) {
      this.remember("place", {
        picture: this.picture, course: this.trace.name, position: this.goal ?? this.position,
        rule: this.rule, playing: this.playing, pinned: this.pinned, view: this.screen.view,
        traces: this.store.traces.map(({ name, parent, fork, text, seen, left }) => (
          { name, parent, fork, text, seen, left })),
      });
    }
    super.destroy();
  }
}

export default mount(".pxc", Player);
