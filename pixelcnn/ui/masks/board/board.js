// The controller of a board: what is hovered, chosen and played, and what the server is told.

import { parseMessage } from "../../generate/player/trace.js";
import { setText } from "../../generate/player/panels.js";
import { boardTheme, drawKey, markColour } from "./looks.js";
import { Grid } from "./grid.js";

const INSTANCES = new WeakMap(); // by parent element, which stays the same for a mount
const AFTER_OTHERS_MS = 10; // a field that the click left is sent first: with it all would be one message
const SEND_AFTER_MS = 100; // of a burst of arrow keys or of dragging the last is told, a click at once
const GAP = 26; // between panels, as in board.css
const SMALL = 300; // panels up to this size may share a row on a phone

class Board {
  constructor(parent) {
    this.find = (selector) => parent.querySelector(selector);
    this.root = this.find(".pcb");
    this.root.__board = this; // for tests
    this.generation = 0;
    this.grids = [];
    this.marks = {};
    this.identity = null;
    this.frame = 0;
    this.playing = false;
    this.pick = null; // the mark that a click moves
    this.number = 0; // of the last pick that was told to the server
    this.unsent = null;
    this.moved = -Infinity; // when a mark was moved last
    this.hover = { grid: -1, cell: -1 };
    this.kernelIndex = -1; // the kernel panel that lies over the picture
    this.entry = -1; // its entry that was hovered last
    this.theme = null;
    this.dirty = this.resized = true;
    this.stop = new AbortController();
    const { signal } = this.stop;
    this.find(".pcb-play").addEventListener("click", () => this.togglePlay(), { signal });
    this.find(".pcb-scrub").addEventListener("input", (event) => {
      this.playing = false;
      this.goTo(Number(event.target.value));
    }, { signal });
    this.sizes = new ResizeObserver(() => { this.resized = true; });
    this.sizes.observe(this.root);
    this.request = requestAnimationFrame((now) => this.tick(now));
  }

  // Whether a kernel slides over a picture here.
  get link() { return this.kernelIndex >= 0; }
  get kernel() { return this.grids[this.kernelIndex] ?? null; }
  get centre() { return this.marks[this.pick] ?? 0; }

  // --- messages ---

  accept(view) {
    const { head, sections } = parseMessage(view);
    const isNew = head.identity !== this.identity;
    this.head = head;
    this.identity = head.identity;
    const kernels = head.frames?.slides
      ? head.panels.flatMap((panel, n) => (panel.dilation > 0 ? [n] : [])) : [];
    if (isNew) {
      this.hover = { grid: -1, cell: -1 };
      this.entry = -1;
    }
    if (isNew || !kernels.includes(this.kernelIndex)) this.kernelIndex = kernels[0] ?? -1;
    while (this.grids.length > head.panels.length) this.grids.pop().element.remove();
    while (this.grids.length < head.panels.length) {
      this.grids.push(new Grid(this, this.grids.length));
      this.find(".pcb-panels").append(this.grids.at(-1).element);
    }
    const names = head.picks.map(([name]) => name);
    if (!names.includes(this.pick)) this.pick = names[0] ?? null;
    head.panels.forEach((panel, n) => this.grids[n].accept(panel, sections));
    // What the visitor chose since then is newer than what the server says.
    if (head.echo >= this.number && this.unsent === null) this.marks = { ...head.marks };
    this.number = Math.max(this.number, head.echo);
    if (isNew) {
      this.playing = false;
      this.frame = head.start;
    }
    this.frame = Math.min(this.frame, this.lastFrame);
    if (head.frames?.slides) this.frame = this.marks[head.frames.slides];
    this.showPicks();
    this.showFrames();
    this.resized = this.dirty = true;
  }

