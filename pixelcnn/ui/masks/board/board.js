// The controller of a board: what is hovered, chosen and played, and what the server is told.

import { placeOf, setText } from "../../browser/basics.js";
import { mount } from "../../browser/mount.js";
import { pixelBeside, pixelUnder } from "../../browser/pixel_grid.js";
import { Clock } from "../../browser/playback.js";
import { boardTheme, drawKey, markColour } from "./looks.js";
import { Panel } from "./panel.js";

const AFTER_OTHERS_MS = 10; // a field that the click left is sent first: with it all would be one message
const SEND_AFTER_MS = 100; // of a burst of arrow keys or of dragging the last is told, a click at once
const GAP = 26; // between panels, as in board.css
const TALLEST = 0.5; // of the window's height: the words above a picture stay in sight
const SMALL = 300; // panels up to this size may share a row on a phone

const NOWHERE = { grid: null, cell: -1 };

class Board extends Clock {
  constructor(root) {
    super(root);
    this.grids = [];
    this.marks = {};
    this.identity = null;
    this.pick = null; // the mark that a click moves
    this.number = 0; // of the last pick that was told to the server
    this.unsent = null;
    this.moved = -Infinity; // when a mark was moved last
    this.hovered = NOWHERE;
    this.kernel = null; // the panel of the kernel that slides over the picture, where one does
    this.on(".pcb-play", "click", () => this.toggle());
    this.on(".pcb-scrub", "input", (event) => this.scrub(Number(event.target.value)));
  }

  readTheme() { return boardTheme(this.root); }

  get names() { return Object.keys(this.head.marks); }
  get centre() { return this.marks[this.pick] ?? 0; }
  // The entry of a kernel that the pointer is over.
  get entry() { return this.hovered.grid?.isKernel ? this.hovered.cell : -1; }

  // --- messages ---

  accept({ head, sections }) {
    const isNew = head.identity !== this.identity;
    this.head = head;
    this.identity = head.identity;
    const slides = head.frames?.slides;
    while (this.grids.length > head.panels.length) this.grids.pop().element.remove();
    while (this.grids.length < head.panels.length) {
      const grid = new Panel();
      this.grids.push(grid);
      this.listenTo(grid);
      this.find(".pcb-panels").append(grid.element);
    }
    this.grids.forEach((grid, n) => {
      grid.accept(head.panels[n], (name) => sections[`${name}${n}`] ?? null);
    });
    const kernels = slides ? this.grids.filter((grid) => grid.isKernel) : [];
    if (isNew || !kernels.includes(this.kernel)) this.kernel = kernels[0] ?? null;
    for (const grid of this.grids) {
      grid.over.dataset.slides = this.kernel !== null && grid.panel.is_choosable;
    }
    if (!this.names.includes(this.pick)) this.pick = this.names[0] ?? null;
    // What the visitor chose since then is newer than what the server says.
    if (head.echo >= this.number && this.unsent === null) this.marks = { ...head.marks };
    this.number = Math.max(this.number, head.echo);
    if (isNew) Object.assign(this, { playing: false, hovered: NOWHERE });
    const frame = isNew ? head.frames?.start ?? 0 : this.frame;
    super.moveTo(slides ? this.marks[slides] : Math.min(frame, this.total));
    this.showPicks();
    this.showFrames();
    this.isReady = this.resized = true;
  }

  get total() { return Math.max(0, (this.head.frames?.count ?? 1) - 1); }
  get speed() { return this.head.frames.per_second; }
  get frame() { return this.position; }

  showPicks() {
    const box = this.find(".pcb-picks"), picks = Object.entries(this.head.buttons);
    box.hidden = picks.length === 0;
    // Only if they are others: a button that is being pressed or has the focus stays.
    if (JSON.stringify(picks) !== box.dataset.picks) {
      box.dataset.picks = JSON.stringify(picks);
      box.replaceChildren(...picks.map(([name, text]) => {
        const button = document.createElement("button");
        button.type = "button";
        button.style.setProperty("--pcb-mark", markColour(name));
        button.append(document.createElement("i"), text);
        button.addEventListener("click", () => {
          this.pick = name;
          this.showPicks();
        });
        return button;
      }));
    }
    picks.forEach(([name], n) => { box.children[n].ariaPressed = String(name === this.pick); });
  }

  showFrames() {
    this.find(".pcb-frames").hidden = !this.head.frames;
    this.find(".pcb-scrub").max = this.total;
    this.find(".pcb-scrub").ariaLabel = this.head.frames?.button ?? "";
  }

