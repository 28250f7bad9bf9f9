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
    this.hovered = { grid: -1, cell: -1 };
    this.kernelIndex = -1; // the kernel panel that lies over the picture
    this.entry = -1; // its entry that was hovered last
    this.on(".pcb-play", "click", () => this.toggle());
    this.on(".pcb-scrub", "input", (event) => this.scrub(Number(event.target.value)));
  }

  readTheme() { return boardTheme(this.root); }

  // Whether a kernel slides over a picture here.
  get link() { return this.kernelIndex >= 0; }
  get kernel() { return this.grids[this.kernelIndex] ?? null; }
  get centre() { return this.marks[this.pick] ?? 0; }

  // --- messages ---

  accept({ head, sections }) {
    const isNew = head.identity !== this.identity;
    this.head = head;
    this.identity = head.identity;
    const kernels = head.frames?.slides
      ? head.panels.flatMap((panel, n) => (panel.dilation > 0 ? [n] : [])) : [];
    if (isNew) {
      this.hovered = { grid: -1, cell: -1 };
      this.entry = -1;
    }
    if (isNew || !kernels.includes(this.kernelIndex)) this.kernelIndex = kernels[0] ?? -1;
    while (this.grids.length > head.panels.length) this.grids.pop().element.remove();
    while (this.grids.length < head.panels.length) {
      const grid = new Panel(this.grids.length);
      this.grids.push(grid);
      this.listenTo(grid);
      this.find(".pcb-panels").append(grid.element);
    }
    const names = head.picks.map(([name]) => name);
    if (!names.includes(this.pick)) this.pick = names[0] ?? null;
    head.panels.forEach((panel, n) => this.grids[n].accept(panel, sections, this.link));
    // What the visitor chose since then is newer than what the server says.
    if (head.echo >= this.number && this.unsent === null) this.marks = { ...head.marks };
    this.number = Math.max(this.number, head.echo);
    if (isNew) this.playing = false;
    const slides = head.frames?.slides, frame = isNew ? head.frames?.start ?? 0 : this.frame;
    super.moveTo(slides ? this.marks[slides] : Math.min(frame, this.total));
    this.showPicks();
    this.showFrames();
    this.isReady = this.resized = true;
  }

  get total() { return Math.max(0, (this.head.frames?.count ?? 1) - 1); }
  get speed() { return this.head.frames.per_second; }
  get frame() { return this.position; }

  showPicks() {
    const box = this.find(".pcb-picks"), { picks } = this.head;
    box.hidden = picks.length < 2;
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
      this.dragging = this.link && event.pointerType !== "touch" ? grid : null;
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
      if (!this.link && this.head.picks.length > 1) this.nextPick();
    });
    for (const event of ["pointerup", "pointercancel"]) on(event, () => { this.dragging = null; });
    on("pointerleave", () => { if (!this.dragging) this.hoverOver(grid, -1); });
    on("keydown", (event) => this.key(event, grid));
  }

  hoverOver(grid, cell) {
    const { hovered } = this;
    if (cell < 0 && hovered.grid !== grid.index) return;
    if (hovered.grid === grid.index && hovered.cell === cell) return;
    this.hovered = { grid: cell < 0 ? -1 : grid.index, cell };
    if (cell >= 0 && grid.isKernel) {
      if (this.link) this.kernelIndex = grid.index;
      this.entry = cell;
    } else {
      this.entry = -1;
    }
    this.touch();
  }

  nextPick() {
    const names = this.head.picks.map(([name]) => name);
    this.pick = names[(names.indexOf(this.pick) + 1) % names.length];
    this.showPicks();
  }

  key(event, grid) {
    const chooses = grid.panel.is_choosable && this.pick !== null;
    if (!chooses && !grid.isKernel) return;
    const here = this.hovered.grid === grid.index ? this.hovered.cell : grid.total >> 1;
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
      const same = this.grids[hovered.grid];
      const linked = same && !same.isKernel && !grid.isKernel
        && same.panel.height === grid.panel.height && same.panel.width === grid.panel.width;
      grid.element.dataset.active = this.link && this.grids.filter((g) => g.isKernel).length > 1
        && grid.index === this.kernelIndex;
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
    const text = this.hovered.cell >= 0 ? this.tell(this.grids[this.hovered.grid], this.hovered.cell) : "";
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
    const look = this.kernel ? this.lookUnderKernel(grid, cell)
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

  // The look of the kernel's entry that lies over a pixel, 0 where none does.
  lookUnderKernel(grid, cell) {
    for (let e = 0; e < this.kernel.total; e++) {
      if (grid.pixelRead(this.kernel, e, this.centre) === cell) return this.kernel.lookAt(e, 0);
    }
    return 0;
  }

  tellEntry(grid, entry) {
    const { down, right } = grid.offset(entry);
    const steps = (count, negative, positive) => (count === 0 ? ""
      : `${Math.abs(count)} ${count < 0 ? negative : positive}`);
    const where = [steps(down, "up", "down"), steps(right, "left", "right")].filter(Boolean).join(", ");
    const parts = [`entry ${where || "in the centre"}`, this.wordFor(grid.lookAt(entry, 0))];
    if (grid.panel.unit) parts.push(this.tellValue(grid, entry)); // a mask's 0 and 1 are in the words
    if (this.link) {
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
    const { legend, words } = this.head;
    const key = JSON.stringify([legend, words, this.theme.text, this.ratio]);
    if (key === this.legendKey) return;
    this.legendKey = key;
    this.find(".pcb-legend").replaceChildren(...legend.map((look) => {
      const entry = document.createElement("span");
      const canvas = document.createElement("canvas");
      drawKey(canvas, look, this.theme);
      entry.append(canvas, words[look] ?? "");
      return entry;
    }));
  }

  wordFor(look) { return this.head.words[look] ?? ""; }

  destroy() {
    clearTimeout(this.unsent);
    super.destroy();
  }
}

export default mount(".pcb", Board);
