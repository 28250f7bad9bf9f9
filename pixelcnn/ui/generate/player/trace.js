// The player's memory: keeps one trace per run, and words what a trace says.
// Nothing in this file touches the page. A position counts dimensions, channel by channel within a
// pixel; in a grey picture these are the pixels.

import { placeOf, thousands, unitOf } from "../../browser/basics.js";

// A course is named by its history, as in links: "0_1_0_1~341_0.5_20_1~f400_255"; at the end may
// stand which random numbers draw it, "completions".
const isRule = (part) => /^\d/.test(part);
const isForced = (part) => /^f\d/.test(part);
const startOf = (part) => Number(part.match(/\d+/)[0]);

function rulesOf(name) {
  return name.split("~").filter(isRule).map((part) => {
    const [start, ...numbers] = part.split("_");
    const [temperature, top_k, top_p] = numbers.map(Number);
    return { start: Number(start), text: numbers.join("_"), temperature, top_k, top_p };
  });
}

// The most probable level, and how probable it is.
export function peakOf(probabilities) {
  const p = Math.max(...probabilities);
  return { level: probabilities.indexOf(p), p };
}

const CERTAIN = 0.95; // probability of a level from which on a pixel is nearly sure
const PLAIN = "1_0_1"; // the rule that draws from the model's own probabilities

// Everything received about one course. Positions 0..have-1 are here; `seen` is how far they were
// shown. It shares the pixels before `fork` with the course `parent`; `text` says how it differs.
class Trace {
  constructor(shape, { name, parent = null, fork = 0, text = "first drawing", seen = 0, left = 0 }) {
    Object.assign(this, { shape, name, parent, fork, text, seen, left, have: 0, pngBytes: null });
    this.rules = rulesOf(name);
    this.forced = new Map();
    const { total, images, levels } = shape;
    // How many numbers there are of each position, by their name in a message.
    this.widths = { level: images, uniform: images, entropy_bits: images, surprise_bits: images };
    const distributions = { model_probabilities: levels, rule_probabilities: levels };
    if (images === 1) Object.assign(this.widths, distributions);
    for (const [name, width] of Object.entries(this.widths)) {
      this[name] = new (name === "level" ? Uint8Array : Float32Array)(total * width);
    }
    this.bits = new Float64Array((total + 1) * images); // row p: bits of what comes before p
  }

  // Takes what continues the pixels already here, of a message or of another trace; an overlap is
  // skipped, so repeats are harmless.
  append(start, count, numbers) {
    const { images } = this.shape, skip = this.have - start, end = start + count;
    for (const [name, width] of Object.entries(this.widths)) {
      const given = numbers[name] ?? numbers.model_probabilities; // the rule may change nothing
      this[name].set(given.subarray(skip * width, count * width), this.have * width);
    }
    for (let i = this.have * images; i < end * images; i++) {
      this.bits[i + images] = this.bits[i] + this.surprise_bits[i];
    }
    this.have = end;
  }

  probabilities(position) {
    const { levels } = this.shape;
    const slice = (array) => array.subarray(position * levels, (position + 1) * levels);
    return { model: slice(this.model_probabilities), rule: slice(this.rule_probabilities) };
  }

  isCertain(position) { return peakOf(this.probabilities(position).rule).p >= CERTAIN; }

  // Whether the model's own probabilities are drawn from.
  isPlain(position) { return this.ruleAt(position).text === PLAIN; }

  // The drawn pixel that the model held for the least probable; those that were forced do not count.
  mostSurprising() {
    let found = 0;
    this.surprise_bits.forEach((bits, p) => {
      if (bits > this.surprise_bits[found] && !this.forced.has(p)) found = p;
    });
    return found;
  }

  // Another level for a pixel, by another random number.
  redraw(position) {
    const { rule } = this.probabilities(position);
    let level = this.level[position];
    while (level === this.level[position]) {
      let left = Math.random();
      level = Math.max(0, rule.findIndex((p) => (left -= p) < 0));
    }
    return level;
  }

  get lastRule() { return this.rules.at(-1); }

  ruleAt(position) {
    return this.rules.findLast(({ start }) => start <= position);
  }

