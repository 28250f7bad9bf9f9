// What is painted of a trace: the picture or a map of it, the marks over it, a thumbnail.

import { barStep, bitsBar, colourOf, displayOf, drawDisc, fitCanvas, mapColour, signedColour,
  strokeWith,
} from "../../browser/paint.js";
import { PixelGrid, fillLook, paintAtlas } from "../../browser/pixel_grid.js";

const UNSEEN_TINT = [240, 120, 20];

// One view of a trace: the colour of each pixel, one picture after another, and its colour bar.
// `other` is the branch that the difference is taken from.
export function viewOf(name, trace, position, other = null, dark = false) {
  const { pixels, channels, images, levels } = trace.shape;
  // Of each pixel where its first channel is kept, and how many of its channels are drawn.
  const each = (value) => (i) => {
    const first = (i % pixels) * channels, drawn = Math.min(channels, position - first);
    return drawn > 0 ? value(first * images + Math.floor(i / pixels), drawn) : null;
  };
  const joined = (value, join) => (at, drawn) => {
    let all = value(at);
    for (let channel = 1; channel < drawn; channel++) all = join(all, value(at + channel * images));
    return all;
  };
  if (name === "picture") { // a channel that is not drawn yet is dark
    const value = (at, drawn) => (channel) => (
      channel < drawn ? displayOf(trace.level[at + channel * images], levels) : 0);
    return { colour: each((at, drawn) => colourOf(channels, value(at, drawn))), bar: null };
  }
  if (name === "difference") { // of the channel that differs most
    const gap = joined((at) => trace.level[at] - other.level[at],
      (a, b) => (Math.abs(b) > Math.abs(a) ? b : a));
    const ticks = [[0, `darker than in: ${other.text}`], [1, "lighter"]];
    return {
      colour: each((at, drawn) => (at < other.have * images
        ? signedColour(gap(at, drawn) / (levels - 1), dark) : null)),
      bar: { ticks, label: ticks[0][1], colour: (share) => signedColour(2 * share - 1, dark) },
    };
  }
  const bits = joined((at) => trace[`${name}_bits`][at], (a, b) => a + b);
  let max = Math.max(1, Math.ceil(channels * Math.log2(levels)));
  if (name === "surprise") {
    const most = each(bits);
    for (let i = 0; i < pixels * images; i++) max = Math.max(max, Math.min(24 * channels, most(i)));
    max = Math.ceil(max / barStep(max)) * barStep(max);
  }
  return { colour: each((at, drawn) => mapColour(bits(at, drawn) / max)), bar: bitsBar(max) };
}

// The marks over a single picture, all of pixels. `sees` tells which past ones influence `selected`,
// or is null.
export function drawOverlay(canvas, layout, shape, { sees, selected, current, hovered, pinned, forced }, theme) {
  const ctx = fitCanvas(canvas, layout.width, layout.height);
  const grid = new PixelGrid(ctx, shape, layout.scale);
  if (sees && selected >= 0) {
    const looks = {
      seen: { tint: [45, 130, 255], alpha: 0.2 }, unseen: { tint: UNSEEN_TINT, alpha: 0.16, hatch: 0.75 },
      future: { veil: theme.veil },
    };
    const paths = grid.paths((p) => (p === selected ? "" : p > selected ? "future" : sees(p) ? "seen" : "unseen"));
    for (const [kind, path] of paths) if (kind) fillLook(ctx, path, looks[kind]);
  }
  if (forced.size) strokeWith(ctx, grid.border((p) => forced.has(p), true), ["#fff", 4], [theme.pin, 2]);
  if (hovered !== pinned) grid.outline(hovered, "#444", 1.5, true);
  grid.outline(current, theme.primary, 2);
  if (pinned >= 0) {
    grid.outline(pinned, theme.pin, 2.5);
    const [x, y, side] = grid.box(pinned);
    // A pin's head: the shape, not only the colour, tells it from the current pixel.
    drawDisc(ctx, x + side, y, 5, theme.pin, ["#fff", 1.5]);
  }
}

// A small picture or sheet at one canvas pixel per pixel; the style sheet fits it in.
export function drawThumbnail(canvas, trace, position) {
  const { width, height, images, columns } = trace.shape;
  const { colour } = viewOf("picture", trace, position);
  if (images === 1) return paintAtlas(canvas, width, height, colour);
  canvas.width = columns * (width + 1) - 1;
  canvas.height = Math.ceil(images / columns) * (height + 1) - 1;
  const atlas = paintAtlas(document.createElement("canvas"), width, height * images, colour);
  for (let n = 0; n < images; n++) {
    canvas.getContext("2d").drawImage(atlas, 0, n * height, width, height,
      (n % columns) * (width + 1), Math.floor(n / columns) * (height + 1), width, height);
  }
}
