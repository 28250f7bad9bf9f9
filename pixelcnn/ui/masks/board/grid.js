// One panel of a board: its elements, its size, its canvases. Lengths are CSS pixels.

import { MAP_COLOURS, fitCanvas, hatch, rgba } from "../../generate/player/pictures.js";
import { setText } from "../../generate/player/panels.js";
import { LOOKS, fillLook, markColour, signedColour } from "./looks.js";

export class Grid {
  constructor(board, index) {
    this.board = board;
    this.index = index;
    this.atlas = document.createElement("canvas");
    this.element = document.createElement("figure");
    this.element.className = "pcb-panel";
    this.element.innerHTML = '<p class="pcb-title"></p><div class="pcb-stage">'
      + '<canvas class="pcb-base" aria-hidden="true"></canvas>'
      + '<canvas class="pcb-over" role="img"></canvas></div>'
      + '<canvas class="pcb-bar" aria-hidden="true" hidden></canvas><p class="pcb-caption"></p>';
    for (const name of ["title", "base", "over", "bar", "caption"]) {
      this[name] = this.element.querySelector(`.pcb-${name}`);
    }
    board.listenTo(this);
  }

  // Takes over what the server says about this panel.
  accept(panel, sections) {
    this.panel = panel;
    this.total = panel.height * panel.width;
    for (const name of ["picture", "shades", "values", "looks"]) {
      this[name] = panel.sections[name] ? sections[panel.sections[name]] : null;
    }
    this.frames = this.looks ? this.looks.length / this.total : 0;
    this.isKernel = panel.dilation > 0;
    setText(this.title, panel.title);
    const { link } = this.board;
    this.over.dataset.choosable = panel.choosable || this.isKernel;
    this.over.dataset.slides = Boolean(link) && panel.choosable;
    this.over.tabIndex = panel.choosable || this.isKernel ? 0 : -1;
    const keys = panel.choosable ? ": arrow keys choose a pixel"
      : this.isKernel ? ": arrow keys go over its entries" : "";
    this.over.ariaLabel = panel.title + keys;
  }

  // A cell is a whole number of device pixels, so that all of them look the same size.
  lay(width) {
    const ratio = window.devicePixelRatio || 1;
    const fitting = (ratio * Math.min(width, this.panel.size)) / this.panel.width;
    this.cell = (fitting >= 1 ? Math.floor(fitting) : fitting) / ratio;
    this.size = [this.panel.width * this.cell, this.panel.height * this.cell];
    this.element.style.width = `${Math.max(this.size[0], Math.min(width, 170))}px`;
  }

  lookAt(cell, frame) {
    if (!this.looks) return 0;
    return this.looks[Math.min(frame, this.frames - 1) * this.total + cell];
  }

  place(cell) {
    return { row: Math.floor(cell / this.panel.width), col: cell % this.panel.width };
  }

  nameOf(cell) {
    const { row, col } = this.place(cell);
    const { tile, width } = this.panel;
    if (!tile) return `row ${row}, column ${col}`;
    const across = Math.floor(width / tile[1]);
    const tall = Math.ceil(tile[2] / across); // the last line belongs to the last tile
    const down = Math.min(tall - 1, Math.floor(row / tile[0]));
    const feature = down * across + Math.min(across - 1, Math.floor(col / tile[1]));
    return feature < tile[2] ? `feature ${feature}` : "";
  }

  cellAt(event) {
    const box = this.over.getBoundingClientRect();
    const col = Math.floor(((event.clientX - box.left) / box.width) * this.panel.width);
    const row = Math.floor(((event.clientY - box.top) / box.height) * this.panel.height);
    const inside = col >= 0 && col < this.panel.width && row >= 0 && row < this.panel.height;
    return inside ? row * this.panel.width + col : -1;
  }

  // How far the pixel that a kernel's entry reads lies below and to the right of its centre.
  offset(cell) {
    const { row, col } = this.place(cell);
    const { dilation, height, width } = this.panel;
    return { down: dilation * (row - (height >> 1)), right: dilation * (col - (width >> 1)) };
  }

  draw(frame, theme) {
    this.drawBase(frame, theme);
    this.drawBar(theme);
    const { captions } = this.panel;
    setText(this.caption, captions[Math.min(frame, captions.length - 1)] ?? "");
  }