  sumBits(until, image) {
    return this.bits[until * this.shape.images + image];
  }

  differences(other, until) {
    let count = 0;
    for (let p = 0; p < Math.min(until, other.have); p++) {
      if (this.level[p] !== other.level[p]) count += 1;
    }
    return count;
  }
}

// The name of the course that goes on from a pixel by a rule, perhaps with a level forced there.
// A pixel that was forced by `name` itself, as its last change, stays forced under another rule.
function courseFrom(name, position, rule, level = null) {
  const parts = name.split("~");
  const rules = rulesOf(name).filter(({ start }) => start < position);
  const forced = parts.filter((part) => isForced(part) && (startOf(part) < position
    || (level === null && position > 0 && startOf(part) === position)));
  const stream = parts.filter((part) => !isRule(part) && !isForced(part));
  if (rules.at(-1)?.text !== rule) rules.push({ start: position, text: rule });
  if (level !== null) forced.push(`f${position}_${level}`);
  return [...rules.map(({ start, text }) => `${start}_${text}`), ...forced, ...stream].join("~");
}

const MAX_TRACES = 8; // of those between the first and the newest, the oldest goes

// The courses of one picture or sheet that are worth comparing, the first drawing first.
export class Store {
  constructor() {
    this.picture = null;
    this.traces = [];
    this.dependency = null; // of a single picture, one bit for each pair of pixels
  }

  // What a branch is compared with: the one that it comes from, or else the newest.
  other(trace) {
    return this.find(trace.parent) ?? this.traces.findLast((other) => other !== trace) ?? null;
  }

  find(name) { return this.traces.find((trace) => trace.name === name); }

  // Takes a message; of a course that is not here any more, or if it does not go on from the pixels
  // that are here, only the head.
  accept({ head, sections }) {
    const fresh = head.picture !== this.picture;
    if (fresh) {
      this.picture = head.picture;
      const { width, height, total, columns, captions, channels: names } = head;
      this.shape = {
        width, height, total, columns, captions, names, channels: names.length,
        pixels: width * height, levels: head.num_levels, images: captions.length,
        unit: unitOf(names.length),
      };
      this.traces = [new Trace(this.shape, { name: head.course })];
      this.dependency = null;
    }
    // A copy, so that the rest of the message can be freed.
    if (sections.dependency) this.dependency = sections.dependency.slice();
    const trace = this.find(head.course);
    if (trace && head.start <= trace.have && trace.have <= head.start + head.count) {
      trace.append(head.start, head.count, sections);
      trace.forced = new Map(head.forced.map((pixel) => [pixel.position, pixel]));
      trace.pngBytes = head.png_bytes;
    }
    return { head, fresh };
  }

  restore(traces) {
    this.traces = traces.map((trace) => new Trace(this.shape, trace));
  }

  // The course that goes on from `old` at a pixel, see `courseFrom`. It takes the place of `old` if
  // nothing after that pixel was ever seen of it.
  turn(old, position, rule, level = null) {
    const name = courseFrom(old.name, position, rule, level);
    if (name === old.name) return old;
    const at = whereIs(this.shape, position), place = position === 0 ? "the start" : at;
    const text = level === null ? `from ${place}: ${ruleText(rulesOf(name).at(-1))}`
      : `${at}: level ${old.level[position]} → ${level}`;
    const unseen = old.seen <= position;
    const same = this.find(name);
    let trace = same;
    if (!trace) {
      trace = new Trace(this.shape, unseen
        ? { ...old, name, text: old.parent !== null && old.fork === position ? text : old.text }
        : { name, parent: old.name, fork: position, text, seen: position });
      trace.append(0, Math.min(position, old.have), old);
    }
    if (unseen) {
      for (const other of this.traces) if (other.parent === old.name) other.parent = name;
      this.traces = this.traces.flatMap((other) => (other !== old ? other : same ? [] : trace));
    } else if (!same) {
      this.traces.push(trace);
      if (this.traces.length > MAX_TRACES) {
        const oldest = this.traces.slice(1).find((other) => other !== trace && other !== old);
        this.traces = this.traces.filter((other) => other !== oldest);
      }
    }
    return trace;
  }