  get lastFrame() { return Math.max(0, (this.head.frames?.count ?? 1) - 1); }

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
    this.find(".pcb-scrub").max = this.lastFrame;
    this.find(".pcb-scrub").ariaLabel = this.head.frames?.button ?? "";
  }

  // --- the visitor ---

  listenTo(grid) {
    const { signal } = this.stop;
    const on = (event, act) => grid.over.addEventListener(event, act, { signal });
    on("pointerdown", (event) => {
      const cell = grid.cellAt(event);
      if (cell < 0 || event.button !== 0) return;
      this.hoverOver(grid, cell);
      if (!grid.panel.choosable || this.pick === null) return;
      this.dragging = this.link && event.pointerType !== "touch" ? grid : null;
      if (this.dragging) grid.over.setPointerCapture(event.pointerId);
      if (event.pointerType !== "touch") this.choose(cell);
    });
    on("pointermove", (event) => {
      if (event.pointerType === "touch") return;
      const cell = grid.cellAt(event);
      this.hoverOver(grid, cell);
      if (this.dragging === grid && cell >= 0 && cell !== this.centre) this.choose(cell);
    });
    on("click", (event) => { // a finger chooses when it is lifted, so that it can scroll the page
      const cell = grid.cellAt(event);
      if (cell >= 0 && event.pointerType === "touch" && grid.panel.choosable) this.choose(cell);
      if (!this.link && this.head.picks.length > 1) this.nextPick();
    });
    for (const event of ["pointerup", "pointercancel"]) on(event, () => { this.dragging = null; });
    on("pointerleave", () => { if (!this.dragging) this.hoverOver(grid, -1); });
    on("keydown", (event) => this.key(event, grid));
  }

  hoverOver(grid, cell) {
    const { hover } = this;
    if (cell < 0 && hover.grid !== grid.index) return;
    if (hover.grid === grid.index && hover.cell === cell) return;
    this.hover = { grid: cell < 0 ? -1 : grid.index, cell };
    if (cell >= 0 && grid.isKernel) {
      if (this.link) this.kernelIndex = grid.index;
      this.entry = cell;
    } else {
      this.entry = -1;
    }
    this.dirty = true;
  }

  nextPick() {
    const names = this.head.picks.map(([name]) => name);
    this.pick = names[(names.indexOf(this.pick) + 1) % names.length];
    this.showPicks();
  }

  key(event, grid) {
    const chooses = grid.panel.choosable && this.pick !== null;
    if (!chooses && !grid.isKernel) return;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const here = this.hover.grid === grid.index ? this.hover.cell : grid.total >> 1;
    const { row, col } = grid.place(chooses ? this.marks[this.pick] : here);
    const step = event.shiftKey && !grid.panel.tile ? 5 : 1;
    const [down, right] = grid.panel.tile ?? [step, step];
    const moved = { ArrowLeft: [row, col - right], ArrowRight: [row, col + right],
      ArrowUp: [row - down, col], ArrowDown: [row + down, col] }[event.key];
    if (!moved) return;
    event.preventDefault(); // the page would scroll
    const clamp = (value, end) => Math.max(0, Math.min(end - 1, value));
    const { height, width } = grid.panel;
    const cell = clamp(moved[0], height) * width + clamp(moved[1], width);
    if (chooses) this.choose(cell);
    else this.hoverOver(grid, cell);
  }

  choose(cell) {
    this.playing = false;
    if (this.head.frames?.slides === this.pick) this.frame = cell;
    this.setMark(cell);
  }

  setMark(cell) {
    this.marks[this.pick] = cell;
    this.dirty = true;
    this.tellSoon();
  }

  tellSoon() {
    if (this.unsent !== null) clearTimeout(this.unsent);
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

  togglePlay() {
    this.playing = !this.playing;
    if (this.playing && this.frame >= this.lastFrame) this.goTo(0);
    this.clock = this.frame;
    this.tellPlace();
    this.dirty = true;
  }

  // While frames play the server hears nothing; when they stop, which one it is.
  tellPlace() {
    if (this.playing) return;
    if (this.head.frames.slides) this.setMark(this.frame);
    else if (this.head.frames.told) this.tellSoon();
  }

  goTo(frame) {
    this.frame = frame;
    this.clock = frame;
    this.dirty = true;
    const { slides } = this.head.frames;
    if (!slides) {
      this.tellPlace();
      return;
    }
    this.pick = slides;
    if (!this.playing) this.setMark(frame);
    else this.marks[slides] = frame;
  }

  advance(seconds) {
    const before = this.frame;
    this.clock = Math.min(this.lastFrame, this.clock + seconds * this.head.frames.rate);
    const frame = Math.floor(this.clock);
    if (frame !== before) {
      const { clock } = this;
      this.goTo(frame);
      this.clock = clock;
    }
    if (frame >= this.lastFrame) {
      this.playing = false;
      this.tellPlace();
      this.dirty = true;
    }
  }

  tick(now) {
    const seconds = Math.min(0.25, (now - (this.before ?? now)) / 1000); // a hidden tab stands still
    this.before = now;
    if (this.head) {
      if (this.playing) this.advance(seconds);
      if (this.resized || this.ratio !== window.devicePixelRatio) this.lay();
      if (this.dirty && !this.resized) this.draw(); // not before there is room for it
    }
    this.request = requestAnimationFrame((next) => this.tick(next));
  }

  // --- the screen ---

  retheme() {
    this.theme = null;
    this.dirty = true;
  }

  lay() {
    const available = this.root.clientWidth - 8;
    if (available <= 0) return;
    this.resized = false;
    this.ratio = window.devicePixelRatio;
    this.dirty = true;
    const sizes = this.grids.map((grid) => grid.panel.size);
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
    this.dirty = false;
    const { head, hover } = this;
    this.theme ??= boardTheme(this.root);
    this.root.style.setProperty("--px-on-primary", this.theme.onPrimary);
    const { frames } = head;
    for (const grid of this.grids) {
      grid.draw(frames?.slides ? 0 : this.frame, this.theme);
      const same = this.grids[hover.grid];
      const linked = same && !same.isKernel && !grid.isKernel
        && same.panel.height === grid.panel.height && same.panel.width === grid.panel.width;
      grid.element.dataset.active = this.link && this.grids.filter((g) => g.isKernel).length > 1
        && grid.index === this.kernelIndex;
      grid.drawOver({
        marks: this.marks, hovered: grid === same || linked ? hover.cell : -1,
        kernel: this.kernel, centre: this.centre, entry: this.entry,
      }, this.theme);
    }
    this.drawText();
    this.drawLegend();
    Object.assign(this.root.dataset, { frame: this.frame, playing: this.playing, identity: this.identity });
  }

  drawText() {
    const { head } = this;
    const text = this.hover.cell >= 0 ? this.tell(this.grids[this.hover.grid], this.hover.cell) : "";
    const status = this.find(".pcb-status");
    setText(status, text || head.hint);
    status.dataset.idle = !text;
    if (!head.frames) return;
    const { labels, button } = head.frames;
    const place = this.grids.at(-1).place(this.frame);
    setText(this.find(".pcb-label"), labels[this.frame]
      ?? (head.frames.slides ? `row ${place.row}, column ${place.col}`
        : `${this.frame} of ${this.lastFrame} pixels`));
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
    return [...parts, wordFor(this.head, look)].filter(Boolean).join(" · ");
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
    const { row, col } = grid.place(cell), at = grid.place(this.centre);
    for (let e = 0; e < this.kernel.total; e++) {
      const { down, right } = this.kernel.offset(e);
      if (at.row + down === row && at.col + right === col) return this.kernel.lookAt(e, 0);
    }
    return 0;
  }

  tellEntry(grid, entry) {
    const { down, right } = grid.offset(entry);
    const steps = (count, negative, positive) => (count === 0 ? ""
      : `${Math.abs(count)} ${count < 0 ? negative : positive}`);
    const where = [steps(down, "up", "down"), steps(right, "left", "right")].filter(Boolean).join(", ");
    const parts = [`entry ${where || "in the centre"}`, wordFor(this.head, grid.lookAt(entry, 0))];
    if (grid.panel.unit) parts.push(this.tellValue(grid, entry)); // a mask's 0 and 1 are in the words
    if (this.link) {
      const picture = this.grids.find((other) => other.panel.choosable);
      const at = picture.place(this.centre);
      const row = at.row + down, col = at.col + right;
      const outside = row < 0 || row >= picture.panel.height || col < 0 || col >= picture.panel.width;
      const pixel = row * picture.panel.width + col;
      parts.push(outside ? "outside the picture, where it would read 0"
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

  destroy() {
    cancelAnimationFrame(this.request);
    if (this.unsent !== null) clearTimeout(this.unsent);
    this.sizes.disconnect();
    this.stop.abort();
  }
}

function wordFor(head, look) {
  return head.words[look] ?? "";
}

// Streamlit calls this again for every message and theme; the clean-up of a superseded call must
// do nothing, hence the generation.
export default function (component) {
  const { parentElement, data } = component;
  let board = INSTANCES.get(parentElement);
  if (!board) INSTANCES.set(parentElement, board = new Board(parentElement));
  board.setTriggerValue = component.setTriggerValue;
  const generation = ++board.generation;
  board.retheme();
  if (data) board.accept(data);
  return () => {
    if (generation !== board.generation) return;
    board.destroy();
    INSTANCES.delete(parentElement);
  };
}
