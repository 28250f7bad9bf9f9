// Several pictures of one size in rows. One picture is a sheet of one, only larger.

import { fitCanvas, write } from "./paint.js";
import { PixelGrid, paintAtlas } from "./pixel_grid.js";

const ATLAS = document.createElement("canvas");

// Where each picture lies. A pixel is a whole number of device pixels, so that all look the same.
export function sheetLayout(shape, available) {
  const ratio = window.devicePixelRatio || 1;
  const { width, height, images, captions, largest = 440 } = shape; // `largest`: of a single picture
  const single = images === 1;
  let columns = Math.max(1, Math.min(shape.columns || 1, images));
  const named = captions.some((text) => text !== captions[0]); // one name for all says nothing
  const gap = single ? 0 : 6;
  const oneNamePerRow = () => named && columns > 1 && captions.every(
    (text, n) => text === captions[n - (n % columns)]);
  let left = oneNamePerRow() ? 84 : 0;
  while (columns > 1 && (available - left) / columns - gap < 26) columns = Math.ceil(columns / 2);
  const rowNames = oneNamePerRow(); // shorter rows may mix names
  left = rowNames ? left : 0;
  const rows = Math.ceil(images / columns);
  const below = named && !rowNames ? 18 : 0;
  const tallest = single ? largest : Math.max(720, rows * 48) / rows - gap - below;
  const widest = Math.min(single ? largest : 220, (available - left - (columns - 1) * gap) / columns);
  const fitting = ratio * Math.min(widest / width, tallest / height, single ? Infinity : 220 / height);
  const scale = (fitting >= 1 ? Math.floor(fitting) : fitting) / ratio;
  const cellWidth = width * scale, cellHeight = height * scale;
  const cells = Array.from({ length: images }, (_, n) => ({
    x: left + (n % columns) * (cellWidth + gap),
    y: Math.floor(n / columns) * (cellHeight + gap + below),
  }));
  return {
    scale, columns, cells, cellWidth, cellHeight, gap, below, left, rowNames,
    width: left + columns * (cellWidth + gap) - gap,
    height: rows * (cellHeight + gap + below) - gap,
  };
}

// The pictures, their pixels numbered one picture after another, and their names.
export function drawSheet(canvas, layout, shape, colour, captions, theme) {
  const ctx = fitCanvas(canvas, layout.width, layout.height);
  const { width, height, images } = shape;
  const { cells, cellWidth, cellHeight } = layout;
  paintAtlas(ATLAS, width, height * images, colour);
  ctx.imageSmoothingEnabled = false;
  cells.forEach(({ x, y }, n) => {
    new PixelGrid(ctx, shape, layout.scale, x, y).fillEmpty(theme);
    ctx.drawImage(ATLAS, 0, n * height, width, height, x, y, cellWidth, cellHeight);
  });
  ctx.font = `12px ${theme.font}`;
  const fit = (text, room) => {
    let cut = text;
    while (cut.length > 1 && ctx.measureText(cut).width > room) cut = `${cut.slice(0, -2)}…`;
    return cut;
  };
  cells.forEach(({ x, y }, n) => {
    if (layout.below) {
      const text = fit(captions[n] ?? "", cellWidth + layout.gap);
      write(ctx, text, x + cellWidth / 2, y + cellHeight + 3, theme.text, "center", "top");
    } else if (layout.rowNames && n % layout.columns === 0) {
      const text = fit(captions[n], layout.left - 10);
      write(ctx, text, x - 10, y + cellHeight / 2, theme.text, "right", "middle");
    }
  });
}

// A picture by its number and its name, if it has one.
export const titleOf = (n, name) => (name ? `${n + 1}, ${name}` : `${n + 1}`);

// One real button over each picture: pointer, keyboard and screen reader for free. `describe` gives
// a button's properties; `hover` is told its number, -1 when it is left.
export function layButtons(element, layout, { describe, click, hover }) {
  element.replaceChildren(...layout.cells.map(({ x, y }, n) => {
    const button = document.createElement("button");
    Object.assign(button, { type: "button", ...describe(n) });
    Object.assign(button.style, {
      left: `${x}px`, top: `${y}px`, width: `${layout.cellWidth}px`, height: `${layout.cellHeight}px`,
    });
    button.addEventListener("click", (event) => click(n, event));
    for (const event of ["pointerenter", "focus"]) button.addEventListener(event, () => hover(n));
    for (const event of ["pointerleave", "blur"]) button.addEventListener(event, () => hover(-1));
    return button;
  }));
}
