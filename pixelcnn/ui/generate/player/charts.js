// Charts on canvases: the two over the levels, which share their margins and so their x axis,
// and the strip of rules under the time line.

import { clamp } from "../../browser/basics.js";
import { colourOf, displayOf, drawDisc, fitCanvas, rgba, strokeWith, write } from "../../browser/paint.js";
import { peakOf, ruleText, shortPercent, temperatureText } from "./trace.js";

const BAR = "#6f8fbf", MODEL_LINE = "#d9822b"; // as in the legend, see player.css
const RULE_COLOURS = ["#3f83cc", "#b8701c", "#2f8a66", "#a455a8", "#b5504a", "#777c2c"];
const MARGIN = { left: 44, right: 8 };

export function levelScale(width, levels) {
  const span = width - MARGIN.left - MARGIN.right;
  return {
    left: MARGIN.left, span, bar: span / levels,
    x: (level) => MARGIN.left + (span * level) / levels, // the left edge of a level's bar
    at: (x) => clamp(Math.floor(((x - MARGIN.left) / span) * levels), 0, levels - 1),
  };
}

// The frame of a chart, its vertical axis, and a ramp of the levels below, in the colour of the
// channel, which says which number is dark and which is bright. Returns what the chart is drawn with.
function drawFrame(canvas, width, { height, top, trace, position, ticks }, theme) {
  const { levels } = trace.shape;
  const ctx = fitCanvas(canvas, width, height);
  const scale = levelScale(width, levels), bottom = height - 24;
  const y = (share) => bottom - share * (bottom - top);
  ctx.lineJoin = "round";
  ctx.font = `11px ${theme.font}`;
  const label = (share, text, colour) => write(ctx, text, scale.left - 6,
    clamp(y(share), top + 4, bottom - 2), colour, "right", "middle");
  for (const { share, text } of ticks) {
    ctx.fillStyle = theme.border;
    if (share > 0) ctx.fillRect(scale.left, Math.round(y(share)), scale.span, 1);
    label(share, text, theme.muted);
  }
  drawLevelAxis(ctx, scale, trace.shape, Math.max(0, position), bottom + 1, theme);
  const mark = (level) => {
    ctx.fillStyle = theme.border;
    if (level >= 0) ctx.fillRect(scale.x(level) - 1, top, Math.max(2, scale.bar) + 2, bottom - top);
  };
  // A line of stairs over the levels, `at` the height of each.
  const stairs = (at, path = new Path2D()) => {
    for (let k = 0; k < levels; k++) {
      path.lineTo(scale.x(k), y(at(k)));
      path.lineTo(scale.x(k + 1), y(at(k)));
    }
    return path;
  };
  return { ctx, scale, bottom, y, label, mark, stairs };
}

function drawLevelAxis(ctx, scale, { levels, channels }, position, y, theme) {
  const ramp = ctx.createLinearGradient(scale.left, 0, scale.left + scale.span, 0);
  for (let k = 0; k < levels; k += levels > 32 ? levels - 1 : 1) {
    const ends = levels > 32 ? [k / (levels - 1)] : [k / levels, (k + 1) / levels];
    const shade = (channel) => (channel === position % channels ? displayOf(k, levels) : 0);
    for (const end of ends) ramp.addColorStop(end, rgba(colourOf(channels, shade)));
  }
  ctx.fillStyle = ramp;
  ctx.fillRect(scale.left, y, scale.span, 5);
  ctx.strokeStyle = theme.border;
  ctx.strokeRect(scale.left - 0.5, y - 0.5, scale.span + 1, 6);
  const number = (level, x) => write(ctx, `${level}`, x, y + 9, theme.muted, "center", "top");
  const rough = levels / (scale.span > 300 ? 8 : 4);
  const step = levels <= 10 ? 1 : [2, 4, 8, 16, 32, 64].find((n) => n >= rough) ?? 64;
  for (let level = 0; level < levels; level += step) {
    if (levels - 1 - level < step * 0.6 && level !== levels - 1) continue; // room for the last
    number(level, scale.x(level + 0.5));
  }
  if (levels > 10) number(levels - 1, scale.x(levels - 0.5) - 2);
}

// A flag over the plate: a number on a plaque and a triangle pointing at its level.
function drawFlag(ctx, scale, level, top, theme) {
  const x = scale.x(level + 0.5);
  ctx.font = `600 11px ${theme.font}`;
  const half = ctx.measureText(`${level}`).width / 2 + 5;
  const middle = clamp(x, scale.left + half, scale.left + scale.span - half);
  ctx.fillStyle = theme.primary;
  ctx.fillRect(middle - half, top - 21, 2 * half, 15);
  ctx.beginPath();
  ctx.moveTo(x - 5, top - 6.5);
  ctx.lineTo(x + 5, top - 6.5);
  ctx.lineTo(x, top);
  ctx.fill();
  write(ctx, `${level}`, middle, top - 13, theme.onPrimary, "center", "middle");
}