  drawBase(frame, theme) {
    const { panel, cell, size } = this;
    const ctx = fitCanvas(this.base, ...size);
    const drawn = panel.reveal ? frame : this.total;
    ctx.fillStyle = drawn < this.total ? hatch(ctx, theme.empty, theme.emptyBack) : theme.ground;
    ctx.fillRect(0, 0, ...size);
    if (this.picture || this.shades) {
      this.paintAtlas(drawn, theme);
      ctx.imageSmoothingEnabled = false;
      ctx.drawImage(this.atlas, 0, 0, ...size);
    }
    if (this.looks) {
      // One path for each look, made of the longest runs within rows: few, large fills.
      const paths = new Map();
      for (let p = 0, end; p < this.total; p = end) {
        const look = this.lookAt(p, frame);
        end = p + 1;
        while (end % panel.width !== 0 && this.lookAt(end, frame) === look) end += 1;
        if (!LOOKS[look] || p >= drawn || panel.unpainted.includes(look)) continue;
        if (!paths.has(look)) paths.set(look, new Path2D());
        const { row, col } = this.place(p);
        paths.get(look).rect(col * cell, row * cell, (end - p) * cell, cell);
      }
      for (const [look, path] of paths) fillLook(ctx, path, look, theme);
    }
    if (cell >= 18) this.drawLines(ctx, theme);
    if (panel.numbers && cell >= 22) this.drawNumbers(ctx, frame, theme);
  }

