// The controller: what is shown, what plays, what is asked of the server.

import { clamp, placeOf, setText, thousands } from "../../browser/basics.js";
import { ask, isLeaving } from "../../browser/leaving.js";
import { mount } from "../../browser/mount.js";
import { placeUnder } from "../../browser/pixel_grid.js";
import { Playback } from "../../browser/playback.js";
import { drawSheet, layButtons, sheetLayout, titleOf } from "../../browser/sheet.js";
import { RunData, drawMaps, drawMarks, drawScan } from "./run_data.js";

const RETRY_MS = 700; // a pull can get lost when a rerun overtakes it; the server answers repeats

class Completions extends Playback {
  constructor(root) {
    super(root, "400");
    this.runData = null;
    this.pulledAt = null; // when the unanswered pull was sent
    this.rate = null; // steps per second that the server computes
    this.sort = this.recall("sort") ?? "drawn";
    this.chosen = null; // {image, pixel}
    this.find(".pxr-outline").checked = this.recall("outline") ?? true;
    this.on("[data-sort]", "click", ({ currentTarget }) => {
      this.sort = currentTarget.dataset.sort;
      this.remember("sort", this.sort);
      this.touch();
    });
    this.on("[data-act]", "click", ({ currentTarget }) => this.setTriggerValue(
      currentTarget.dataset.act, { run: this.runData.head.run, ...this.chosen }));
    this.on(".pxr-pin select", "change", ({ target }) => this.setTriggerValue("pin", {
      run: this.runData.head.run, ...this.chosen, label: target.value < 0 ? null : +target.value }));
    this.on(".pxr-outline", "change", (event) => {
      this.remember("outline", event.target.checked);
      this.touch();
    });
  }

  get have() { return this.runData.head.count; }
  get total() { return this.runData.head.steps; } // the scan may end before the last pixel
  get first() { return this.runData.head.first; } // before that all pixels are known
  get width() { return this.runData.head.width * this.runData.head.channels; }
  get done() { return this.runData.head.done; }

  // --- messages ---

  accept(message) {
    const runData = new RunData(message), { head } = runData;
    const fresh = head.run !== this.runData?.head.run;
    if (!fresh && head.serial < this.runData.head.serial) return;
    this.pulledAt = null;
    this.runData = runData;
    this.isReady = true;
    if (fresh) this.begin(head);
    else if (head.count > this.begun.count) {
      const seconds = (performance.now() - this.begun.at) / 1000;
      this.rate = (head.count - this.begun.count) / seconds;
    }
    this.showPin();
    this.touch();
  }

  begin(head) {
    this.name(this.runData.shape);
    this.find(".pxr-pin").hidden = !head.class_names.length;
    this.find(".pxr-pin select").replaceChildren(...["not pinned", ...head.class_names].map(
      (name, i) => new Option(name, i - 1)));
    const memory = this.recall("place");
    const back = memory?.run === head.run; // mounted anew: go on where the visitor left
    this.begun = { at: performance.now(), count: head.count };
    this.rate = null;
    this.chosen = null;
    this.resized = true;
    this.playing = back ? memory.playing : true;
    this.goal = back ? memory.position : null;
    this.moveTo(Math.min(head.first, head.count));
    if (back || head.quiet) return;
    const { top, bottom } = this.root.getBoundingClientRect(), half = innerHeight / 2;
    if (top > half || bottom < half) this.root.scrollIntoView({ behavior: "smooth" });
  }

  pullIfNeeded(now) {
    // After the last pixel the server still has to sum up, whether anything plays or not.
    const wanted = this.playing || this.have === this.total
      || (this.goal !== null && this.goal > this.have);
    if (this.done || !wanted || isLeaving()) return;
    if (this.pulledAt !== null && now - this.pulledAt <= RETRY_MS) return;
    this.pulledAt = now;
    ask(this, "pull", { run: this.runData.head.run, serial: this.runData.head.serial });
  }

  // --- playback ---

  toggle() {
    super.toggle();
    this.begun = { at: performance.now(), count: this.have }; // a pause is no slow computer
  }

  advance(seconds, now) {
    super.advance(seconds, now);
    this.pullIfNeeded(now);
  }

  escape() { this.choose(null); }

