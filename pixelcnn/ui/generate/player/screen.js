// Puts the player's state on the page.

import { clamp, setText } from "../../browser/basics.js";
import { drawColourBar } from "../../browser/paint.js";
import { drawSheet, layButtons, sheetLayout, titleOf } from "../../browser/sheet.js";
import { advice, bitsLine, narration, percent, pixelAt, ruleText, sheetBitsLine, stepComments, whereIs,
} from "./trace.js";
import { drawOverlay, viewOf } from "./pictures.js";
import { drawStrip } from "./charts.js";

const SPOKEN_MS = 1500; // a sentence stays so long while pixels pass faster than one can read

export class Screen {
  constructor(player) {
    this.player = player;
    this.find = player.find;
    this.all = player.all;
    this.view = "picture";
  }

  setView(view) {
    this.view = view;
    this.player.press("view", view);
    this.player.touch();
  }

  lay() {
    const { player, find } = this;
    const { shape } = player.trace;
    this.sheet = sheetLayout({ ...shape, largest: Infinity }, Math.max(1, find(".pxc-left").clientWidth));
    const width = find(".pxc-charts").clientWidth, tall = clamp(this.sheet.height - 55, 265, 520);
    this.charts = [0.57, 0.43].map((share) => ({ width, height: Math.round(share * tall) }));
    const key = JSON.stringify([player.picture, this.sheet]);
    if (key !== this.sheetKey) this.layButtons(); // new buttons would drop the focus
    this.sheetKey = key;
  }

  layButtons() {
    const { images, captions } = this.player.trace.shape;
    layButtons(this.find(".px-cells"), images === 1 ? { cells: [] } : this.sheet, {
      describe: (n) => ({
        title: `Picture ${titleOf(n, captions[n])}: click to open it alone`,
        ariaLabel: `Open picture ${titleOf(n, captions[n])}`,
      }),
      click: (image) => this.player.open(image),
      hover: (image) => this.player.hover(image),
    });
  }

  draw(now) {
    const { player, find, sheet } = this;
    const { trace, position, total, theme } = player;
    const other = player.store.other(trace);
    find("[data-view=difference]").hidden = !other;
    if (!other && this.view === "difference") this.setView("picture");
    const { colour, bar } = viewOf(this.view, trace, position, other, theme.dark);
    drawSheet(find(".pxc-picture"), sheet, trace.shape, colour, trace.shape.captions, theme);
    find(".pxc-colourbar").hidden = !bar;
    if (bar) drawColourBar(find(".pxc-colourbar"), Math.min(440, sheet.width), bar, theme);
    if (player.single) this.drawPixel(now);
    else this.drawSheetText();
    drawStrip(player.drawTrack(46), trace, theme);
    player.showTransport(`${whereIs(trace.shape, Math.max(0, position - 1))} · ${position} of ${total}`);
    player.root.dataset.course = trace.name;
    // Thumbnails follow a few times a second: they are many, and small.
    if (!player.playing || now - (this.branchesAt ?? 0) > 150) {
      this.branchesAt = now;
      player.strip.show(player.store.traces, trace, position);
    }
    this.drawCode(now);
  }

  drawPixel(now) {
    const { player, find } = this;
    const { trace, selected, pinned, hovered, position, resting } = player;
    const current = resting ? selected : player.current;
    // Tints over a map would change what its colours mean.
    const field = find(".pxc-field").checked && this.view === "picture";
    find(".pxc-field").disabled = this.view !== "picture";
    const pixel = (at) => pixelAt(trace.shape, at), past = Math.max(0, pixel(selected));
    const sees = selected >= 0 ? player.store.dependencyRow(past) : null;
    const forced = this.view === "picture" ? [...trace.forced.keys()] : [];
    drawOverlay(find(".px-overlay"), this.sheet, trace.shape,
      { sees: field ? sees : null, selected: pixel(selected), current: pixel(current),
        hovered: pixel(hovered), pinned: pixel(pinned), forced: new Set(forced.map(pixel)) },
      player.theme);
    let seen = 0;
    if (sees) for (let p = 0; p < past; p++) seen += sees(p);
    setText(find(".pxc-sees"), sees
      ? `sees ${seen} of ${past} past pixels (${percent(seen, past)} %)` : "can see");
    find(".pxc-field-legend").hidden = !field;
    setText(find(".px-bits"), bitsLine(trace, position));
    const drawn = selected >= 0 && selected < position;
    player.panel.show(trace, { selected, pinned, drawn }, this.charts, player.theme);
    const isPassing = player.playing && player.speed > 5 && selected === current;
    if (!isPassing || !(now - this.spokenAt < SPOKEN_MS)) {
      this.spokenAt = drawn ? now : -Infinity;
      const before = resting ? "Finished. This pixel was the biggest surprise. "
        : isPassing ? "A moment ago: " : "";
      setText(find(".pxc-narration"), drawn ? before + narration(trace, selected) : "");
    }
    find("[data-do=uncertain]").disabled = position >= trace.shape.total;
    this.drawWays();
  }

  // What can be done next: with a finished picture, and with settings that act only from a pixel on.
  drawWays() {
    const { trace, finished, rule, selected } = this.player;
    const text = finished ? advice(trace) : "";
    setText(this.find(".pxc-advice"), text);
    const isShown = {
      restart: !text && trace.lastRule.start > 0, mild: text, rows: text.startsWith("Nearly"),
      again: finished && !text && !trace.isCertain(selected),
    };
    for (const button of this.all("[data-way]")) button.hidden = !isShown[button.dataset.way];
    this.find(".pxc-advice").hidden = !text;
    for (const link of this.all(".pxc-ways a")) link.hidden = !finished || Boolean(text);
    const name = ruleText(trace.lastRule);
    setText(this.find("[data-way=restart]"), `Restart with ${name}`);
  }

  drawSheetText() {
    const { trace, position, hovered: n } = this.player;
    const { images, captions } = trace.shape;
    setText(this.find(".px-bits"), n >= 0
      ? `picture ${titleOf(n, captions[n])}: ${bitsLine(trace, position, n)}` : sheetBitsLine(trace, position));
    setText(this.find(".pxc-sheet-note"), `${images} pictures drawn together. Click one to `
      + "open it alone and see its distributions.");
  }

  // Slow enough to follow, the mark walks through the steps of each pixel in that pixel's time;
  // a pixel appears as its last step begins. Faster, the mark only shows that the loop runs.
  drawCode(now) {
    const { trace, code, playing, position, have, speed, clock, selected, single } = this.player;
    if (!single || !code.details.open) return;
    const count = code.steps.length;
    let mark = count - 1, reached = count, pixel = position - 1;
    if (playing && speed <= 5 && position < have) {
      mark = (Math.floor((clock - position) * count) + count - 1) % count;
      reached = mark + 1;
      if (mark < count - 1) pixel = position;
    } else if (playing) {
      mark = Math.floor(now / 120) % count;
    } else if (selected >= 0 && selected < position) {
      pixel = selected;
    }
    if (pixel < 0) return code.show(-1, 0, null);
    code.show(mark, reached, stepComments(trace, pixel));
  }
}
