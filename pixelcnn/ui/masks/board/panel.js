// One panel of a board: its elements, its size, its canvases. Lengths are CSS pixels.

import { placeOf, setText } from "../../browser/basics.js";
import {
  drawColourBar, drawDisc, fitCanvas, mapColour, signedColour, valuesAt, write,
} from "../../browser/paint.js";
import { PixelGrid } from "../../browser/pixel_grid.js";
import { READS, markColour, paintLook } from "./looks.js";

const PARTS = '<p class="pcb-title"></p><div class="pcb-stage">'
  + '<canvas class="pcb-base" aria-hidden="true"></canvas><canvas class="pcb-over" role="img"></canvas>'
  + '</div><canvas class="pcb-bar" aria-hidden="true" hidden></canvas><p class="pcb-caption"></p>';

export class Panel {
  constructor() {
    this.element = document.createElement("figure");
    this.element.className = "pcb-panel";
    this.element.innerHTML = PARTS;
    for (const name of ["title", "base", "over", "bar", "caption"]) {
      this[name] = this.element.querySelector(`.pcb-${name}`);
    }
  }

  // Takes over what the server says about this panel; `sectionOf` gives an array by its name.
  accept(panel, sectionOf) {
    this.panel = panel;
    this.width = panel.width;
    this.height = panel.height;
    this.total = panel.height * panel.width;
    for (const name of ["picture", "shades", "values", "looks"]) {
      this[name] = sectionOf(name);
    }
    this.frames = this.looks ? this.looks.length / this.total : 0;
    this.channels = this.picture ? this.picture.length / this.total : 0;
    this.isKernel = panel.dilation > 0;
    setText(this.title, panel.title);
    this.over.dataset.choosable = panel.is_choosable || this.isKernel;
    this.over.tabIndex = panel.is_choosable || this.isKernel ? 0 : -1;
    const keys = panel.is_choosable ? ": arrow keys choose a pixel"
      : this.isKernel ? ": arrow keys go over its entries" : "";
    this.over.ariaLabel = panel.title + keys;
  }

  // A cell is a whole number of device pixels, so that all of them look the same size.
  lay(width) {
    const ratio = window.devicePixelRatio || 1;
    const fitting = (ratio * Math.min(width, this.panel.size)) / this.width;
    this.cell = (fitting >= 1 ? Math.floor(fitting) : fitting) / ratio;
    this.size = [this.width * this.cell, this.height * this.cell];
    this.element.style.width = `${Math.max(this.size[0], Math.min(width, 170))}px`;
  }

  lookAt(cell, frame) {
    if (!this.looks) return 0;
    return this.looks[Math.min(frame, this.frames - 1) * this.total + cell];
  }

  nameOf(cell) {
    const { row, col } = placeOf(this, cell);
    const { tile } = this.panel;
    if (!tile) return `row ${row}, column ${col}`;
    const across = Math.floor(this.width / tile[1]);
    const tall = Math.ceil(tile[2] / across); // the last line belongs to the last tile
    const down = Math.min(tall - 1, Math.floor(row / tile[0]));
    const feature = down * across + Math.min(across - 1, Math.floor(col / tile[1]));
    return feature < tile[2] ? `feature ${feature}` : "";
  }

  // How far the pixel that a kernel's entry reads lies below and to the right of its centre.
  offset(entry) {
    const { row, col } = placeOf(this, entry), { dilation } = this.panel;
    return { down: dilation * (row - (this.height >> 1)), right: dilation * (col - (this.width >> 1)) };
  }

  // The pixel that a kernel's entry reads when it stands at `centre`; -1 outside of the picture.
  pixelRead(kernel, entry, centre) {
    const { down, right } = kernel.offset(entry), at = placeOf(this, centre);
    const row = at.row + down, col = at.col + right;
    const inside = row >= 0 && row < this.height && col >= 0 && col < this.width;
    return inside ? row * this.width + col : -1;
  }

  // The looks of a kernel's entries when it stands at `centre`, by the pixels that they read.
  looksUnder(kernel, centre) {
    const looks = new Map();
    for (let e = 0; e < kernel.total; e++) looks.set(this.pixelRead(kernel, e, centre), kernel.lookAt(e, 0));
    return looks;
  }

  draw(frame, theme) {
    this.drawBase(frame, theme);
    const { captions, bar, two_sides: twoSides } = this.panel;
    this.bar.hidden = bar.length === 0;
    if (bar.length) {
      drawColourBar(this.bar, Math.max(120, this.size[0]), {
        ticks: bar.map(([shade, text]) => [twoSides ? (shade + 1) / 2 : shade, text]),
        colour: twoSides ? (share) => signedColour(2 * share - 1, theme.dark) : mapColour,
      }, theme);
    }
    setText(this.caption, captions[Math.min(frame, captions.length - 1)] ?? "");
  }

