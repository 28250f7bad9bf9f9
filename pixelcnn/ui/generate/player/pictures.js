// Pictures on canvases: data in, pixels out. Lengths are CSS pixels unless a name says device.

import { placeOf } from "./trace.js";

const SEEN_TINT = [45, 130, 255];
const UNSEEN_TINT = [240, 120, 20];
// Nine points of the viridis map; the steps between are mixed.
const VIRIDIS = ["440154", "472d7b", "3b528b", "2c728e", "21918c", "28ae80", "5ec962", "addc30",
  "fde725"].map((hex) => [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16)));
export const MAP_COLOURS = Array.from({ length: 256 }, (_, i) => {
  const at = (i / 255) * (VIRIDIS.length - 1);
  const low = Math.min(Math.floor(at), VIRIDIS.length - 2);
  return VIRIDIS[low].map((v, c) => Math.round(v + (at - low) * (VIRIDIS[low + 1][c] - v)));
});

export const greyOf = (level, levels) => Math.ceil((255 * level) / (levels - 1));
export const rgba = ([r, g, b], alpha) => `rgba(${r},${g},${b},${alpha})`;

// The lines between cells that are inside and cells that are not; `inside` is asked of a number.
export function borderPath(width, height, cell, inside) {
  const path = new Path2D();
  for (let at = 0; at < width * height; at++) {
    const col = at % width, x = col * cell, y = ((at - col) / width) * cell;
    if (col > 0 && inside(at) !== inside(at - 1)) {
      path.moveTo(x, y);
      path.lineTo(x, y + cell);
    }
    if (at >= width && inside(at) !== inside(at - width)) {
      path.moveTo(x, y);
      path.lineTo(x + cell, y);
    }
  }
  return path;
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

// Where each picture of the sheet lies. One picture is a sheet of one, only larger. A pixel of
// the picture is a whole number of device pixels, so that all of them look the same size.
export function sheetLayout(shape, available) {
  const ratio = window.devicePixelRatio || 1;
  const { width, height, images, captions } = shape;
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
  const tallest = single ? 440 : Math.max(720, rows * 48) / rows - gap - below;
  const widest = Math.min(single ? 440 : 220, (available - left - (columns - 1) * gap) / columns);
  const fitting = ratio * Math.min(widest / width, tallest / height, single ? Infinity : 220 / height);
  const scale = (fitting >= 1 ? Math.floor(fitting) : fitting) / ratio;
  const cellWidth = width * scale, cellHeight = height * scale;
  const cells = Array.from({ length: images }, (_, n) => ({
    x: left + (n % columns) * (cellWidth + gap),
    y: Math.floor(n / columns) * (cellHeight + gap + below),
  }));
  return {
    scale, columns, cells, cellWidth, cellHeight, gap, below, left, rowNames, captions, images,
    width: left + columns * (cellWidth + gap) - gap,
    height: rows * (cellHeight + gap + below) - gap,
  };
}

export const barStep = (max) => (max > 16 ? 4 : max > 8 ? 2 : max > 2 ? 1 : max / 4); // of the colour bar

// Values of one view: what is shown per pixel and the highest number of the colour bar.
export function viewOf(name, trace, position) {
  const bound = Math.max(1, Math.ceil(Math.log2(trace.shape.levels)));
  if (name === "entropy") return { values: trace.entropy, max: bound };
  if (name === "surprise") {
    const max = Math.max(bound, Math.min(24, trace.maxOf(trace.surprise, position)));
    return { values: trace.surprise, max: Math.ceil(max / barStep(max)) * barStep(max) };
  }
  return { values: null, max: 0 };
}

// All pictures below one another at one canvas pixel per pixel; undrawn ones are transparent.
export function paintAtlas(atlas, trace, position, view) {
  const { width, total, images, levels } = trace.shape;
  const height = total / width;
  if (atlas.width !== width || atlas.height !== height * images) {
    atlas.width = width;
    atlas.height = height * images;
  }
  const ctx = atlas.getContext("2d");
  const image = ctx.createImageData(width, height * images);
  const words = new Uint32Array(image.data.buffer); // little-endian: 0xAABBGGRR
  for (let n = 0; n < images; n++) {
    for (let p = 0; p < position; p++) {
      const i = p * images + n;
      if (view.values) {
        const at = Math.round((255 * view.values[i]) / view.max);
        const [r, g, b] = MAP_COLOURS[Math.max(0, Math.min(255, at))];
        words[n * total + p] = 0xff000000 | (b << 16) | (g << 8) | r;
      } else {
        words[n * total + p] = 0xff000000 | (greyOf(trace.level[i], levels) * 0x010101);
      }
    }
  }
  ctx.putImageData(image, 0, 0);
}

export function drawPictures(canvas, atlas, layout, trace, theme) {
  const ctx = fitCanvas(canvas, layout.width, layout.height);
  const { width, total } = trace.shape;
  const height = total / width;
  const empty = hatch(ctx, theme.empty, theme.emptyBack);
  ctx.imageSmoothingEnabled = false;
  layout.cells.forEach(({ x, y }, n) => {
    ctx.fillStyle = empty;
    ctx.fillRect(x, y, layout.cellWidth, layout.cellHeight);
    ctx.drawImage(atlas, 0, n * height, width, height, x, y, layout.cellWidth, layout.cellHeight);
  });
  ctx.fillStyle = theme.text;
  ctx.font = `12px ${theme.font}`;
  const fit = (text, room) => {
    let cut = text;
    while (cut.length > 1 && ctx.measureText(cut).width > room) cut = `${cut.slice(0, -2)}…`;
    return cut;
  };
  layout.cells.forEach(({ x, y }, n) => {
    if (layout.below) {
      ctx.textAlign = "center";
      ctx.textBaseline = "top";
      const text = fit(layout.captions[n] ?? "", layout.cellWidth + layout.gap);
      ctx.fillText(text, x + layout.cellWidth / 2, y + layout.cellHeight + 3);
    } else if (layout.rowNames && n % layout.columns === 0) {
      ctx.textAlign = "right";
      ctx.textBaseline = "middle";
      ctx.fillText(fit(layout.captions[n], layout.left - 10), x - 10, y + layout.cellHeight / 2);
    }
  });
}

// A pixel's frame that shows on every grey: a dark line outside a light one.
export function outlinePixel(ctx, [x, y, side], colour, width, dashed = false) {
  ctx.setLineDash([]);
  for (const [stroke, extra] of [["rgba(0,0,0,.75)", 1.5], ["rgba(255,255,255,.9)", 0.25]]) {
    ctx.strokeStyle = stroke;
    ctx.lineWidth = width + 2 * extra;
    ctx.strokeRect(x, y, side, side);
  }
  ctx.strokeStyle = colour;
  ctx.lineWidth = width;
  ctx.setLineDash(dashed ? [4, 3] : []);
  ctx.strokeRect(x, y, side, side);
  ctx.setLineDash([]);
}

// Paints the first `count` pixels of a picture, each in the [r, g, b] that `colour` gives for it.
export function paintPixels(ctx, { width, height, count }, side, colour) {
  const picture = document.createElement("canvas");
  picture.width = width;
  picture.height = height;
  const image = new ImageData(width, height);
  for (let p = 0; p < count; p++) image.data.set([...colour(p), 255], 4 * p);
  picture.getContext("2d").putImageData(image, 0, 0);
  ctx.imageSmoothingEnabled = false;
  ctx.drawImage(picture, 0, 0, side, (side * height) / width);
}

// The pixel of a picture that fills a canvas under the pointer; -1 outside.
export function pixelUnder(canvas, event, { width, height }) {
  const box = canvas.getBoundingClientRect();
  const col = Math.floor(((event.clientX - box.left) / box.width) * width);
  const row = Math.floor(((event.clientY - box.top) / box.height) * height);
  return row >= 0 && row < height && col >= 0 && col < width ? row * width + col : -1;
}

// Display values of a pixel as [r, g, b].
export function valuesAt(values, pixel, channels) {
  const at = pixel * channels;
  return channels === 1 ? Array(3).fill(values[at]) : values.slice(at, at + 3);
}

// The marks over a single picture. `sees` tells which past pixels influence `selected`, or is null.
export function drawOverlay(canvas, layout, shape, { sees, selected, current, hovered, pinned }, theme) {
  const ctx = fitCanvas(canvas, layout.width, layout.height);
  const s = layout.scale;
  const rect = (p) => {
    const { row, col } = placeOf(shape, p);
    return [col * s, row * s, s, s];
  };
  if (sees && selected >= 0) {
    // One path for each kind of pixel, made of the longest runs within rows: few, large fills.
    const kinds = { seen: new Path2D(), unseen: new Path2D(), future: new Path2D() };
    const kindOf = (p) => (p === selected ? null : p > selected ? "future" : sees(p) ? "seen" : "unseen");
    for (let p = 0, end; p < shape.total; p = end) {
      const kind = kindOf(p);
      const { row, col } = placeOf(shape, p);
      end = p + 1;
      while (end % shape.width !== 0 && kindOf(end) === kind) end += 1;
      if (kind) kinds[kind].rect(col * s, row * s, (end - p) * s, s);
    }
    const fills = [["seen", rgba(SEEN_TINT, 0.2)], ["unseen", rgba(UNSEEN_TINT, 0.16)],
      ["unseen", hatch(ctx, rgba(UNSEEN_TINT, 0.75), null, 7)], ["future", theme.veil]];
    for (const [kind, fill] of fills) {
      ctx.fillStyle = fill;
      ctx.fill(kinds[kind]);
    }
  }
  const outline = (p, colour, width, dashed) => {
    if (p >= 0) outlinePixel(ctx, rect(p), colour, width, dashed);
  };
  if (hovered !== pinned) outline(hovered, "#444", 1.5, true);
  outline(current, theme.primary, 2, false);
  if (pinned >= 0) {
    outline(pinned, theme.pin, 2.5, false);
    const [x, y] = rect(pinned);
    ctx.beginPath(); // a pin's head: the shape, not only the colour, tells it from the current pixel
    ctx.arc(x + s, y, 5, 0, 2 * Math.PI);
    ctx.fillStyle = theme.pin;
    ctx.strokeStyle = "#fff";
    ctx.lineWidth = 1.5;
    ctx.fill();
    ctx.stroke();
  }
}

// `over`: some values are beyond the end, and shown in its colour.
export function drawColourBar(canvas, width, max, theme, over = false) {
  const ctx = fitCanvas(canvas, width, 32);
  const inset = 8, span = width - 2 * inset;
  canvas.ariaLabel = `Colour bar, 0 to ${max} bits${over ? " and more" : ""}`;
  for (let x = 0; x < span; x++) {
    ctx.fillStyle = rgba(MAP_COLOURS[Math.round((255 * x) / (span - 1))], 1);
    ctx.fillRect(inset + x, 2, 1.5, 10);
  }
  ctx.fillStyle = theme.text;
  ctx.font = `11px ${theme.font}`;
  ctx.textBaseline = "top";
  const step = barStep(max);
  for (let v = 0; v <= max + 1e-9; v += step) {
    const x = inset + (span * v) / max;
    ctx.fillRect(x - 0.5, 12, 1, 4);
    const last = v + step > max + 1e-9;
    ctx.textAlign = last ? "right" : v === 0 ? "left" : "center";
    ctx.fillText(last ? `${over ? "≥ " : ""}${v} bits` : `${v}`, x + (last ? inset : v === 0 ? -inset / 2 : 0), 18);
  }
}

// A small picture or sheet at one canvas pixel per pixel; the style sheet fits it in.
export function drawThumbnail(canvas, trace, position) {
  const { width, total, images, columns } = trace.shape;
  if (images === 1) return paintAtlas(canvas, trace, position, { values: null });
  const height = total / width;
  canvas.width = columns * (width + 1) - 1;
  canvas.height = Math.ceil(images / columns) * (height + 1) - 1;
  const atlas = document.createElement("canvas");
  paintAtlas(atlas, trace, position, { values: null });
  for (let n = 0; n < images; n++) {
    canvas.getContext("2d").drawImage(atlas, 0, n * height, width, height,
      (n % columns) * (width + 1), Math.floor(n / columns) * (height + 1), width, height);
  }
}
