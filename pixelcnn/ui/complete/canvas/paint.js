// The drawing on its canvas. Lengths are CSS pixels.

import { borderPath, fitCanvas, greyOf, hatch } from "../../generate/player/pictures.js";
import { DRAWN, UNKNOWN } from "./grid.js";

export function paintGrid(canvas, grid, cell, view, theme) {
  const ctx = fitCanvas(canvas, grid.width * cell, grid.height * cell);
  const place = (pixel) => [(pixel % grid.width) * cell, Math.floor(pixel / grid.width) * cell];
  const hatching = hatch(ctx, theme.empty, theme.emptyBack);
  for (let i = 0; i < grid.total; i++) {
    const [x, y] = place(i);
    if (grid.state[i] === UNKNOWN) {
      ctx.fillStyle = hatching;
    } else {
      const grey = greyOf(grid.level[i], grid.levels);
      ctx.fillStyle = `rgb(${grey},${grey},${grey})`;
    }
    ctx.fillRect(x, y, cell, cell);
  }
  paintLines(ctx, grid, cell);
  const isHint = (state) => view.hints && state === DRAWN;
  paintBorder(ctx, grid, cell, theme.edge, (state) => state !== UNKNOWN && !isHint(state));
  paintBorder(ctx, grid, cell, theme.hint, isHint);
  if (view.ignored) paintIgnored(ctx, grid, cell, view.ignored);
  if (view.order !== null && !view.painting) paintOrder(ctx, grid, cell, view.order, theme);
  if (view.marked) paintMarked(ctx, grid, cell, view.marked, theme);
  if (view.cursor) {
    const { row, col } = view.cursor;
    outline(ctx, [[col * cell, row * cell, cell, cell]], theme.primary, 2);
  }
}

function paintLines(ctx, grid, cell) {
  if (cell < 6) return;
  for (const [colour, every] of [["rgba(128,138,155,.22)", 1], ["rgba(128,138,155,.42)", 7]]) {
    ctx.fillStyle = colour;
    for (let col = every; col < grid.width; col += every) ctx.fillRect(col * cell - 0.5, 0, 1, grid.height * cell);
    for (let row = every; row < grid.height; row += every) ctx.fillRect(0, row * cell - 0.5, grid.width * cell, 1);
  }
}

// A line around the pixels of some states.
function paintBorder(ctx, grid, cell, colour, inside) {
  ctx.lineCap = "square";
  ctx.strokeStyle = colour;
  ctx.lineWidth = 1.5;
  ctx.stroke(borderPath(grid.width, grid.height, cell, (at) => inside(grid.state[at])));
}

// Crosses over the known pixels that the chosen method does not look at.
function paintIgnored(ctx, grid, cell, ignored) {
  const path = new Path2D();
  const inset = cell * 0.24;
  for (let i = 0; i < grid.total; i++) {
    if (!(ignored[i >> 3] & (0x80 >> (i & 7))) || grid.state[i] === UNKNOWN) continue;
    const x = (i % grid.width) * cell, y = Math.floor(i / grid.width) * cell;
    path.moveTo(x + inset, y + inset);
    path.lineTo(x + cell - inset, y + cell - inset);
    path.moveTo(x + cell - inset, y + inset);
    path.lineTo(x + inset, y + cell - inset);
  }
  for (const [colour, width] of [["rgba(0,0,0,.55)", 2.6], ["rgb(255,136,40)", 1.3]]) {
    ctx.strokeStyle = colour;
    ctx.lineWidth = width;
    ctx.stroke(path);
  }
}

// Thin arrows along three lines of the scan, a thick one over the lines in turn.
function paintOrder(ctx, grid, cell, order, theme) {
  const columns = (order & 4) !== 0; // bits as in pixelcnn/orders.py
  const width = grid.width * cell, height = grid.height * cell;
  const lines = columns ? width : height, along = columns ? height : width;
  const point = (line, at) => {
    const u = order & 2 ? lines - line : line, v = order & 1 ? along - at : at;
    return columns ? [u, v] : [v, u];
  };
  const arrow = (from, to, head) => {
    const path = new Path2D();
    const angle = Math.atan2(to[1] - from[1], to[0] - from[0]);
    path.moveTo(...from);
    path.lineTo(...to);
    for (const turn of [2.55, -2.55]) {
      path.moveTo(...to);
      path.lineTo(to[0] + head * Math.cos(angle + turn), to[1] + head * Math.sin(angle + turn));
    }
    return path;
  };
  const thin = [1, 3, 5].map((part) => {
    const line = (lines * part) / 6;
    return arrow(point(line, along * 0.13), point(line, along * 0.93), cell * 0.75);
  });
  const thick = arrow(point(lines * 0.06, along * 0.06), point(lines * 0.94, along * 0.06), cell);
  ctx.lineCap = ctx.lineJoin = "round";
  for (const [colour, more] of [["rgba(0,0,0,.6)", 2.5], ["rgba(255,255,255,.9)", 1], [theme.order, 0]]) {
    ctx.strokeStyle = colour;
    ctx.lineWidth = 1.5 + more;
    for (const path of thin) ctx.stroke(path);
    ctx.lineWidth = 4 + more;
    ctx.stroke(thick);
  }
}

// What the tool would change, as one outline around all its pixels.
function paintMarked(ctx, grid, cell, marked, theme) {
  const inside = new Set(marked);
  const path = new Path2D();
  for (const pixel of marked) {
    const col = pixel % grid.width, x = col * cell, y = Math.floor(pixel / grid.width) * cell;
    const edge = (open, x0, y0, x1, y1) => {
      if (!open) return;
      path.moveTo(x0, y0);
      path.lineTo(x1, y1);
    };
    edge(!inside.has(pixel - grid.width), x, y, x + cell, y);
    edge(!inside.has(pixel + grid.width), x, y + cell, x + cell, y + cell);
    edge(col === 0 || !inside.has(pixel - 1), x, y, x, y + cell);
    edge(col === grid.width - 1 || !inside.has(pixel + 1), x + cell, y, x + cell, y + cell);
  }
  for (const [colour, width] of [["rgba(0,0,0,.7)", 3.5], [theme.primary, 1.75]]) {
    ctx.strokeStyle = colour;
    ctx.lineWidth = width;
    ctx.stroke(path);
  }
}

function outline(ctx, boxes, colour, width) {
  for (const box of boxes) {
    for (const [stroke, more] of [["rgba(0,0,0,.75)", 3], ["rgba(255,255,255,.9)", 1], [colour, 0]]) {
      ctx.strokeStyle = stroke;
      ctx.lineWidth = width + more;
      ctx.strokeRect(...box);
    }
  }
}
