// What the server sent about one run of completions, and its painting. Lengths are CSS pixels.

import { parseMessage, thousands } from "../../generate/player/trace.js";
import {
  MAP_COLOURS, borderPath, fitCanvas, greyOf, hatch, rgba,
} from "../../generate/player/pictures.js";

const KNOWN_LINE = "rgb(46,140,255)", HINT_LINE = "rgb(255,136,40)";
const ESS_COLOUR = "#2f8a66", ANCESTORS_COLOUR = "#b8701c";
const STRIP_HEIGHT = 72;

export class Growth {
  constructor(view) {
    const { head, sections } = parseMessage(view);
    Object.assign(this, sections); // level, scan, known, mean, deviation, and for particles more
    this.head = head;
    this.stepOf = new Uint16Array(head.height * head.width); // at which a pixel is drawn
    this.scan.forEach((pixel, step) => { this.stepOf[pixel] = step; });
  }

  get shape() {
    const { width, height, num_levels, num_images, columns, captions } = this.head;
    const total = width * height;
    return { width, height, total, levels: num_levels, images: num_images, columns, captions };
  }

  // Whether a pixel is on the screen when so many steps are shown.
  shown(pixel, position) { return this.known[pixel] !== 0 || this.stepOf[pixel] < position; }

  // What stands under a picture: its class and how probable that is, or what it was sorted by.
  caption(image, sort) {
    const { captions, looks, bits } = this.head;
    if (sort === "likely" && bits) return `${thousands(bits[image])} bits`;
    if (!looks) return captions[image];
    const [name, percent] = looks[image];
    return `${name}: ${percent > 99.4 ? "> 99" : percent < 0.6 ? "< 1" : Math.round(percent)} %`;
  }

  // The pictures in the order in which they are to be shown.
  sorted(sort) {
    const images = [...Array(this.head.num_images).keys()];
    if (sort !== "likely" || !this.head.bits) return images;
    return images.sort((a, b) => this.head.bits[a] - this.head.bits[b] || a - b);
  }
}

export function paintSheet(atlas, growth, position, order) {
  const { width, height, total, levels, images } = growth.shape;
  paintAtlasOf(atlas, width, height * images, (i) => {
    const pixel = i % total;
    if (!growth.shown(pixel, position)) return 0;
    const n = order[Math.floor(i / total)];
    return 0xff000000 | (greyOf(growth.level[n * total + pixel], levels) * 0x010101);
  });
}

// Sets all pixels of a canvas, one canvas pixel each; `word` gives 0xAABBGGRR.
function paintAtlasOf(atlas, width, height, word) {
  atlas.width = width;
  atlas.height = height;
  const ctx = atlas.getContext("2d");
  const image = ctx.createImageData(width, height);
  const words = new Uint32Array(image.data.buffer);
  for (let i = 0; i < words.length; i++) words[i] = word(i);
  ctx.putImageData(image, 0, 0);
}

// Lines around the known pixels, the pixel being drawn, and the chosen one, on every picture.
export function paintMarks(canvas, growth, layout, { position, outlined, chosen, order }, theme) {
  const ctx = fitCanvas(canvas, layout.width, layout.height);
  const { width, height } = growth.shape;
  const s = layout.scale;
  if (outlined) {
    for (const [mask, colour] of [[growth.known, KNOWN_LINE], [growth.hints, HINT_LINE]]) {
      const path = borderPath(width, height, s, (at) => mask[at] !== 0);
      ctx.strokeStyle = colour;
      ctx.lineWidth = s > 6 ? 1.5 : 1;
      for (const { x, y } of layout.cells) {
        ctx.setTransform(ctx.getTransform().translate(x, y));
        ctx.stroke(path);
        ctx.setTransform(ctx.getTransform().translate(-x, -y));
      }
    }
  }
  const box = (cell, pixel, colour, least) => {
    const size = Math.max(s, least);
    const middle = [cell.x + (pixel % width + 0.5) * s, cell.y + (Math.floor(pixel / width) + 0.5) * s];
    for (const [stroke, line] of [["rgba(0,0,0,.7)", 3.5], [colour, 1.75]]) {
      ctx.strokeStyle = stroke;
      ctx.lineWidth = line;
      ctx.strokeRect(middle[0] - size / 2, middle[1] - size / 2, size, size);
    }
  };
  if (position > 0 && position < growth.head.steps) {
    const pixel = growth.scan[position - 1];
    for (const cell of layout.cells) box(cell, pixel, theme.primary, 4);
  }
  if (chosen) {
    const cell = layout.cells[order.indexOf(chosen.image)];
    ctx.strokeStyle = theme.pin;
    ctx.lineWidth = 2.5;
    ctx.strokeRect(cell.x + 1, cell.y + 1, layout.cellWidth - 2, layout.cellHeight - 2);
    box(cell, chosen.pixel, theme.pin, 6);
  }
}