  paintAtlas(drawn, theme) {
    const { width, height, colours, twoSides } = this.panel;
    Object.assign(this.atlas, { width, height });
    const ctx = this.atlas.getContext("2d");
    const image = ctx.createImageData(width, height);
    for (let p = 0; p < drawn; p++) {
      let colour;
      if (this.picture) {
        colour = [0, 1, 2].map((c) => this.picture[p * colours + (colours === 3 ? c : 0)]);
      } else if (Number.isNaN(this.shades[p])) {
        continue;
      } else if (twoSides) {
        colour = signedColour(this.shades[p], theme.dark);
      } else {
        colour = MAP_COLOURS[Math.max(0, Math.min(255, Math.round(255 * this.shades[p])))];
      }
      image.data.set([...colour, 255], 4 * p);
    }
    ctx.putImageData(image, 0, 0);
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

  drawNumbers(ctx, frame, theme) {
    const { cell, panel } = this;
    ctx.textAlign = "center";
    ctx.textBaseline = "middle";
    const whole = this.values.every((v) => Number.isNaN(v) || Number.isInteger(v));
    ctx.font = `${whole ? 600 : 400} ${Math.min(20, cell * (whole ? 0.5 : 0.33))}px ${theme.font}`;
    for (let p = 0; p < this.total; p++) {
      const value = this.values[p];
      if (Number.isNaN(value)) continue;
      const { row, col } = this.place(p);
      ctx.fillStyle = this.inkOn(p, frame, theme);
      const text = whole ? `${value}` : value.toFixed(cell > 40 ? 2 : 1).replace("-", "−");
      ctx.fillText(text, (col + 0.5) * cell, (row + 0.5) * cell);
    }
  }

  // A colour that can be read on a cell.
  inkOn(p, frame, theme) {
    if (!this.shades) return [7, 8].includes(this.lookAt(p, frame)) ? "#fff" : theme.text;
    if (!this.panel.twoSides) return this.shades[p] < 0.6 ? "#fff" : "#000"; // yellow in both themes
    if (Math.abs(this.shades[p]) <= 0.6) return theme.text;
    return theme.dark ? "#000" : "#fff";
  }

  drawBar(theme) {
    const { bar, twoSides } = this.panel;
    this.bar.hidden = bar.length === 0;
    if (this.bar.hidden) return;
    const width = Math.max(120, this.size[0]);
    const ctx = fitCanvas(this.bar, width, 32);
    const inset = 4, span = width - 2 * inset;
    for (let x = 0; x < span; x++) {
      const at = x / (span - 1);
      const colour = twoSides ? signedColour(2 * at - 1, theme.dark) : MAP_COLOURS[Math.round(255 * at)];
      ctx.fillStyle = rgba(colour, 1);
      ctx.fillRect(inset + x, 2, 1.5, 10);
    }
    ctx.fillStyle = theme.text;
    ctx.font = `12px ${theme.font}`;
    ctx.textBaseline = "top";
    for (const [shade, text] of bar) {
      const at = twoSides ? (shade + 1) / 2 : shade;
      ctx.fillRect(inset + span * at - 0.5, 12, 1, 4);
      ctx.textAlign = at < 0.1 ? "left" : at > 0.9 ? "right" : "center";
      ctx.fillText(text, at < 0.1 ? 0 : at > 0.9 ? width : inset + span * at, 18);
    }
  }

  // What lies over the cells and follows the pointer: marks, the hovered cell, a kernel.
  drawOver({ marks, hovered, kernel, centre, entry }, theme) {
    const ctx = fitCanvas(this.over, ...this.size);
    if (kernel && this.panel.choosable) this.drawKernel(ctx, kernel, centre, entry, theme);
    if (!this.isKernel) {
      for (const [name, cell] of Object.entries(marks)) {
        this.outline(ctx, cell, markColour(name), 2.5, name.length === 1 ? name : "");
      }
    }
    if (hovered >= 0) this.outline(ctx, hovered, theme.dark ? "#fff" : "#222", 2, "", true);
  }

  // The kernel's entries over the pixels that they read when it stands at `centre`.
  drawKernel(ctx, kernel, centre, entry, theme) {
    const { cell } = this;
    const at = this.place(centre);
    const paths = new Map();
    let chosen = null;
    for (let e = 0; e < kernel.total; e++) {
      const { down, right } = kernel.offset(e);
      const row = at.row + down, col = at.col + right;
      if (row < 0 || row >= this.panel.height || col < 0 || col >= this.panel.width) continue;
      const look = kernel.lookAt(e, 0);
      if (!paths.has(look)) paths.set(look, new Path2D());
      paths.get(look).rect(col * cell, row * cell, cell, cell);
      if (e === entry) chosen = row * this.panel.width + col;
    }
    for (const [look, path] of paths) {
      fillLook(ctx, path, look, theme, true);
      ctx.strokeStyle = "rgba(255,255,255,.55)";
      ctx.lineWidth = 1;
      ctx.stroke(path);
    }
    const { down, right } = kernel.offset(0);
    const { cell: c } = this;
    ctx.strokeStyle = theme.primary;
    ctx.lineWidth = 2;
    ctx.strokeRect((at.col + right) * c, (at.row + down) * c, (1 - 2 * right) * c, (1 - 2 * down) * c);
    if (chosen !== null) this.outline(ctx, chosen, "#fff", 3);
  }

  outline(ctx, cell, colour, width, letter = "", dashed = false) {
    if (cell < 0 || cell >= this.total) return;
    const s = this.cell, { row, col } = this.place(cell);
    const box = [col * s, row * s, s, s];
    ctx.setLineDash([]);
    // A dark line outside a light one shows on every grey.
    for (const [stroke, extra] of [["rgba(0,0,0,.75)", 1.5], ["rgba(255,255,255,.9)", 0.25]]) {
      ctx.strokeStyle = stroke;
      ctx.lineWidth = width + 2 * extra;
      ctx.strokeRect(...box);
    }
    ctx.strokeStyle = colour;
    ctx.lineWidth = width;
    ctx.setLineDash(dashed ? [4, 3] : []);
    ctx.strokeRect(...box);
    ctx.setLineDash([]);
    if (!letter) return;
    const x = Math.min(this.size[0] - 9, Math.max(9, (col + 1) * s + 6));
    const y = Math.min(this.size[1] - 9, Math.max(9, row * s - 6));
    ctx.beginPath();
    ctx.arc(x, y, 9, 0, 2 * Math.PI);
    ctx.fillStyle = colour;
    ctx.fill();
    ctx.strokeStyle = "#fff";
    ctx.lineWidth = 1.5;
    ctx.stroke();
    ctx.fillStyle = "#fff";
    ctx.font = "italic 700 13px Georgia, serif";
    ctx.textAlign = "center";
    ctx.textBaseline = "middle";
    ctx.fillText(letter, x, y + 0.5);
  }
}
