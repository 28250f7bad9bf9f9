// A grid of values on a canvas: cells in colours, looks over them, lines around them, marks, and
// the cell that the pointer or the arrow keys are at. A colour is [r, g, b]; null leaves a cell out.

import { clamp, placeOf } from "./basics.js";
import { hatch, rgba, strokeWith } from "./paint.js";

const ATLAS = document.createElement("canvas");
const DARK = "rgba(0,0,0,.75)", LIGHT = "rgba(255,255,255,.9)";
const ARROWS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

// Sets all pixels of a canvas, one canvas pixel each.
export function paintAtlas(atlas, width, height, colour) {
  if (atlas.width !== width || atlas.height !== height) Object.assign(atlas, { width, height });
  const ctx = atlas.getContext("2d");
  const image = ctx.createImageData(width, height);
  const words = new Uint32Array(image.data.buffer); // little-endian: 0xAABBGGRR
  for (let i = 0; i < words.length; i++) {
    const rgb = colour(i);
    if (rgb) words[i] = 0xff000000 | (rgb[2] << 16) | (rgb[1] << 8) | rgb[0];
  }
  ctx.putImageData(image, 0, 0);
  return atlas;
}

export class PixelGrid {
  // `cell` is a cell's side and x, y where the grid begins, in CSS pixels.
  constructor(ctx, { width, height }, cell, x = 0, y = 0) {
    Object.assign(this, { ctx, width, height, cell, x, y, total: width * height });
  }

  box(pixel, count = 1) {
    const { row, col } = placeOf(this, pixel), { cell } = this;
    return [this.x + col * cell, this.y + row * cell, count * cell, cell];
  }

  fill(style) {
    this.ctx.fillStyle = style;
    this.ctx.fillRect(this.x, this.y, this.width * this.cell, this.height * this.cell);
  }

  // What is not there is hatched: no colour can be mistaken for it.
  fillEmpty(theme) { this.fill(hatch(this.ctx, theme.empty, theme.emptyBack)); }

  paint(colour) {
    const { ctx, width, height, cell } = this;
    ctx.imageSmoothingEnabled = false;
    const atlas = paintAtlas(ATLAS, width, height, colour);
    ctx.drawImage(atlas, this.x, this.y, width * cell, height * cell);
  }

  // One path for each kind of cell, made of the longest runs within rows: few, large fills.
  paths(kindOf) {
    const paths = new Map();
    for (let p = 0, end; p < this.total; p = end) {
      const kind = kindOf(p);
      for (end = p + 1; end % this.width !== 0 && kindOf(end) === kind;) end += 1;
      if (!paths.has(kind)) paths.set(kind, new Path2D());
      paths.get(kind).rect(...this.box(p, end - p));
    }
    return paths;
  }

  // The lines between cells that are inside and cells that are not, and with `outer` those at the
  // edge of the grid.
  border(inside, outer = false) {
    const path = new Path2D(), { width, total } = this;
    const within = (pixel) => pixel >= 0 && pixel < total && inside(pixel);
    for (let p = 0; p < total; p++) {
      const { row, col } = placeOf(this, p), [x, y, side] = this.box(p);
      const edge = (isInner, other, x0, y0, x1, y1) => {
        if (!isInner && !outer || within(p) === (isInner && within(other))) return;
        path.moveTo(x0, y0);
        path.lineTo(x1, y1);
      };
      edge(col > 0, p - 1, x, y, x, y + side);
      edge(row > 0, p - width, x, y, x + side, y);
      if (col === width - 1) edge(false, -1, x + side, y, x + side, y + side);
      if (row === this.height - 1) edge(false, -1, x, y + side, x + side, y + side);
    }
    return path;
  }

  // A frame that shows on every colour: a dark line outside a light one.
  outline(pixel, colour, width = 1.75, dashed = false, least = 0) {
    if (pixel < 0 || pixel >= this.total) return;
    const [x, y, side] = this.box(pixel), more = Math.max(0, least - side);
    const path = new Path2D();
    path.rect(x - more / 2, y - more / 2, side + more, side + more);
    strokeWith(this.ctx, path, [DARK, width + 3], [LIGHT, width + 0.5],
      [colour, width, dashed ? [4, 3] : []]);
  }
}

// Fills a path in a tint, hatched over it, or only veiled.
export function fillLook(ctx, path, { tint, alpha, hatch: lines, veil }) {
  ctx.fillStyle = veil ?? rgba(tint, alpha);
  ctx.fill(path);
  if (!lines) return;
  ctx.fillStyle = hatch(ctx, rgba(tint, lines), null, 7);
  ctx.fill(path);
}

// Row and column under the pointer of a grid that fills an element; they may lie outside of it.
export function placeUnder(element, event, { width, height }) {
  const box = element.getBoundingClientRect();
  return {
    row: Math.floor(((event.clientY - box.top) / box.height) * height),
    col: Math.floor(((event.clientX - box.left) / box.width) * width),
  };
}

// The pixel under the pointer; -1 outside.
export function pixelUnder(element, event, shape) {
  const { row, col } = placeUnder(element, event, shape);
  const isInside = row >= 0 && row < shape.height && col >= 0 && col < shape.width;
  return isInside ? row * shape.width + col : -1;
}

// The pixel that an arrow key leads to, at most to the edge; -1 for other keys.
export function pixelBeside(event, pixel, { width, height }, [down, right] = [1, 1]) {
  const arrow = ARROWS[event.key];
  if (!arrow || event.ctrlKey || event.metaKey || event.altKey) return -1;
  const { row, col } = placeOf({ width }, pixel);
  return clamp(row + down * arrow[0], 0, height - 1) * width
    + clamp(col + right * arrow[1], 0, width - 1);
}