// The axis is the same at every position; what is more probable is cut off, with its number.
export function drawDistribution(canvas, { width, height }, trace, position, hovered, theme) {
  const { levels } = trace.shape, top = 24, limit = Math.min(1, 12.8 / levels);
  const drawn = position >= 0 ? trace.probabilities(position) : null;
  const ticks = [0, 0.5, 1].map((share) => ({ share, text: `${+(100 * share * limit).toFixed(1)} %` }));
  const { ctx, scale, bottom, y, mark, stairs } = drawFrame(canvas, width,
    { height, top, trace, position, ticks }, theme);
  if (!drawn) return;
  mark(hovered);
  const space = scale.bar > 4 ? 1 : 0;
  const at = (p) => Math.min(1, p / limit);
  ctx.fillStyle = BAR;
  drawn.rule.forEach((p, k) => {
    const least = p > limit / 2 ? 3 : 1; // of a spike, the width in which it is seen
    if (p > 0) ctx.fillRect(scale.x(k) + space, y(at(p)), Math.max(least, scale.bar - 2 * space), bottom - y(at(p)));
  });
  if (!trace.isPlain(position)) strokeWith(ctx, stairs((k) => at(drawn.model[k])), [MODEL_LINE, 1.5]);
  const { level: peak, p } = peakOf(drawn.rule);
  if (p > limit) {
    const isLeft = peak < levels / 2;
    ctx.font = `600 12px ${theme.font}`;
    write(ctx, `${shortPercent(p)} on level ${peak}`, scale.x(peak + 0.5) + (isLeft ? 8 : -8), top + 10,
      theme.text, isLeft ? "left" : "right", "middle");
  }
  drawFlag(ctx, scale, trace.level[position], top, theme);
}

export function drawCumulative(canvas, { width, height }, trace, position, hovered, theme) {
  const { levels } = trace.shape;
  const u = position >= 0 ? trace.uniform[position] : -1;
  // The number of u takes the place of a tick that it would cover.
  const ticks = [0, 0.5, 1].filter((share) => Math.abs(share - u) > 0.13)
    .map((share) => ({ share, text: `${share}` }));
  const { ctx, scale, bottom, y, label, mark, stairs } = drawFrame(canvas, width,
    { height, top: 6, trace, position, ticks }, theme);
  if (position < 0) return;
  mark(hovered);
  let sum = 0;
  const sums = trace.probabilities(position).rule.map((p) => (sum += p));
  const start = new Path2D();
  start.moveTo(scale.x(0), y(0));
  const curve = stairs((k) => Math.min(1, sums[k]), start);
  strokeWith(ctx, curve, [theme.text, 2]);
  // A forced pixel's level is not where u falls; otherwise the level is the server's, so that
  // rounding in this sum cannot move the mark.
  const falls = sums.findIndex((end) => end > u);
  const meets = !trace.forced.has(position) ? trace.level[position] : falls < 0 ? levels - 1 : falls;
  const x = scale.x(meets + 0.5), path = new Path2D();
  path.moveTo(scale.left, y(u));
  path.lineTo(x, y(u));
  path.lineTo(x, bottom);
  strokeWith(ctx, path, [theme.primary, 2, [5, 3]]);
  drawDisc(ctx, x, y(u), 4, theme.primary, ["#fff", 1.5]);
  ctx.font = `600 11px ${theme.font}`;
  label(u, u.toFixed(3), theme.text);
}

// Under the time line's track: the rule at each position, and where a level is forced.
export function drawStrip({ ctx, x, bar, pixel }, trace, theme) {
  const { total } = trace.shape;
  const kinds = [...new Set(trace.rules.map((rule) => ruleText(rule)))];
  trace.rules.forEach((rule, i) => {
    const end = trace.rules[i + 1]?.start ?? total;
    const colour = RULE_COLOURS[kinds.indexOf(ruleText(rule)) % RULE_COLOURS.length];
    const known = Math.max(rule.start, Math.min(end, trace.have));
    bar(rule.start, known, 24, 18, colour);
    ctx.globalAlpha = 0.35; // the rule that will apply if nothing changes
    bar(known, end, 24, 18, colour);
    ctx.globalAlpha = 1;
    if (rule.start > 0) bar(rule.start, rule.start + 1.5 / pixel, 22, 22, theme.background);
    const room = x(end) - x(rule.start) - 12;
    const text = [ruleText(rule, true), `T ${temperatureText(rule)}`].find(
      (label) => ctx.measureText(label).width <= room);
    if (!text) return;
    const solid = x(known) - x(rule.start) > ctx.measureText(text).width + 8;
    write(ctx, text, x(rule.start) + 6, 33.5, solid ? "#fff" : theme.text, "left", "middle");
  });
  for (const p of trace.forced.keys()) {
    if (trace.forced.has(p - 1) || trace.forced.has(p + 1)) { // one line for a whole stretch
      bar(p, p + 1, 18, 5, theme.pin);
      continue;
    }
    const middle = x(p + 0.5);
    const diamond = new Path2D(`M${middle} 18l5 5.5l-5 5.5l-5 -5.5z`);
    ctx.fillStyle = theme.pin;
    ctx.fill(diamond);
    strokeWith(ctx, diamond, [theme.background, 1.5]);
  }
}
