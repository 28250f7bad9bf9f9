// What is painted of a trace: the picture or a map of it, the marks over it, a thumbnail.

import { barStep, bitsBar, drawDisc, fitCanvas, greyOf, mapColour, signedColour, strokeWith,
} from "../../browser/paint.js";
import { PixelGrid, fillLook, paintAtlas } from "../../browser/pixel_grid.js";

const UNSEEN_TINT = [240, 120, 20];

// One view of a trace: the colour of each pixel, one picture after another, and its colour bar.
// `other` is the branch that the difference is taken from.
export function viewOf(name, trace, position, other = null, dark = false) {
  const { total, images, levels } = trace.shape;
  const at = (i) => (i % total < position ? (i % total) * images + Math.floor(i / total) : -1);
  const paint = (colour) => (i) => (at(i) < 0 ? null : colour(at(i)));
  if (name === "picture") {
    return { colour: paint((i) => greyOf(trace.level[i], levels)), bar: null };
  }
  if (name === "difference") {
    const gap = (i) => signedColour((trace.level[i] - other.level[i]) / (levels - 1), dark);
    const ticks = [[0, `darker than in: ${other.text}`], [1, "lighter"]];
    return {
      colour: paint((i) => (i < other.have * images ? gap(i) : null)),
      bar: { ticks, label: ticks[0][1], colour: (share) => signedColour(2 * share - 1, dark) },
    };
  }
  let max = Math.max(1, Math.ceil(Math.log2(levels)));
  if (name === "surprise") {
    max = Math.max(max, Math.min(24, trace.maxOf(trace.surprise, position)));
    max = Math.ceil(max / barStep(max)) * barStep(max);
  }
  return { colour: paint((i) => mapColour(trace[name][i] / max)), bar: bitsBar(max) };
}

// The marks over a single picture. `sees` tells which past pixels influence `selected`, or is null.
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
