// Futures of a series, week after week. All numbers are here; only another past asks the server.

import { clamp, setText } from "../../browser/basics.js";
import { mount } from "../../browser/mount.js";
import { drawDisc, fitCanvas, strokeWith, write } from "../../browser/paint.js";
import { Playback } from "../../browser/playback.js";

const FUTURE = "#3f83cc", TRUTH = "#d9772b"; // as in fan.css
const YEAR = 52;
const HEIGHT = 300, TOP = 22, BOTTOM = HEIGHT - 24, LEFT = 30;

class Fan extends Playback {
  constructor(root) {
    super(root, "15", { unit: "week", row: "year" });
    this.find(".px-scrub").ariaLabel = "Weeks shown";
    this.on(".pxf-shows-truth", "change", () => this.touch());
    this.dragged = null; // where the past would end if it was let go of now
    const chart = this.find(".pxf-chart");
    this.on(chart, "pointerdown", (event) => this.drag(event, chart));
    this.on(chart, "pointermove", (event) => this.drag(event, chart));
    this.on(chart, "pointerup", () => this.drop());
    this.on(chart, "pointercancel", () => { this.dragged = null; this.touch(); });
    this.on(chart, "pointerleave", () => this.hover(-1));
  }

  accept({ head, sections }) {
    if (head.id === this.id) return;
    const { truth, futures, quantiles, probabilities } = sections;
    Object.assign(this, { id: head.id, past: head.past, truth, futures, quantiles, probabilities });
    this.total = truth.length;
    this.levels = probabilities.length / this.total;
    this.width = YEAR;
    const every = [...truth, ...futures];
    this.low = Math.max(0, Math.min(...every) - 1.5);
    this.high = Math.max(...every) + 1.5;
    this.dragged = null;
    this.hovered = -1;
    this.isReady = true;
    this.playing = !matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.moveTo(this.playing ? this.past : this.total);
  }

  get first() { return this.past; }

  seek(target) { super.seek(Math.max(target, this.past)); }

  lay() {
    super.lay();
    const width = this.root.clientWidth - 4;
    this.side = clamp(width * 0.18, 56, 150); // the room of the distribution
    this.chartWidth = width;
    this.span = width - LEFT - this.side - 10;
  }

  x(week) { return LEFT + (this.span * week) / (this.total - 1); }

  y(level) { return BOTTOM - ((level - this.low) / (this.high - this.low)) * (BOTTOM - TOP); }

  drag(event, chart) {
    if (!this.isReady) return;
    const at = event.clientX - chart.getBoundingClientRect().left - LEFT;
    const week = Math.round((at / this.span) * (this.total - 1));
    this.hover(at >= -4 && week < Math.max(this.position, this.past) ? clamp(week, 0, this.total - 1) : -1);
    if (event.type === "pointerdown") chart.setPointerCapture(event.pointerId);
    if (event.type === "pointerdown" || (this.dragged !== null && event.buttons)) {
      this.dragged = clamp(week, 1, this.total - 1);
      this.playing = false;
      this.touch();
    }
  }

  drop() {
    if (this.dragged !== null && this.dragged !== this.past) this.setTriggerValue("past", this.dragged);
    this.dragged = null;
    this.touch();
  }