// One of the maps over the completions; pixels not drawn yet are hatched.
function paintMap(canvas, growth, position, size, word, theme) {
  const { width, height } = growth.shape;
  const atlas = document.createElement("canvas");
  paintAtlasOf(atlas, width, height, (i) => (growth.shown(i, position) ? word(i) : 0));
  const scale = size / Math.max(width, height);
  const ctx = fitCanvas(canvas, width * scale, height * scale);
  ctx.imageSmoothingEnabled = false;
  ctx.fillStyle = hatch(ctx, theme.empty, theme.emptyBack);
  ctx.fillRect(0, 0, width * scale, height * scale);
  ctx.drawImage(atlas, 0, 0, width * scale, height * scale);
}

export function paintMaps(find, growth, position, size, theme) {
  const { levels } = growth.shape;
  paintMap(find(".pxr-mean"), growth, position, size, (i) => {
    const grey = Math.round((255 * growth.mean[i]) / (levels - 1));
    return 0xff000000 | (grey * 0x010101);
  }, theme);
  const most = Math.max(1e-9, ...growth.deviation);
  paintMap(find(".pxr-deviation"), growth, position, size, (i) => {
    const [r, g, b] = MAP_COLOURS[Math.round((255 * growth.deviation[i]) / most)];
    return 0xff000000 | (b << 16) | (g << 8) | r;
  }, theme);
  const ctx = fitCanvas(find(".pxr-bar"), size, 26);
  for (let x = 0; x < size; x++) {
    ctx.fillStyle = rgba(MAP_COLOURS[Math.round((255 * x) / (size - 1))], 1);
    ctx.fillRect(x, 0, 1.5, 8);
  }
  ctx.fillStyle = theme.text;
  ctx.font = `11px ${theme.font}`;
  ctx.textBaseline = "top";
  ctx.fillText("0", 0, 12);
  ctx.textAlign = "right";
  ctx.fillText(`${most < 1e-6 ? 0 : +most.toPrecision(2)} levels`, size, 12);
}

// Under the slider, along the scan: which pixels are known, and how the particles fare.
export function paintScan(canvas, growth, width, inset, position, theme) {
  const ctx = fitCanvas(canvas, width, STRIP_HEIGHT);
  const { steps, count, particles } = growth.head;
  const span = width - 2 * inset;
  const x = (step) => inset + (span * step) / steps;
  const bar = (from, to, y, height, fill) => {
    ctx.fillStyle = fill;
    ctx.fillRect(x(from), y, Math.max(0, x(to) - x(from)), height);
  };
  bar(0, steps, 9, 4, theme.border);
  bar(0, count, 9, 4, theme.muted);
  bar(0, position, 9, 4, theme.primary);
  const empty = hatch(ctx, theme.empty, theme.emptyBack);
  for (let step = 0, end; step < steps; step = end) {
    const known = growth.known[growth.scan[step]] !== 0;
    for (end = step + 1; end < steps && (growth.known[growth.scan[end]] !== 0) === known;) end += 1;
    bar(step, end, 25, 8, known ? KNOWN_LINE : empty);
  }
  if (!particles) return;
  const top = 38, bottom = STRIP_HEIGHT - 2;
  const y = (share) => bottom - share * (bottom - top);
  bar(0, steps, top, bottom - top, theme.emptyBack);
  ctx.setLineDash([4, 4]);
  ctx.strokeStyle = theme.muted;
  ctx.lineWidth = 1;
  ctx.beginPath();
  ctx.moveTo(x(0), y(0.5));
  ctx.lineTo(x(steps), y(0.5));
  ctx.stroke();
  ctx.setLineDash([]);
  const area = new Path2D(), line = new Path2D();
  area.moveTo(x(0), y(0));
  growth.ess.forEach((value, step) => {
    area.lineTo(x(step), y(value / particles));
    area.lineTo(x(step + 1), y(value / particles));
  });
  area.lineTo(x(growth.ess.length), y(0));
  growth.ancestors.forEach((value, step) => {
    line.lineTo(x(step), y(value / particles));
    line.lineTo(x(step + 1), y(value / particles));
  });
  ctx.globalAlpha = 0.4;
  ctx.fillStyle = ESS_COLOUR;
  ctx.fill(area);
  ctx.globalAlpha = 1;
  ctx.lineWidth = 1.75;
  ctx.strokeStyle = ANCESTORS_COLOUR;
  ctx.stroke(line);
}
