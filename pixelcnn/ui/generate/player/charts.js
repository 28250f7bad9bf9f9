// Charts on canvases: the two over the levels, which share their margins and so their x axis,
// and the strip of rules under the time line.

import { fitCanvas, greyOf, rgba } from "../../browser/paint.js";
import { ruleText, temperatureText } from "./trace.js";

// Not grey and of middling lightness, so that black, white and every grey between show on it.
const PLATE = "#7890b4";
const MODEL_LINE = "#ffc73a";
const RULE_COLOURS = ["#3f83cc", "#b8701c", "#2f8a66", "#a455a8", "#b5504a", "#777c2c"];
const MARGIN = { left: 40, right: 8 };

export function levelScale(width, levels) {
  const span = width - MARGIN.left - MARGIN.right;
  return {
    left: MARGIN.left, span, bar: span / levels,
    x: (level) => MARGIN.left + (span * level) / levels, // the left edge of a level's bar
    at: (x) => Math.max(0, Math.min(levels - 1, Math.floor(((x - MARGIN.left) / span) * levels))),
  };
}

function chartPlate(ctx, scale, top, bottom, ticks, theme) {
  ctx.fillStyle = PLATE;
  ctx.fillRect(scale.left, top, scale.span, bottom - top);
  ctx.font = `11px ${theme.font}`;
  ctx.textAlign = "right";
  ctx.textBaseline = "middle";
  for (const { share, text } of ticks) {
    const y = bottom - share * (bottom - top);
    ctx.fillStyle = "rgba(255,255,255,.28)";
    if (share > 0 && share < 1) ctx.fillRect(scale.left, Math.round(y), scale.span, 1);
    ctx.fillStyle = theme.muted;
    ctx.fillText(text, scale.left - 6, Math.max(top + 4, Math.min(bottom - 2, y)));
  }
}

function levelAxis(ctx, scale, levels, y, theme) {
  // A ramp of the greys themselves says which number is dark and which is bright.
  const ramp = ctx.createLinearGradient(scale.left, 0, scale.left + scale.span, 0);
  for (let k = 0; k < levels; k += levels > 32 ? levels - 1 : 1) {
    const grey = rgba(greyOf(k, levels));
    const ends = levels > 32 ? [k / (levels - 1)] : [k / levels, (k + 1) / levels];
    for (const end of ends) ramp.addColorStop(end, grey);
  }
  ctx.fillStyle = ramp;
  ctx.fillRect(scale.left, y, scale.span, 5);
  ctx.strokeStyle = theme.border;
  ctx.strokeRect(scale.left - 0.5, y - 0.5, scale.span + 1, 6);
  ctx.fillStyle = theme.muted;
  ctx.font = `11px ${theme.font}`;
  ctx.textAlign = "center";
  ctx.textBaseline = "top";
  const rough = levels / (scale.span > 300 ? 8 : 4);
  const step = levels <= 10 ? 1 : [2, 4, 8, 16, 32, 64].find((n) => n >= rough) ?? 64;
  for (let level = 0; level < levels; level += step) {
    if (levels - 1 - level < step * 0.6 && level !== levels - 1) continue; // room for the last
    ctx.fillText(`${level}`, scale.x(level + 0.5), y + 9);
  }
  if (levels > 10) ctx.fillText(`${levels - 1}`, scale.x(levels - 0.5) - 2, y + 9);
}

function roundUp(value) {
  return [0.02, 0.05, 0.1, 0.2, 0.5].find((limit) => value <= limit) ?? 1;
}

// A flag over the plate: a number on a plaque and a triangle pointing at its level.
function levelFlag(ctx, scale, level, top, theme) {
  const x = scale.x(level + 0.5);
  ctx.font = `600 11px ${theme.font}`;
  const half = ctx.measureText(`${level}`).width / 2 + 5;
  const middle = Math.max(scale.left + half, Math.min(scale.left + scale.span - half, x));
  ctx.fillStyle = theme.primary;
  ctx.fillRect(middle - half, top - 21, 2 * half, 15);
  ctx.beginPath();
  ctx.moveTo(x - 5, top - 6.5);
  ctx.lineTo(x + 5, top - 6.5);
  ctx.lineTo(x, top);
  ctx.fill();
  ctx.fillStyle = theme.onPrimary;
  ctx.textAlign = "center";
  ctx.textBaseline = "middle";
  ctx.fillText(`${level}`, middle, top - 13);
}