  // Which earlier pixels can influence the prediction of `pixel`; null if unknown.
  dependencyRow(pixel) {
    if (!this.dependency) return null;
    const stride = (this.shape.pixels + 7) >> 3;
    const row = this.dependency.subarray(pixel * stride, (pixel + 1) * stride);
    return (other) => (row[other >> 3] & (0x80 >> (other & 7))) !== 0;
  }
}

// --- words -------------------------------------------------------------------------------------

export const pixelAt = ({ channels }, position) => Math.floor(position / channels);

const channelAt = ({ names, channels }, position) => names[position % channels];

// "row 3, column 4", and where there are several channels also which of them it is.
export function whereIs(shape, position) {
  const { row, col } = placeOf(shape, pixelAt(shape, position)), name = channelAt(shape, position);
  return `row ${row}, column ${col}${name && `, ${name}`}`;
}

export const capital = (text) => text[0].toUpperCase() + text.slice(1);

export const percent = (part, whole) => (whole ? Math.round((100 * part) / whole) : 100);

export function shortProbability(p) {
  if (p === 0) return "0";
  if (p < 0.0001) return p.toExponential(0);
  return p.toFixed(p < 0.001 ? 4 : p < 0.1 ? 3 : 2);
}

export const shortPercent = (p) => (p > 0.995 && p < 1 ? "over 99 %" : `${Math.round(100 * p)} %`);

const GREYS = [[0.04, "black"], [0.35, "dark"], [0.65, "medium grey"], [0.96, "light"], [1, "white"]];
const COLOURS = [[0.35, "dark"], [0.65, "medium"], [1, "bright"]];
const LIKELY = 0.8;

// The shortest range of levels that holds most of the probability: first, last, how much it holds.
export function likelyRange(probabilities) {
  let best = [0, probabilities.length - 1, 1], sum = 0, from = 0;
  probabilities.forEach((p, to) => {
    sum += p;
    while (from < to && sum - probabilities[from] >= LIKELY) sum -= probabilities[from++];
    if (sum >= LIKELY && to - from < best[1] - best[0]) best = [from, to, Math.min(1, sum)];
  });
  return best;
}

// One draw in a sentence or two.
export function narration(trace, position) {
  const { rule } = trace.probabilities(position), { shape } = trace, { levels } = shape;
  const [low, high, held] = likelyRange(rule);
  const level = trace.level[position], u = trace.uniform[position], forced = trace.forced.get(position);
  const share = (low + high) / 2 / (levels - 1);
  const name = channelAt(shape, position);
  const tone = `${(name ? COLOURS : GREYS).find(([end]) => share <= end)[1]} ${name}`.trim();
  const expected = low === high ? `level ${low}, ${tone}` : high - low > 0.6 * levels
    ? `almost anything, ${low} to ${high}` : `something ${tone}, ${low} to ${high}`;
  const visible = 0.04 * levels; // two levels that look alike are no surprise
  const surprise = level < low - visible || level > high + visible ? ", a surprise" : "";
  const became = forced ? `You set it to ${level}${surprise}.`
    : `The dice say ${u < 0.0005 ? "under 0.001" : u.toFixed(3)}: it becomes ${level}${surprise}.`;
  const who = trace.isPlain(position) ? "the network" : "with your settings the network";
  return `${capital(whereIs(shape, position))}: ${who} expects ${expected} `
    + `(${shortPercent(held)} likely). ${became}`;
}

// What to say of a finished picture that came to nothing, or to noise; else "".
export function advice(trace) {
  const { total, levels, unit } = trace.shape;
  const light = trace.level.reduce((count, level) => count + (level > levels / 10), 0);
  const bits = trace.sumBits(total, 0) / total, all = Math.log2(levels);
  const rule = ruleText(trace.lastRule);
  if (light < total / 50) {
    return `Nearly all of this picture is black (${rule}). At the edge black is the most likely, and `
      + "after black comes black: where only likely levels are drawn, nothing begins.";
  }
  return bits > 0.75 * all ? `This is noise (${rule}): ${bits.toFixed(1)} bits for each ${unit}, of `
    + `${+all.toFixed(1)} for pure chance. One unlikely level makes the next prediction worse.` : "";
}

