// A clock over a trace: what is shown of it, how it plays, and the transport that a visitor uses.

import { clamp, setText } from "./basics.js";
import { Component } from "./mount.js";
import { fitCanvas } from "./paint.js";

export const INSET = 8; // half the width of the slider's thumb, as in playback.css
// The names speak of a pixel and a row; `Playback.name` puts in what a trace is made of.
const BUTTONS = [
  ["start", "To the start", "", "Home", "M4 4h2v12H4zM16 4v12l-9-6z"],
  ["row-back", "One row back", "", "Arrow up", "M10 4v12l-8-6zM18 4v12l-8-6z"],
  ["back", "One pixel back", "", "Arrow left", "M13 4v12l-9-6zM15 4h2v12h-2z"],
  ["play", "Play", "", "Space", "M5 3v14l12-7z"],
  ["forward", "One pixel forward", "", "Arrow right", "M7 4v12l9-6zM3 4h2v12H3z"],
  ["row-forward", "One row forward", "", "Arrow down", "M2 4v12l8-6zM10 4v12l8-6z"],
  ["end", "To the end", ", as fast as possible", "End", "M4 4v12l9-6zM14 4h2v12h-2z"],
];
const PAUSE_ICON = "M5 3h3.6v14H5zM11.4 3H15v14h-3.6z";
const ACTIONS = { " ": "play", ArrowLeft: "back", ArrowRight: "forward", ArrowUp: "row-back",
  ArrowDown: "row-forward", Home: "start", End: "end" };
const SPEEDS = [1, 5, 15, 60, 200, 400, 1000, "fastest"];

// Fills the element `.px-controls` of a page; what it holds comes last in the row of controls.
function makeTransport(element) {
  const buttons = BUTTONS.map(([action, , , , icon]) => `<button type="button" data-do="${action}">`
    + `<svg viewBox="0 0 20 20"><path class="px-icon-${action}" d="${icon}"/>`
    + `${action === "play" ? `<path class="px-icon-pause" d="${PAUSE_ICON}"/>` : ""}</svg></button>`);
  const speeds = SPEEDS.map((speed) => `<option value="${speed}">${speed}</option>`);
  element.innerHTML = `<div class="px-transport">
      <div class="px-buttons" role="group" aria-label="Transport">${buttons.join("")}</div>
      <label class="px-speed-label">Speed
        <select class="px-speed" title="How many each second">${speeds.join("")}</select></label>
      <span class="px-position" aria-live="off"></span>
      ${element.innerHTML}
    </div>
    <div class="px-timeline">
      <canvas class="px-strip" aria-hidden="true"></canvas>
      <input type="range" class="px-scrub" min="0" value="0" step="1" aria-label="Position">
    </div>`;
}

// What is shown of a trace. A subclass says how long the trace is (`total`) and at what `speed` it
// plays; where needed how much of it is here (`have`) and from where on there is something
// to see (`first`).
export class Clock extends Component {
  constructor(root) {
    super(root);
    this.position = 0; // what is shown; the last of it is the current pixel
    this.clock = 0; // the position as playing time goes on, with its fraction
    this.goal = null; // a position to reach as soon as its pixels are here
    this.playing = false;
  }

  get have() { return this.total; }
  get first() { return 0; }

  moveTo(position) {
    this.position = position;
    this.clock = position;
    this.touch();
  }

  // Goes to a position, or as near as what is here allows and on when more arrives.
  seek(target) {
    const wanted = clamp(Math.round(target), 0, this.total);
    this.moveTo(Math.min(wanted, this.have));
    this.goal = wanted > this.have ? wanted : null;
  }

  step(pixels) { this.scrub((this.goal ?? this.position) + pixels); }

  scrub(position) {
    this.playing = false;
    this.seek(position);
  }

  toggle() {
    this.playing = !this.playing;
    this.goal = null;
    if (this.playing && this.position >= this.total) this.seek(this.first);
    this.touch();
  }

  advance(seconds) {
    if (this.goal !== null) {
      if (this.have > this.position) this.moveTo(Math.min(this.goal, this.have));
      if (this.position >= this.goal) this.goal = null;
    } else if (this.playing) {
      const from = Math.max(this.clock, this.first);
      const clock = Math.min(this.have, from + this.speed * seconds);
      if (Math.floor(clock) !== this.position) this.moveTo(Math.floor(clock));
      this.clock = clock;
    }
    if (this.playing && this.position >= this.total) {
      this.playing = false;
      this.touch();
    }
  }
}