  drawBase(frame, theme) {
    const { panel, cell, shades } = this;
    const ctx = fitCanvas(this.base, ...this.size), grid = new PixelGrid(ctx, this, cell);
    const drawn = panel.reveal ? frame : this.total;
    if (drawn < this.total) grid.fillEmpty(theme);
    else grid.fill(theme.ground);
    const shade = (p) => (Number.isNaN(shades[p]) ? null
      : panel.two_sides ? signedColour(shades[p], theme.dark) : mapColour(shades[p]));
    const colour = this.picture ? (p) => valuesAt(this.picture, p, this.channels) : shade;
    if (this.picture || shades) grid.paint((p) => (p < drawn ? colour(p) : null));
    const looks = this.looks ? grid.paths((p) => (p < drawn ? this.lookAt(p, frame) : 0)) : [];
    for (const [look, path] of looks) {
      if (!(shades && READS.includes(look))) paintLook(ctx, path, look, theme); // its shade shows
    }
    if (cell >= 18) this.drawLines(ctx, theme);
    if (this.isKernel && cell >= 22) this.drawNumbers(grid, frame, theme);
  }

  drawLines(ctx, theme) {
    const { cell, size } = this;
    ctx.strokeStyle = theme.border;
    ctx.lineWidth = 1;
    ctx.beginPath();
    for (let x = cell; x < size[0] - 1; x += cell) ctx.rect(x, 0, 0, size[1]);
    for (let y = cell; y < size[1] - 1; y += cell) ctx.rect(0, y, size[0], 0);
    ctx.stroke();
  }

  drawNumbers(grid, frame, theme) {
    const { cell, values } = this;
    const whole = values.every((v) => Number.isNaN(v) || Number.isInteger(v));
    grid.ctx.font = `${whole ? 600 : 400} ${Math.min(20, cell * (whole ? 0.5 : 0.33))}px ${theme.font}`;
    values.forEach((value, p) => {
      if (Number.isNaN(value)) return;
      const [x, y] = grid.box(p);
      const text = whole ? `${value}` : value.toFixed(cell > 40 ? 2 : 1).replace("-", "−");
      write(grid.ctx, text, x + cell / 2, y + cell / 2, this.inkOn(p, frame, theme), "center", "middle");
    });
  }

  // A colour that can be read on a cell.
  inkOn(p, frame, theme) {
    if (!this.shades) return READS.includes(this.lookAt(p, frame)) ? "#fff" : theme.text;
    if (!this.panel.two_sides) return this.shades[p] < 0.6 ? "#fff" : "#000"; // yellow in both themes
    if (Math.abs(this.shades[p]) <= 0.6) return theme.text;
    return theme.dark ? "#000" : "#fff";
  }

  // What lies over the cells and follows the pointer: marks, the hovered cell, a kernel.
  drawOver({ marks, hovered, kernel, centre, entry }, theme) {
    const grid = new PixelGrid(fitCanvas(this.over, ...this.size), this, this.cell);
    if (kernel && this.panel.is_choosable) this.drawKernel(grid, kernel, centre, entry, theme);
    for (const [name, cell] of Object.entries(this.isKernel ? {} : marks)) {
      grid.outline(cell, markColour(name), 2.5);
      if (name.length === 1 && cell < this.total) this.drawLetter(grid, cell, name);
    }
    grid.outline(hovered, theme.dark ? "#fff" : "#222", 2, true);
  }

  // The kernel's entries over the pixels that they read when it stands at `centre`.
  drawKernel(grid, kernel, centre, entry, theme) {
    const { ctx } = grid;
    const looks = this.looksUnder(kernel, centre);
    for (const [look, path] of grid.paths((p) => looks.get(p) ?? 0)) paintLook(ctx, path, look, theme, true);
    ctx.strokeStyle = "rgba(255,255,255,.55)";
    ctx.lineWidth = 1;
    for (const pixel of looks.keys()) if (pixel >= 0) ctx.strokeRect(...grid.box(pixel));
    const [x, y] = grid.box(centre), { down, right } = kernel.offset(0), { cell } = this;
    ctx.strokeStyle = theme.primary;
    ctx.lineWidth = 2;
    ctx.strokeRect(x + right * cell, y + down * cell, (1 - 2 * right) * cell, (1 - 2 * down) * cell);
    if (entry >= 0) grid.outline(this.pixelRead(kernel, entry, centre), "#fff", 3);
  }

  drawLetter(grid, cell, letter) {
    const { ctx } = grid, [left, top, side] = grid.box(cell), [width, height] = this.size;
    const x = Math.min(width - 9, Math.max(9, left + side + 6));
    const y = Math.min(height - 9, Math.max(9, top - 6));
    drawDisc(ctx, x, y, 9, markColour(letter), ["#fff", 1.5]);
    ctx.font = "italic 700 13px Georgia, serif";
    write(ctx, letter, x, y + 0.5, "#fff", "center", "middle");
  }
}