  // --- the visitor ---

  listenTo(grid) {
    const on = (event, act) => this.on(grid.over, event, act);
    const cellAt = (event) => pixelUnder(grid.over, event, grid);
    on("pointerdown", (event) => {
      const cell = cellAt(event);
      if (cell < 0 || event.button !== 0) return;
      this.hoverOver(grid, cell);
      if (!grid.panel.is_choosable || this.pick === null) return;
      this.dragging = this.kernel && event.pointerType !== "touch" ? grid : null;
      if (this.dragging) grid.over.setPointerCapture(event.pointerId);
      if (event.pointerType !== "touch") this.choose(cell);
    });
    on("pointermove", (event) => {
      if (event.pointerType === "touch") return;
      const cell = cellAt(event);
      this.hoverOver(grid, cell);
      if (this.dragging === grid && cell >= 0 && cell !== this.centre) this.choose(cell);
    });
    on("click", (event) => { // a finger chooses when it is lifted, so that it can scroll the page
      const cell = cellAt(event);
      if (cell >= 0 && event.pointerType === "touch" && grid.panel.is_choosable) this.choose(cell);
      if (!this.kernel && this.names.length > 1) this.nextPick();
    });
    for (const event of ["pointerup", "pointercancel"]) on(event, () => { this.dragging = null; });
    on("pointerleave", () => { if (!this.dragging) this.hoverOver(grid, -1); });
    on("keydown", (event) => this.key(event, grid));
  }

  hoverOver(grid, cell) {
    const { hovered } = this;
    if (grid === hovered.grid ? cell === hovered.cell : cell < 0) return;
    this.hovered = cell < 0 ? NOWHERE : { grid, cell };
    if (this.kernel && this.entry >= 0) this.kernel = grid;
    this.touch();
  }

  nextPick() {
    const { names } = this;
    this.pick = names[(names.indexOf(this.pick) + 1) % names.length];
    this.showPicks();
  }

  key(event, grid) {
    const chooses = grid.panel.is_choosable && this.pick !== null;
    if (!chooses && !grid.isKernel) return;
    const here = this.hovered.grid === grid ? this.hovered.cell : grid.total >> 1;
    const step = event.shiftKey ? 5 : 1;
    const cell = pixelBeside(event, chooses ? this.marks[this.pick] : here, grid,
      grid.panel.tile ?? [step, step]);
    if (cell < 0) return;
    event.preventDefault(); // the page would scroll
    if (chooses) this.choose(cell);
    else this.hoverOver(grid, cell);
  }

  choose(cell) {
    this.playing = false;
    if (this.head.frames?.slides === this.pick) super.moveTo(cell);
    this.setMark(cell);
  }

  setMark(cell) {
    this.marks[this.pick] = cell;
    this.touch();
    this.tellSoon();
  }

  tellSoon() {
    clearTimeout(this.unsent);
    const now = performance.now(), alone = now - this.moved > SEND_AFTER_MS && !this.dragging;
    this.moved = now;
    this.unsent = setTimeout(() => {
      this.unsent = null;
      this.number += 1;
      // All of them: two may have moved since the last message.
      const { number, frame } = this;
      this.setTriggerValue("pick", { marks: { ...this.marks }, number, frame });
    }, alone ? AFTER_OTHERS_MS : SEND_AFTER_MS);
  }

  // --- frames ---

  toggle() {
    super.toggle();
    this.tellPlace();
  }

  // While frames play the server hears nothing; when they stop, which one it is.
  tellPlace() {
    if (this.playing || !this.head.frames) return;
    if (this.head.frames.slides) this.setMark(this.frame);
    else if (this.head.frames.is_told) this.tellSoon();
  }

  moveTo(frame) {
    super.moveTo(frame);
    const { slides } = this.head.frames;
    if (slides) {
      this.pick = slides;
      this.marks[slides] = frame;
    }
    this.tellPlace();
  }

  advance(seconds) {
    const { playing } = this;
    super.advance(seconds);
    if (playing && !this.playing) this.tellPlace();
  }

  // --- the screen ---

  lay() {
    const available = this.root.clientWidth - 8;
    const tallest = Math.max(240, TALLEST * window.innerHeight);
    const sizes = this.grids.map((grid) => Math.min(grid.panel.size, tallest));
    const gaps = GAP * (sizes.length - 1);
    const share = (available - gaps) / sizes.reduce((sum, size) => sum + size, 0);
    if (share >= 0.55) {
      this.grids.forEach((grid, n) => grid.lay(Math.min(1, share) * sizes[n]));
    } else {
      const half = (available - GAP) / 2;
      this.grids.forEach((grid, n) => grid.lay(Math.min(sizes[n], sizes[n] <= SMALL ? half : available)));
    }
  }

