// The drawing on its canvas. Lengths are CSS pixels.

import { HINT_LINE, KNOWN_LINE, fitCanvas, levelColour, strokeWith } from "../../browser/paint.js";
import { PixelGrid } from "../../browser/pixel_grid.js";
import { DRAWN, UNKNOWN } from "./sketch.js";

const ORDER = "rgb(58,190,120)";

export function paintSketch(canvas, sketch, cell, view, theme) {
  const ctx = fitCanvas(canvas, sketch.width * cell, sketch.height * cell);
  const grid = new PixelGrid(ctx, sketch, cell);
  const known = (pixel) => sketch.state[pixel] !== UNKNOWN;
  const isHint = (pixel) => view.hints && sketch.state[pixel] === DRAWN;
  grid.fillEmpty(theme);
  grid.paint((pixel) => (known(pixel) ? levelColour(sketch.level, pixel, sketch) : null));
  paintLines(grid);
  ctx.lineCap = "square";
  strokeWith(ctx, grid.border((pixel) => known(pixel) && !isHint(pixel)), [KNOWN_LINE, 1.5]);
  strokeWith(ctx, grid.border(isHint), [HINT_LINE, 1.5]);
  if (view.ignored) paintIgnored(grid, (pixel) => view.ignored[pixel] && known(pixel));
  if (view.order !== null) paintOrder(grid, view.order);
  if (view.marked) { // what the tool would change, as one outline around all its pixels
    const marked = new Set(view.marked);
    strokeWith(ctx, grid.border((pixel) => marked.has(pixel), true),
      ["rgba(0,0,0,.7)", 3.5], [theme.primary, 1.75]);
  }
  grid.outline(view.cursor, theme.primary, 2);
}

function paintLines({ ctx, width, height, cell }) {
  if (cell < 6) return;
  for (const [colour, every] of [["rgba(128,138,155,.22)", 1], ["rgba(128,138,155,.42)", 7]]) {
    ctx.fillStyle = colour;
    for (let col = every; col < width; col += every) ctx.fillRect(col * cell - 0.5, 0, 1, height * cell);
    for (let row = every; row < height; row += every) ctx.fillRect(0, row * cell - 0.5, width * cell, 1);
  }
}

// Crosses over the known pixels that the chosen method does not look at.
function paintIgnored(grid, isIgnored) {
  const path = new Path2D();
  for (let pixel = 0; pixel < grid.total; pixel++) {
    if (!isIgnored(pixel)) continue;
    const [x, y, side] = grid.box(pixel), near = side * 0.24, far = side - near;
    path.moveTo(x + near, y + near);
    path.lineTo(x + far, y + far);
    path.moveTo(x + far, y + near);
    path.lineTo(x + near, y + far);
  }
  strokeWith(grid.ctx, path, ["rgba(0,0,0,.55)", 2.6], [HINT_LINE, 1.3]);
}

// Thin arrows along three lines of the scan, a thick one over the lines in turn.
function paintOrder({ ctx, width, height, cell }, order) {
  const columns = (order & 4) !== 0; // bits as in pixelcnn/orders.py
  const lines = cell * (columns ? width : height), along = cell * (columns ? height : width);
  const point = (line, at) => {
    const u = order & 2 ? lines - line : line, v = order & 1 ? along - at : at;
    return columns ? [u, v] : [v, u];
  };
  const arrow = (path, from, to, head) => {
    const angle = Math.atan2(to[1] - from[1], to[0] - from[0]);
    path.moveTo(...from);
    path.lineTo(...to);
    for (const turn of [2.55, -2.55]) {
      path.moveTo(...to);
      path.lineTo(to[0] + head * Math.cos(angle + turn), to[1] + head * Math.sin(angle + turn));
    }
  };
  const thin = new Path2D(), thick = new Path2D();
  for (const part of [1, 3, 5]) {
    const line = (lines * part) / 6;
    arrow(thin, point(line, along * 0.13), point(line, along * 0.93), cell * 0.75);
  }
  arrow(thick, point(lines * 0.06, along * 0.06), point(lines * 0.94, along * 0.06), cell);
  ctx.lineCap = ctx.lineJoin = "round";
  for (const [colour, more] of [["rgba(0,0,0,.6)", 2.5], ["rgba(255,255,255,.9)", 1], [ORDER, 0]]) {
    strokeWith(ctx, thin, [colour, 1.5 + more]);
    strokeWith(ctx, thick, [colour, 4 + more]);
  }
}