  draw() {
    const { theme, position, past, total } = this;
    const chart = this.find(".pxf-chart");
    const ctx = fitCanvas(chart, this.chartWidth, HEIGHT);
    this.drawAxes(ctx);
    const line = (values, from, to) => {
      const path = new Path2D();
      for (let week = from; week < to; week++) path.lineTo(this.x(week), this.y(values[week]));
      return path;
    };
    const begin = past - 1; // futures begin where the past ends
    ctx.lineJoin = "round";
    if (position > past) {
      const [low, middle, high] = [0, 1, 2].map((n) => this.quantiles.subarray(n * total, (n + 1) * total));
      const band = line(high, begin, position);
      for (let week = position - 1; week >= begin; week--) band.lineTo(this.x(week), this.y(low[week]));
      ctx.fillStyle = "rgba(63,131,204,.25)";
      ctx.fill(band);
      ctx.globalAlpha = 0.28;
      for (let at = 0; at < this.futures.length; at += total) {
        strokeWith(ctx, line(this.futures.subarray(at, at + total), begin, position), [FUTURE, 1]);
      }
      ctx.globalAlpha = 1;
      strokeWith(ctx, line(middle, begin, position), [theme.background, 4], [FUTURE, 2.5]);
      if (this.find(".pxf-shows-truth").checked) {
        strokeWith(ctx, line(this.truth, begin, position), [theme.background, 4], [TRUTH, 2.5, [6, 4]]);
      }
    }
    strokeWith(ctx, line(this.truth, 0, past), [theme.text, 2.5]);
    const end = this.dragged ?? past;
    const edge = new Path2D(`M${this.x(end - 1)} ${TOP}V${BOTTOM}`);
    strokeWith(ctx, edge, [theme.primary, 2]);
    drawDisc(ctx, this.x(end - 1), TOP + 4, 7, theme.primary, [theme.background, 2]);
    this.drawDistribution(ctx);
    const words = this.words();
    setText(this.find(".pxf-readout"), words);
    chart.ariaLabel = `The price over ${total} weeks, ${past} of them known. ${words}`;
    this.showTransport(`week ${position} of ${total}`);
    const { bar } = this.drawTrack(20);
    bar(0, past, 9, 4, theme.text);
  }

  drawAxes(ctx) {
    const { theme } = this;
    ctx.font = `11px ${theme.font}`;
    const step = this.high - this.low > 24 ? 10 : 5;
    for (let level = Math.ceil(this.low / step) * step; level <= this.high; level += step) {
      ctx.fillStyle = theme.border;
      ctx.fillRect(LEFT, Math.round(this.y(level)), this.span, 0.5);
      write(ctx, `${level}`, LEFT - 5, this.y(level), theme.muted, "right", "middle");
    }
    for (let week = 0; week < this.total; week += YEAR) {
      ctx.fillStyle = theme.border;
      ctx.fillRect(Math.round(this.x(week)), TOP, 1, BOTTOM - TOP);
      write(ctx, "harvest", this.x(week) + 3, 6, theme.muted, "left", "top");
    }
    for (let week = 13; week <= this.total; week += 13) {
      if (week % 26 === 0 || this.span > 400) {
        write(ctx, `${week}`, this.x(week - 1), BOTTOM + 6, theme.muted, "center", "top");
      }
    }
  }

  // The week that is looked at: under the pointer, else the next one.
  get week() { return this.hovered >= 0 ? this.hovered : Math.min(this.position, this.total - 1); }

  at(week) { return this.probabilities.subarray(week * this.levels, (week + 1) * this.levels); }

  drawDistribution(ctx) {
    const { theme, week } = this, expected = this.at(week), most = Math.max(...expected);
    const left = this.chartWidth - this.side, tall = (BOTTOM - TOP) / (this.high - this.low);
    ctx.fillStyle = theme.border;
    ctx.fillRect(left, TOP, 1, BOTTOM - TOP);
    ctx.fillStyle = FUTURE;
    expected.forEach((p, level) => {
      if (level < this.low || level > this.high) return;
      ctx.fillRect(left + 1, this.y(level + 0.5) + 0.5, (p / most) * (this.side - 12), Math.max(1, tall - 1));
    });
    ctx.font = `11px ${theme.font}`;
    write(ctx, `week ${week + 1}`, left + 3, 6, theme.muted, "left", "top");
    const path = new Path2D(`M${this.x(week)} ${TOP}V${BOTTOM}`);
    strokeWith(ctx, path, [theme.muted, 1, [2, 3]]);
  }

  words() {
    const { week, past } = this, expected = [...this.at(week)];
    const best = expected.indexOf(Math.max(...expected));
    let sum = 0;
    const sums = expected.map((p) => (sum += p));
    const from = sums.findIndex((s) => s >= 0.1), to = sums.findIndex((s) => s >= 0.9);
    const who = week > past ? `Over ${this.futures.length / this.total} futures` : "Given the weeks before";
    const known = week < past || (week < this.position && this.find(".pxf-shows-truth").checked);
    const truth = known ? ` It was ${this.truth[week]}.` : "";
    return `Week ${week + 1}. ${who}, the model expects ${best} most (${Math.round(100 * expected[best])} %), `
      + `and ${from} to ${to} with 80 %.${truth}`;
  }
}

export default mount(".pxf", Fan);