// A clock with the transport and its keys; the subclass has the `width` of a row, too.
export class Playback extends Clock {
  constructor(root, speed, names = { unit: "pixel" }) {
    super(root);
    makeTransport(this.find(".px-controls"));
    this.name(names);
    const select = this.find(".px-speed");
    select.value = this.recall("speed") ?? speed;
    if (!select.value) select.value = speed;
    this.on(select, "change", () => this.remember("speed", select.value));
    this.on("[data-do]", "click", ({ currentTarget }) => this.perform(currentTarget.dataset.do));
    this.on(".px-scrub", "input", (event) => this.scrub(Number(event.target.value)));
    this.on(document, "keydown", (event) => this.key(event));
    this.isUsed = false; // last of all on the page: else the keys scroll, or belong to what has the focus
    for (const use of ["pointerdown", "focusin"]) {
      this.on(document, use, (event) => { this.isUsed = event.composedPath().includes(this.root); });
    }
  }

  // Says on the transport what a trace is made of.
  name({ unit, row = "row" }) {
    for (const [action, pixels, how, key] of BUTTONS) {
      const ariaLabel = pixels.replace("row", row).replace("pixel", unit);
      Object.assign(this.find(`[data-do=${action}]`), { title: `${ariaLabel}${how} (${key})`, ariaLabel });
    }
    for (const { value, firstChild } of this.all(".px-speed option")) {
      if (value > 0) firstChild.data = `${value} ${unit}${value > 1 ? "s" : ""}/s`;
    }
  }

  get keys() { return ACTIONS; }

  get speed() {
    const { value } = this.find(".px-speed");
    return value === "fastest" ? Infinity : Number(value);
  }

  perform(action) {
    if (!this.isReady) return;
    const { total, width } = this;
    if (action === "play") this.toggle();
    else if (action === "start") this.step(-Infinity);
    else this.step({ "back": -1, "forward": 1, "row-back": -width, "row-forward": width, end: total }[action]);
  }

  key(event) {
    if (!this.isReady || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    const { key } = event;
    const path = event.composedPath(), inside = path.includes(this.root), [target] = path;
    if (!inside && !this.isUsed) return;
    if (key === "Escape") return this.escape();
    if (inside && target.matches("select, input[type=number]")) return;
    if (inside && target.matches("input[type=range]") && key !== " ") return; // it scrubs itself
    const presses = key === " " || key === "Enter"; // what has the focus
    if (presses && inside && target.matches("a, button, summary, input[type=checkbox]")) return;
    const action = this.keys[key];
    if (!action || (key === " " && event.repeat)) return;
    event.preventDefault(); // the page would scroll
    this.perform(action);
  }

  escape() {}

  lay() { this.stripWidth = this.find(".px-timeline").clientWidth; }

  // Shows the position, in words too.
  showTransport(place) {
    const { position, playing, total } = this;
    const scrub = this.find(".px-scrub"), play = this.find("[data-do=play]");
    if (scrub.max !== String(total)) scrub.max = total;
    scrub.value = position;
    setText(this.find(".px-position"), place);
    scrub.ariaValueText = place;
    const word = playing ? "Pause" : "Play";
    if (play.ariaLabel !== word) Object.assign(play, { ariaLabel: word, title: `${word} (Space)` });
    Object.assign(this.root.dataset, { position, playing });
  }

  // Draws the time line's track: shown, received, to come. Returns what else is drawn on it with.
  drawTrack(height) {
    const { theme, total } = this;
    const ctx = fitCanvas(this.find(".px-strip"), this.stripWidth, height);
    const span = this.stripWidth - 2 * INSET;
    const x = (position) => INSET + (span * position) / total;
    const bar = (from, to, y, tall, fill) => {
      ctx.fillStyle = fill;
      ctx.fillRect(x(from), y, Math.max(0, x(to) - x(from)), tall);
    };
    bar(0, total, 9, 4, theme.border);
    bar(0, this.have, 9, 4, theme.muted);
    bar(0, this.position, 9, 4, theme.primary);
    ctx.font = `11px ${theme.font}`;
    return { ctx, x, bar, pixel: span / total };
  }
}
