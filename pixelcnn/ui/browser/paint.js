// Painting on canvases: colours and patterns. Lengths are CSS pixels unless a name says device.

import { clamp } from "./basics.js";

// Nine points of the viridis map; the steps between are mixed.
const VIRIDIS = ["440154", "472d7b", "3b528b", "2c728e", "21918c", "28ae80", "5ec962", "addc30",
  "fde725"].map((hex) => [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16)));
const MAP_COLOURS = Array.from({ length: 256 }, (_, i) => {
  const at = (i / 255) * (VIRIDIS.length - 1);
  const low = Math.min(Math.floor(at), VIRIDIS.length - 2);
  return VIRIDIS[low].map((v, c) => Math.round(v + (at - low) * (VIRIDIS[low + 1][c] - v)));
});

// From blue over white to red, for values with a sign; `dark` makes the middle dark.
export function signedColour(shade, dark) {
  const middle = dark ? [38, 40, 48] : [247, 247, 247];
  const end = shade < 0 ? (dark ? [90, 160, 255] : [33, 102, 172]) : (dark ? [255, 110, 90] : [178, 24, 43]);
  const at = Math.min(1, Math.abs(shade));
  return middle.map((v, c) => Math.round(v + at * (end[c] - v)));
}

// The colour of a share of the map, 0..1, or of its ends beyond them.
export const mapColour = (share) => MAP_COLOURS[clamp(Math.round(255 * share), 0, 255)];
export const displayOf = (level, levels) => Math.ceil((255 * level) / (levels - 1));
export const KNOWN_LINE = "rgb(46,140,255)"; // around what is known
export const HINT_LINE = "rgb(255,136,40)";
export const rgba = ([r, g, b], alpha = 1) => `rgba(${r},${g},${b},${alpha})`;

// A pixel as [r, g, b], by the display value of each of its channels: grey has one for all three.
export const colourOf = (channels, value) => [value(0), value(1 % channels), value(2 % channels)];

export const valuesAt = (values, pixel, channels) =>
  colourOf(channels, (channel) => values[pixel * channels + channel]);

export const levelColour = (level, pixel, { channels, levels }) =>
  colourOf(channels, (channel) => displayOf(level[pixel * channels + channel], levels));