  showPin() { this.find(".pxr-pin select").value = this.runData.head.pins[this.chosen?.image] ?? -1; }

  choose(chosen) {
    this.chosen = chosen;
    this.showPin();
    this.touch();
  }

  // --- the screen ---

  lay() {
    super.lay();
    const room = this.root.clientWidth;
    this.layout = sheetLayout(this.runData.shape, room >= 700 ? Math.min(520, room - 190) : room);
    this.mapSize = Math.min(160, Math.floor((room - 24) / 2));
  }

  layCells(order) {
    const { layout, runData } = this;
    const key = JSON.stringify([runData.head.run, layout.scale, layout.cells, order]);
    if (key === this.cellsKey) return; // new buttons would drop the focus
    this.cellsKey = key;
    layButtons(this.find(".px-cells"), layout, {
      describe: (place) => ({ ariaLabel: `Completion ${this.nameOf(order[place])}` }),
      click: (place, event) => this.choose({ image: order[place], pixel: this.pixelAt(event) }),
      hover: (place) => this.hover(order[place] ?? -1),
    });
    this.all(".px-cells button").forEach((button, place) => { button.dataset.image = order[place]; });
  }

  pixelAt(event) {
    const { shape, scan } = this.runData;
    if (event.detail === 0) return scan[this.first]; // by keyboard: the first that was not known
    const { row, col } = placeUnder(event.currentTarget, event, shape);
    return clamp(row, 0, shape.height - 1) * shape.width + clamp(col, 0, shape.width - 1);
  }

  nameOf(image) { return titleOf(image, this.runData.caption(image)); }

  draw() {
    const { runData, find, position, layout, chosen, theme } = this;
    const order = runData.sorted(this.sort);
    this.layCells(order);
    const captions = order.map((image) => runData.caption(image, this.sort));
    drawSheet(find(".pxr-sheet"), layout, runData.shape, runData.colour(position, order), captions, theme);
    const outlined = find(".pxr-outline").checked;
    drawMarks(find(".pxr-overlay"), runData, layout, { position, outlined, chosen, order }, theme);
    drawMaps(find, runData, position, this.mapSize, theme);
    drawScan(this, runData, theme);
    this.press("sort", this.sort);
    for (const entry of this.all(".pxr-particles")) entry.hidden = !runData.head.particles;
    this.words();
    const left = this.rate ? `, ${((this.total - this.have) / this.rate).toFixed(1)} s left` : "";
    this.showTransport(`${position} of ${this.total} ${runData.shape.unit}s` + (this.done ? ""
      : ` · ${this.have} computed${this.playing ? left : ", paused"}`));
    Object.assign(this.root.dataset, { run: runData.head.run, done: this.done, count: this.have });
  }

  words() {
    const { runData, find, chosen, position, hovered } = this;
    const { head } = runData;
    setText(find(".px-bits"), head.waiting || (hovered >= 0 ? this.hoverText(hovered) : ""));
    setText(find(".pxr-over"), `over ${runData.shape.images} completions`);
    const step = Math.min(position, head.count) - 1;
    setText(find(".pxr-at"), head.particles && step >= 0
      ? `here: ${runData.ess[step].toFixed(1)} of ${head.particles} effective, `
        + `${runData.ancestors[step]} distinct` : "");
    find(".pxr-actions").hidden = !chosen;
    find(".pxr-hint").hidden = Boolean(chosen);
    if (!chosen) return;
    const { row, col } = placeOf(runData.shape, chosen.pixel);
    setText(find(".pxr-name"), `${this.nameOf(chosen.image)} · row ${row}, column ${col}`);
    for (const one of this.all(".pxr-actions :is(button, select)")) one.disabled = !head.done;
  }

  hoverText(image) {
    const { bits, learned } = this.runData.head;
    return `completion ${this.nameOf(image)}`
      + (bits ? `: ${thousands(bits[image])} bits, −log₂ of the probability of `
        + (learned ? "what was drawn, as learned" : "the whole picture") : "");
  }

  destroy() {
    if (this.runData) {
      this.remember("place", { run: this.runData.head.run, position: this.goal ?? this.position,
        playing: this.playing });
    }
    super.destroy();
  }
}

export default mount(".pxr", Completions);
