// Puts the player's state on the page: once per frame at most, and only what has changed.

import { bitsLine, percent, placeOf, sheetBitsLine, stepComments } from "./trace.js";
import {
  drawColourBar, drawOverlay, drawPictures, paintAtlas, sheetLayout, viewOf,
} from "./pictures.js";
import { readTheme, setText } from "./panels.js";
import { INSET, drawStrip } from "./charts.js";

export class Screen {
  constructor(player) {
    this.player = player;
    this.find = player.find;
    this.view = "picture";
    this.dirty = this.resized = true;
    this.theme = null;
    this.atlas = document.createElement("canvas");
  }

  update(now) {
    const { player } = this;
    if (this.resized || this.ratio !== window.devicePixelRatio) this.lay();
    if (this.dirty) this.draw(now);
    else if (player.playing) this.drawCode(now); // its mark moves between two pixels too
  }

  retheme() {
    this.theme = null;
    this.dirty = true;
  }

  setView(view) {
    this.view = view;
    for (const button of this.player.root.querySelectorAll("[data-view]")) {
      button.setAttribute("aria-pressed", String(button.dataset.view === view));
    }
    this.dirty = true;
  }

  // Sizes, read only when they may have changed: reading them makes the browser lay out the page.
  lay() {
    const { player, find } = this;
    this.resized = false;
    this.dirty = true;
    this.ratio = window.devicePixelRatio;
    this.sheet = sheetLayout(player.trace.shape, Math.max(1, find(".pxc-left").clientWidth));
    this.chartWidth = find(".pxc-charts").clientWidth;
    this.stripWidth = find(".pxc-timeline").clientWidth;
    const key = JSON.stringify([player.picture, this.sheet]);
    if (key !== this.sheetKey) player.cells.lay(this.sheet); // new buttons would drop the focus
    this.sheetKey = key;
    if (this.codeOpened === undefined) {
      this.codeOpened = find(".pxc-code").open = player.root.clientWidth >= 740;
    }
  }

  draw(now) {
    this.dirty = false;
    const { player, find, sheet } = this;
    const { trace, position } = player;
    this.theme ??= readTheme(player.root);
    player.root.style.setProperty("--px-on-primary", this.theme.onPrimary);
    const view = viewOf(this.view, trace, position);
    paintAtlas(this.atlas, trace, position, view);
    drawPictures(find(".pxc-picture"), this.atlas, sheet, trace, this.theme);
    find(".pxc-colourbar").hidden = !view.values;
    if (view.values) {
      drawColourBar(find(".pxc-colourbar"), Math.min(440, sheet.width), view.max, this.theme);
    }
    if (player.single) this.drawPixel();
    else this.drawSheetText();
    this.drawTransport();
    // Thumbnails follow a few times a second: they are many, and small.
    if (!player.playing || now - (this.branchesAt ?? 0) > 150) {
      this.branchesAt = now;
      player.strip.show(player.store.traces, trace, position);
    }
    this.drawCode(now);
  }

  drawPixel() {
    const { player, find } = this;
    const { trace, selected, pinned, hovered, current, position } = player;
    // Tints over a map would change what its colours mean.
    const field = find(".pxc-field").checked && this.view === "picture";
    find(".pxc-field").disabled = this.view !== "picture";
    const sees = selected >= 0 ? player.store.dependencyRow(selected, player.model) : null;
    drawOverlay(find(".pxc-overlay"), this.sheet, trace.shape,
      { sees: field ? sees : null, selected, current, hovered, pinned }, this.theme);
    let seen = 0;
    if (sees) for (let p = 0; p < selected; p++) seen += sees(p);
    const past = Math.max(0, selected);
    setText(find(".pxc-sees"), sees
      ? `sees ${seen} of ${past} past pixels (${percent(seen, past)} %)` : "can see");
    // Switched off, it keeps its place; over a map the colour bar takes it.
    find(".pxc-field-legend").style.visibility = field ? "visible" : "hidden";
    find(".pxc-field-legend").hidden = this.view !== "picture";
    setText(find(".pxc-bits"), bitsLine(trace, position));
    const drawn = selected >= 0 && selected < position;
    player.panel.show(trace, { selected, pinned, drawn }, this.chartWidth, this.theme);
  }

  drawSheetText() {
    const { trace, position, hoveredPicture: n } = this.player;
    const { images, captions } = trace.shape;
    const name = n >= 0 && captions[n] ? `${n + 1}, ${captions[n]}` : `${n + 1}`;
    setText(this.find(".pxc-bits"), n >= 0
      ? `picture ${name}: ${bitsLine(trace, position, n)}` : sheetBitsLine(trace, position));
    setText(this.find(".pxc-sheet-note"), `${images} pictures drawn together. Click one to `
      + "open it alone and see its distributions.");
  }

  drawTransport() {
    const { player, find } = this;
    const { trace, position, total, playing } = player;
    drawStrip(find(".pxc-strip"), this.stripWidth, trace, position, INSET, this.theme);
    const scrub = find(".pxc-scrub");
    if (scrub.max !== String(total)) scrub.max = total;
    scrub.value = position;
    const { row, col } = placeOf(trace.shape, Math.max(0, position - 1));
    const place = `row ${row}, column ${col} · ${position} of ${total}`;
    setText(find(".pxc-position"), place);
    scrub.ariaValueText = place;
    const play = find(".pxc-play");
    const word = playing ? "Pause" : "Play";
    if (play.ariaLabel !== word) Object.assign(play, { ariaLabel: word, title: `${word} (Space)` });
    Object.assign(player.root.dataset, { course: trace.name, position, playing });
  }

  // Slow enough to follow, the mark walks through the steps of each pixel in that pixel's time;
  // a pixel appears as its last step begins. Faster, the mark only shows that the loop runs.
  drawCode(now) {
    const { trace, code, playing, position, have, speed, clock, selected, single } = this.player;
    if (!code.count || !single) return;
    let mark = code.count - 1, reached = code.count, pixel = position - 1;
    if (playing && speed <= 5 && position < have) {
      mark = (Math.floor((clock - position) * code.count) + code.count - 1) % code.count;
      reached = mark + 1;
      if (mark < code.count - 1) pixel = position;
    } else if (playing) {
      mark = Math.floor(now / 120) % code.count;
    } else if (selected >= 0 && selected < position) {
      pixel = selected;
    }
    if (pixel < 0) return code.show(-1, 0, null);
    code.show(mark, reached, stepComments(trace, pixel));
  }
}
