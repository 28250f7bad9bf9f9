// What the server sent about one run of completions, and its painting. Lengths are CSS pixels.

import { thousands, unitOf } from "../../browser/basics.js";
import {
  HINT_LINE, KNOWN_LINE, colourOf, drawColourBar, fitCanvas, hatch, levelColour, mapColour, strokeWith,
} from "../../browser/paint.js";
import { PixelGrid } from "../../browser/pixel_grid.js";

const ESS_COLOUR = "#2f8a66", ANCESTORS_COLOUR = "#b8701c";
const STRIP_HEIGHT = 72;

export class RunData {
  constructor({ head, sections }) {
    Object.assign(this, sections); // level, scan, known, mean, deviation, and for particles more
    const { width, height, channels, num_levels, columns, captions } = head;
    const total = width * height;
    this.head = head;
    this.shape = {
      width, height, channels, total, columns, captions, levels: num_levels, images: captions.length,
      unit: unitOf(channels),
    };
    this.stepOf = new Uint16Array(total); // at which a pixel's last channel is drawn
    this.scan.forEach((pixel, step) => { this.stepOf[pixel] = step; });
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
    const images = [...this.shape.captions.keys()];
    if (sort !== "likely" || !this.head.bits) return images;
    return images.sort((a, b) => this.head.bits[a] - this.head.bits[b] || a - b);
  }

  // The colour of each pixel of the sheet, one picture after another.
  colour(position, order) {
    const { total } = this.shape;
    return (i) => {
      const pixel = i % total, image = order[Math.floor(i / total)];
      return this.shown(pixel, position) ? levelColour(this.level, image * total + pixel, this.shape) : null;
    };
  }
}

// Lines around the known pixels, the pixel being drawn, and the chosen one, on every picture.
export function drawMarks(canvas, runData, layout, { position, outlined, chosen, order }, theme) {
  const ctx = fitCanvas(canvas, layout.width, layout.height);
  const drawn = position > 0 && position < runData.head.steps ? runData.scan[position - 1] : -1;
  layout.cells.forEach(({ x, y }, place) => {
    const grid = new PixelGrid(ctx, runData.shape, layout.scale, x, y);
    for (const [mask, line] of outlined ? [[runData.known, KNOWN_LINE], [runData.hints, HINT_LINE]] : []) {
      strokeWith(ctx, grid.border((pixel) => mask[pixel] !== 0), [line, layout.scale > 6 ? 1.5 : 1]);
    }
    grid.outline(drawn, theme.primary, 1.75, false, 4);
    if (order[place] !== chosen?.image) return;
    ctx.strokeStyle = theme.pin;
    ctx.lineWidth = 2.5;
    ctx.strokeRect(x + 1, y + 1, layout.cellWidth - 2, layout.cellHeight - 2);
    grid.outline(chosen.pixel, theme.pin, 1.75, false, 6);
  });
}

// The maps over the completions; pixels not drawn yet are hatched.
export function drawMaps(find, runData, position, size, theme) {
  const { width, height, channels, levels } = runData.shape;
  const most = Math.max(1e-9, ...runData.deviation);
  const colours = {
    mean: (i) => colourOf(channels, (channel) => (
      Math.round((255 * runData.mean[i * channels + channel]) / (levels - 1)))),
    deviation: (i) => mapColour(runData.deviation[i] / most),
  };
  const scale = size / Math.max(width, height);
  for (const [name, colour] of Object.entries(colours)) {
    const ctx = fitCanvas(find(`.pxr-${name}`), width * scale, height * scale);
    const grid = new PixelGrid(ctx, runData.shape, scale);
    grid.fillEmpty(theme);
    grid.paint((i) => (runData.shown(i, position) ? colour(i) : null));
  }
  const ticks = [[0, "0"], [1, `${most < 1e-6 ? 0 : +most.toPrecision(2)} levels`]];
  drawColourBar(find(".pxr-bar"), size, { ticks }, theme);
}

// Under the track, along the scan: which pixels are known, and how the particles fare.
export function drawScan(playback, runData, theme) {
  const { ctx, x, bar } = playback.drawTrack(STRIP_HEIGHT);
  const { steps, particles } = runData.head;
  const empty = hatch(ctx, theme.empty, theme.emptyBack);
  for (let step = 0, end; step < steps; step = end) {
    const known = runData.known[runData.scan[step]] !== 0;
    for (end = step + 1; end < steps && (runData.known[runData.scan[end]] !== 0) === known;) end += 1;
    bar(step, end, 25, 8, known ? KNOWN_LINE : empty);
  }
  if (!particles) return;
  const top = 38, bottom = STRIP_HEIGHT - 2;
  const y = (share) => bottom - share * (bottom - top);
  bar(0, steps, top, bottom - top, theme.emptyBack);
  const half = new Path2D(), area = new Path2D();
  half.moveTo(x(0), y(0.5));
  half.lineTo(x(steps), y(0.5));
  strokeWith(ctx, half, [theme.muted, 1, [4, 4]]);
  const stairs = (path, values) => values.forEach((value, step) => {
    path.lineTo(x(step), y(value / particles));
    path.lineTo(x(step + 1), y(value / particles));
  });
  area.moveTo(x(0), y(0));
  stairs(area, runData.ess);
  area.lineTo(x(runData.ess.length), y(0));
  ctx.globalAlpha = 0.4;
  ctx.fillStyle = ESS_COLOUR;
  ctx.fill(area);
  ctx.globalAlpha = 1;
  const line = new Path2D();
  stairs(line, runData.ancestors);
  strokeWith(ctx, line, [ANCESTORS_COLOUR, 1.75]);
}