export function drawDistribution(canvas, width, trace, position, hoveredLevel, theme) {
  const height = 190, top = 24, bottom = height - 24;
  const ctx = fitCanvas(canvas, width, height);
  const { levels } = trace.shape;
  const scale = levelScale(width, levels);
  const drawn = position >= 0 ? trace.probabilities(position) : null;
  const limit = drawn ? roundUp(Math.max(...drawn.rule, ...drawn.model)) : 1;
  const ticks = [0, 0.5, 1].map((share) => ({ share, text: `${+(share * limit).toFixed(3)}` }));
  chartPlate(ctx, scale, top, bottom, ticks, theme);
  levelAxis(ctx, scale, levels, bottom + 1, theme);
  if (!drawn) return;
  const y = (p) => bottom - (p / limit) * (bottom - top);
  const space = scale.bar > 4 ? 1 : 0;
  for (let k = 0; k < levels; k++) {
    if (drawn.rule[k] <= 0) continue;
    const grey = rgba(greyOf(k, levels));
    ctx.fillStyle = grey;
    ctx.fillRect(scale.x(k) + space, y(drawn.rule[k]), Math.max(1, scale.bar - 2 * space),
      bottom - y(drawn.rule[k]));
  }
  const outline = new Path2D();
  outline.moveTo(scale.x(0), y(drawn.model[0]));
  for (let k = 0; k < levels; k++) {
    outline.lineTo(scale.x(k), y(drawn.model[k]));
    outline.lineTo(scale.x(k + 1), y(drawn.model[k]));
  }
  ctx.lineJoin = "round";
  for (const [colour, lineWidth] of [["rgba(20,26,40,.6)", 2.5], [MODEL_LINE, 1.25]]) {
    ctx.strokeStyle = colour;
    ctx.lineWidth = lineWidth;
    ctx.stroke(outline);
  }
  if (hoveredLevel >= 0) {
    ctx.fillStyle = "rgba(255,255,255,.35)";
    ctx.fillRect(scale.x(hoveredLevel) - 1, top, Math.max(2, scale.bar) + 2, bottom - top);
  }
  levelFlag(ctx, scale, trace.level[position], top, theme);
}

export function drawCumulative(canvas, width, trace, position, hoveredLevel, theme) {
  const height = 142, top = 6, bottom = height - 24;
  const ctx = fitCanvas(canvas, width, height);
  const { levels } = trace.shape;
  const scale = levelScale(width, levels);
  const u = position >= 0 ? trace.uniform[position] : -1;
  // The number of u takes the place of a tick that it would cover.
  const ticks = [0, 0.5, 1].filter((share) => Math.abs(share - u) > 0.13)
    .map((share) => ({ share, text: `${share}` }));
  chartPlate(ctx, scale, top, bottom, ticks, theme);
  levelAxis(ctx, scale, levels, bottom + 1, theme);
  if (position < 0) return;
  const y = (share) => bottom - share * (bottom - top);
  const { rule } = trace.probabilities(position);
  const curve = new Path2D();
  curve.moveTo(scale.x(0), y(0));
  let sum = 0, meets = -1;
  for (let k = 0; k < levels; k++) {
    sum += rule[k];
    curve.lineTo(scale.x(k), y(Math.min(1, sum)));
    curve.lineTo(scale.x(k + 1), y(Math.min(1, sum)));
    if (meets < 0 && sum > u) meets = k;
  }
  // A forced pixel's level is not where u falls; otherwise the level is the server's, so that
  // rounding in this sum cannot move the mark.
  if (!trace.forced.has(position)) meets = trace.level[position];
  else if (meets < 0) meets = levels - 1;
  if (hoveredLevel >= 0) {
    ctx.fillStyle = "rgba(255,255,255,.35)";
    ctx.fillRect(scale.x(hoveredLevel) - 1, top, Math.max(2, scale.bar) + 2, bottom - top);
  }
  ctx.lineJoin = "round";
  for (const [colour, lineWidth] of [["rgba(255,255,255,.85)", 3.5], ["#18202f", 2]]) {
    ctx.strokeStyle = colour;
    ctx.lineWidth = lineWidth;
    ctx.stroke(curve);
  }
  const x = scale.x(meets + 0.5);
  const path = new Path2D();
  path.moveTo(scale.left, y(u));
  path.lineTo(x, y(u));
  path.lineTo(x, bottom);
  for (const [colour, lineWidth, dash] of [["#fff", 3.5, []], [theme.primary, 2, [5, 3]]]) {
    ctx.strokeStyle = colour;
    ctx.lineWidth = lineWidth;
    ctx.setLineDash(dash);
    ctx.stroke(path);
  }
  ctx.setLineDash([]);
  ctx.beginPath();
  ctx.arc(x, y(u), 4, 0, 2 * Math.PI);
  ctx.fillStyle = theme.primary;
  ctx.fill();
  ctx.strokeStyle = "#fff";
  ctx.lineWidth = 1.5;
  ctx.stroke();
  ctx.fillStyle = theme.strong;
  ctx.font = `600 11px ${theme.font}`;
  ctx.textAlign = "right";
  ctx.textBaseline = "middle";
  ctx.fillText(u.toFixed(3), scale.left - 6, Math.max(top + 4, Math.min(bottom - 2, y(u))));
}

// Under the time line's track: the rule of each pixel, and where a level is forced.
export function drawStrip({ ctx, x, bar, pixel }, trace, theme) {
  const { total } = trace.shape;
  const kinds = [...new Set(trace.rules.map((rule) => ruleText(rule)))];
  ctx.textAlign = "left";
  ctx.textBaseline = "middle";
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
    ctx.fillStyle = solid ? "#fff" : theme.text;
    ctx.fillText(text, x(rule.start) + 6, 33.5);
  });
  for (const p of trace.forced.keys()) {
    if (trace.forced.has(p - 1) || trace.forced.has(p + 1)) { // one line for a whole stretch
      bar(p, p + 1, 18, 5, theme.pin);
      continue;
    }
    const middle = x(p + 0.5);
    ctx.beginPath();
    ctx.moveTo(middle, 18);
    ctx.lineTo(middle + 5, 23.5);
    ctx.lineTo(middle, 29);
    ctx.lineTo(middle - 5, 23.5);
    ctx.closePath();
    ctx.fillStyle = theme.pin;
    ctx.strokeStyle = theme.background;
    ctx.lineWidth = 1.5;
    ctx.fill();
    ctx.stroke();
  }
}