// At least one decimal, so that 1 reads as a temperature and not as a count.
export const temperatureText = ({ temperature }) => (Number.isInteger(temperature * 10)
  ? temperature.toFixed(1) : String(+temperature.toFixed(2)));

// "temperature 0.9, top-k 50", or short for the strip: "T 0.9 · top-k 50"
export function ruleText(rule, short = false) {
  if (!rule) return "";
  const temperature = temperatureText(rule);
  const parts = [short ? `T ${temperature}` : `temperature ${temperature}`];
  if (rule.temperature === 0 && !short) parts[0] += " (greedy)";
  if (rule.top_k) parts.push(`top-k ${rule.top_k}`);
  if (rule.top_p && rule.top_p < 1) parts.push(`top-p ${+rule.top_p.toFixed(3)}`);
  return parts.join(short ? " · " : ", ");
}

function entropyOf(probabilities) {
  let bits = 0;
  for (const p of probabilities) if (p > 0) bits -= p * Math.log2(p);
  return bits;
}

// The sentence under the charts, for a drawn pixel.
export function readout(trace, position) {
  const { rule } = trace.probabilities(position);
  const level = trace.level[position], forced = trace.forced.get(position);
  const u = trace.uniform[position].toFixed(4);
  const p = shortProbability(rule[level]);
  const drawn = forced
    ? `Forced to level ${level}${forced.was == null ? "" : ` (drawn was ${forced.was})`}; `
      + `its p was ${p}, u = ${u}.`
    : `u = ${u} falls on level ${level} (p = ${p}).`;
  const entropy = trace.isPlain(position) ? ""
    : `; with your settings ${entropyOf(rule).toFixed(1)} bits`;
  return `${drawn} Surprise ${trace.surprise_bits[position].toFixed(1)} bits, entropy `
    + `${trace.entropy_bits[position].toFixed(1)} bits${entropy}.`;
}

function bitsPerDim(bits, dimensions) {
  return `${(bits / dimensions).toFixed(2)} bits/dim`;
}

// The line under the picture: what the drawn pixels cost so far, or the finished picture's size.
export function bitsLine(trace, position, image = 0) {
  const { total, width, height, levels, unit } = trace.shape;
  if (position === 0) return `${width} × ${height} pixels, ${levels} levels, nothing drawn yet`;
  const bits = trace.sumBits(position, image);
  if (position >= total) {
    return `${thousands(bits)} bits = ${thousands(Math.ceil(bits / 8))} bytes in total, `
      + `${bitsPerDim(bits, total)}; the same picture as PNG: ${thousands(trace.pngBytes[image])} bytes`;
  }
  return `so far ${thousands(bits)} bits in ${thousands(position)} `
    + `${unit}${position === 1 ? "" : "s"} (${bitsPerDim(bits, position)})`;
}

export function sheetBitsLine(trace, position) {
  const { images, total } = trace.shape;
  if (position === 0) return `${images} pictures, nothing drawn yet`;
  let bits = 0;
  for (let n = 0; n < images; n++) bits += trace.sumBits(position, n);
  const when = position >= total ? "in total" : "so far";
  return `${when} ${thousands(bits / images)} bits per picture on average `
    + `(${bitsPerDim(bits / images, position)})`;
}

// What each kind of step did at a pixel, as the comment beside its line of code.
export function stepComments(trace, position) {
  const { shape } = trace, { row, col } = placeOf(shape, pixelAt(shape, position));
  const { model, rule } = trace.probabilities(position);
  const level = trace.level[position], name = channelAt(shape, position);
  const peak = peakOf(model);
  const kept = rule.reduce((count, p) => count + (p > 0), 0);
  return {
    row: `row = ${row}`,
    col: `col = ${col}`,
    forward: `predicts ${thousands(shape.total)} ${shape.unit}s, one is used`,
    logits: `peak: level ${peak.level} (p = ${shortProbability(peak.p)})`,
    rule: `${kept} of ${rule.length} levels kept`,
    noise: `u = ${trace.uniform[position].toFixed(4)}`,
    draw: `level = ${level}${trace.forced.has(position) ? " (forced)" : ""}`,
    store: `pixel (${row}, ${col})${name && `, ${name}`} = ${level}`,
  };
}