  draw() {
    const { head, hovered } = this;
    const { frames } = head;
    for (const grid of this.grids) {
      grid.draw(frames?.slides ? 0 : this.frame, this.theme);
      const same = hovered.grid;
      const linked = same && !same.isKernel && !grid.isKernel
        && same.height === grid.height && same.width === grid.width;
      grid.element.dataset.active = grid === this.kernel
        && this.grids.filter((other) => other.isKernel).length > 1;
      grid.drawOver({
        marks: this.marks, hovered: grid === same || linked ? hovered.cell : -1,
        kernel: this.kernel, centre: this.centre, entry: this.entry,
      }, this.theme);
    }
    this.drawText();
    this.drawLegend();
    Object.assign(this.root.dataset, { frame: this.frame, playing: this.playing, identity: this.identity });
  }

  drawText() {
    const { head } = this;
    const { grid, cell } = this.hovered;
    const text = grid ? this.tell(grid, cell) : "";
    const status = this.find(".pcb-status");
    setText(status, text || head.hint);
    status.dataset.idle = !text;
    if (!head.frames) return;
    const { labels, button } = head.frames;
    const place = placeOf(this.grids.at(-1), this.frame);
    setText(this.find(".pcb-label"), labels[this.frame]
      ?? (head.frames.slides ? `row ${place.row}, column ${place.col}`
        : `${this.frame} of ${this.total} pixels`));
    this.find(".pcb-scrub").value = this.frame;
    setText(this.find(".pcb-play"), this.playing ? "Pause" : button);
  }

  tell(grid, cell) {
    if (grid.isKernel) return this.tellEntry(grid, cell);
    const parts = [grid.nameOf(cell)];
    if (grid.panel.reveal && cell >= this.frame) return `${parts[0]} · not there yet`;
    if (grid.values) parts.push(this.tellValue(grid, cell));
    const look = this.kernel ? grid.looksUnder(this.kernel, this.centre).get(cell)
      : grid.lookAt(cell, this.frame);
    return [...parts, this.wordFor(look)].filter(Boolean).join(" · ");
  }

  tellValue(grid, cell) {
    const value = grid.values[cell];
    if (Number.isNaN(value)) return ""; // a hidden weight
    const text = Number.isInteger(value) ? `${value}`
      : Math.abs(value) >= 0.01 ? value.toPrecision(3) : value.toExponential(1);
    return `${grid.panel.unit} ${text.replace("-", "−")}`.trim();
  }

  tellEntry(grid, entry) {
    const { down, right } = grid.offset(entry);
    const steps = (count, negative, positive) => (count === 0 ? ""
      : `${Math.abs(count)} ${count < 0 ? negative : positive}`);
    const where = [steps(down, "up", "down"), steps(right, "left", "right")].filter(Boolean).join(", ");
    const parts = [`entry ${where || "in the centre"}`, this.wordFor(grid.lookAt(entry, 0))];
    if (grid.panel.unit) parts.push(this.tellValue(grid, entry)); // a mask's 0 and 1 are in the words
    if (this.kernel) {
      const picture = this.grids.find((other) => other.panel.is_choosable);
      const pixel = picture.pixelRead(grid, entry, this.centre);
      const { row, col } = placeOf(picture, pixel);
      parts.push(pixel < 0 ? "outside the picture, where it would read 0"
        : `over row ${row}, column ${col}`
          + (picture.values ? ` (${this.tellValue(picture, pixel)})` : ""));
    }
    return parts.filter(Boolean).join(" · ");
  }

  drawLegend() {
    const { legend } = this.head;
    const key = JSON.stringify([legend, this.theme.text, this.ratio]);
    if (key === this.legendKey) return;
    this.legendKey = key;
    this.find(".pcb-legend").replaceChildren(...legend.map((look) => {
      const entry = document.createElement("span");
      const canvas = document.createElement("canvas");
      drawKey(canvas, look, this.theme);
      entry.append(canvas, this.wordFor(look));
      return entry;
    }));
  }

  wordFor(look) { return this.theme.looks[look]?.word ?? ""; }

  destroy() {
    clearTimeout(this.unsent);
    super.destroy();
  }
}

export default mount(".pcb", Board);