// The page's colours in the form the canvases need.
export function readTheme(root) {
  const style = getComputedStyle(root);
  const probe = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const parse = (name, fallback) => {
    probe.fillStyle = fallback;
    probe.fillStyle = style.getPropertyValue(name).trim() || fallback;
    probe.clearRect(0, 0, 1, 1);
    probe.fillRect(0, 0, 1, 1);
    return [...probe.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = ([r, g, b]) => 0.299 * r + 0.587 * g + 0.114 * b;
  const text = parse("--st-text-color", "#31333f");
  const background = parse("--st-background-color", "#ffffff");
  const primary = parse("--st-primary-color", "#ff4b4b");
  const dark = light(background) < 128;
  return {
    text: rgba(text), muted: rgba(text, 0.72), border: rgba(text, 0.2),
    background: rgba(background), primary: rgba(primary), pin: "#a12bd6",
    onPrimary: light(primary) > 160 ? "#111" : "#fff",
    empty: dark ? "rgba(120,144,180,.5)" : "rgba(90,115,155,.45)",
    emptyBack: dark ? "rgba(120,144,180,.2)" : "rgba(120,144,180,.16)",
    veil: rgba(background, 0.28), font: style.fontFamily || "sans-serif", dark,
  };
}

// Gives the canvas the device's resolution and an empty context measured in CSS pixels.
export function fitCanvas(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  const deviceWidth = Math.round(width * ratio), deviceHeight = Math.round(height * ratio);
  if (canvas.width !== deviceWidth || canvas.height !== deviceHeight) {
    canvas.width = deviceWidth;
    canvas.height = deviceHeight;
    canvas.style.width = `${deviceWidth / ratio}px`;
    canvas.style.height = `${deviceHeight / ratio}px`;
  }
  const ctx = canvas.getContext("2d");
  ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
  ctx.clearRect(0, 0, width + 1, height + 1);
  return ctx;
}

const TILES = new Map(); // by look, since making one costs more than painting with it

// Slanted lines for "nothing here yet": no level of grey can be mistaken for them.
export function hatch(ctx, colour, background, spacing = 8) {
  const ratio = window.devicePixelRatio || 1;
  const look = [colour, background, spacing, ratio].join();
  if (!TILES.has(look)) TILES.set(look, hatchTile(colour, background, Math.round(spacing * ratio)));
  const pattern = ctx.createPattern(TILES.get(look), "repeat");
  pattern.setTransform(new DOMMatrix().scale(1 / ratio)); // the tile is in device pixels
  return pattern;
}

function hatchTile(colour, background, size) {
  const tile = document.createElement("canvas");
  tile.width = tile.height = size;
  const ctx = tile.getContext("2d");
  if (background) {
    ctx.fillStyle = background;
    ctx.fillRect(0, 0, size, size);
  }
  ctx.strokeStyle = colour;
  ctx.lineWidth = size / 7;
  ctx.beginPath();
  for (const shift of [-size, 0, size]) {
    ctx.moveTo(shift - 1, size + 1);
    ctx.lineTo(shift + size + 1, -1);
  }
  ctx.stroke();
  return tile;
}

// Strokes a path several times, each with a colour, a width and a dash: a line over its halo.
export function strokeWith(ctx, path, ...strokes) {
  for (const [colour, width, dash = []] of strokes) {
    ctx.strokeStyle = colour;
    ctx.lineWidth = width;
    ctx.setLineDash(dash);
    ctx.stroke(path);
  }
  ctx.setLineDash([]);
}

export function drawDisc(ctx, x, y, radius, colour, ...strokes) {
  const path = new Path2D();
  path.arc(x, y, radius, 0, 2 * Math.PI);
  ctx.fillStyle = colour;
  ctx.fill(path);
  strokeWith(ctx, path, ...strokes);
}

export function write(ctx, text, x, y, colour, align, baseline) {
  ctx.fillStyle = colour;
  ctx.textAlign = align;
  ctx.textBaseline = baseline;
  ctx.fillText(text, x, y);
}

// A bar of all colours; `ticks` are shares of it with their texts.
export function drawColourBar(canvas, width, { ticks, label = "", colour = mapColour }, theme) {
  const ctx = fitCanvas(canvas, width, 32);
  const inset = 8, span = width - 2 * inset;
  if (label) canvas.ariaLabel = label;
  for (let x = 0; x < span; x++) {
    ctx.fillStyle = rgba(colour(x / (span - 1)));
    ctx.fillRect(inset + x, 2, 1.5, 10);
  }
  ctx.font = `11px ${theme.font}`;
  for (const [share, text] of ticks) {
    const align = share < 0.1 ? "left" : share > 0.9 ? "right" : "center";
    const x = inset + span * share;
    write(ctx, text, { left: x - inset / 2, right: x + inset, center: x }[align], 18, theme.text, align, "top");
    ctx.fillRect(x - 0.5, 12, 1, 4);
  }
}

export const barStep = (max) => (max > 16 ? 4 : max > 8 ? 2 : max > 2 ? 1 : max / 4);

// The bar of 0 to `max` bits; `over`: some values are beyond its end, and shown in its colour.
export function bitsBar(max, over = false) {
  const ticks = [], step = barStep(max);
  for (let bits = 0; bits <= max + 1e-9; bits += step) {
    const isLast = bits + step > max + 1e-9;
    ticks.push([bits / max, isLast ? `${over ? "≥ " : ""}${bits} bits` : `${bits}`]);
  }
  return { ticks, label: `Colour bar, 0 to ${max} bits${over ? " and more" : ""}` };
}
