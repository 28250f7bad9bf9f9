// Parts of the page around the picture, each with its own elements: the panel of one position, the
// branches, the code. They show what they are given and keep no playback.

import { setText } from "../../browser/basics.js";
import { capital, readout, ruleText, shortProbability, whereIs } from "./trace.js";
import { drawThumbnail } from "./pictures.js";
import { drawCumulative, drawDistribution, levelScale } from "./charts.js";

// The charts and sentences about one draw, and the form that forces another level there.
export class PixelPanel {
  constructor(player) {
    this.player = player;
    this.find = player.find;
    this.level = -1; // under the cursor
    this.asked = null; // the position that the form is about
    const on = (...listener) => player.on(...listener);
    for (const name of [".pxc-distribution", ".pxc-cumulative"]) {
      on(name, "pointermove", (event) => this.setLevel(this.levelAt(event)));
      on(name, "pointerleave", () => this.setLevel(-1));
      on(name, "click", (event) => {
        this.setLevel(this.levelAt(event));
        if (this.level < 0 || !this.drawn) return;
        player.pin(this.position); // the form is about a pixel that stays
        this.asked = this.position;
        this.find(".pxc-level").value = this.level;
        this.say("");
      });
    }
    on(".pxc-force", "submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    on(".pxc-level", "input", () => this.say(""));
  }

  levelAt(event) {
    if (!this.trace) return -1;
    const box = event.currentTarget.getBoundingClientRect();
    const { levels } = this.trace.shape;
    return levelScale(box.width, levels).at(event.clientX - box.left);
  }

  setLevel(level) {
    if (level === this.level) return;
    this.level = level;
    this.player.touch();
  }

  submit() {
    if (this.asked === null) return;
    const text = this.find(".pxc-level").value.trim();
    const level = Number(text);
    const last = this.trace.shape.levels - 1;
    if (text === "" || !Number.isInteger(level) || level < 0 || level > last) {
      const what = text === "" ? "This" : text;
      return this.say(`${what} is not a level: it must be a whole number from 0 to ${last}.`, true);
    }
    if (level === this.trace.level[this.asked]) {
      return this.say(`Level ${level} is already there: choose another from 0 to ${last}.`, true);
    }
    this.player.fork(this.asked, level);
  }

  say(text, wrong = false) {
    const message = this.find(".pxc-force-message");
    message.textContent = text;
    message.classList.toggle("pxc-wrong", wrong);
  }

  // `sizes` are those of the two charts.
  show(trace, { selected, pinned, drawn }, sizes, theme) {
    Object.assign(this, { trace, position: selected, drawn });
    const { find } = this;
    this.showForm(trace, pinned, drawn);
    const place = whereIs(trace.shape, Math.max(0, selected));
    const shown = drawn ? selected : -1;
    setText(find(".pxc-title"), `What the model expects at ${place}`);
    find(".pxc-pixel").classList.toggle("pxc-plain", trace.isPlain(Math.max(0, selected)));
    find(".pxc-unpin").hidden = pinned < 0;
    drawDistribution(find(".pxc-distribution"), sizes[0], trace, shown, this.level, theme);
    drawCumulative(find(".pxc-cumulative"), sizes[1], trace, shown, this.level, theme);
    const missing = find(".pxc-not-drawn");
    missing.hidden = drawn;
    setText(missing, selected < 0 ? "Nothing is drawn yet. Press play."
      : `${capital(place)} is not drawn yet.`);
    setText(find(".pxc-readout"), drawn ? readout(trace, selected) : "");
    const rule = ruleText(trace.ruleAt(Math.max(0, selected)));
    setText(find(".pxc-rule"), rule ? `Drawn with ${rule}.` : "");
    setText(find(".pxc-at-level"), drawn && this.level >= 0 ? this.levelText(trace) : "");
  }

  levelText(trace) {
    const { model, rule } = trace.probabilities(this.position);
    return `level ${this.level}: model ${shortProbability(model[this.level])}, `
      + `drawn from ${shortProbability(rule[this.level])}`;
  }

  showForm(trace, pinned, drawn) {
    const open = pinned >= 0 && drawn;
    this.find(".pxc-force-fields").hidden = !open;
    this.find(".pxc-force-hint").hidden = open;
    if (!open) {
      if (this.asked !== null) this.say("");
      this.asked = null;
    } else if (this.asked !== pinned) {
      this.asked = pinned;
      this.find(".pxc-level").max = trace.shape.levels - 1;
      this.find(".pxc-level").value = trace.level[pinned];
      this.say(trace.shape.channels > 1 ? "Click the pixel again for its next channel." : "");
    }
  }
}

// Thumbnails of the courses; a click switches.
export class BranchStrip {
  constructor(element, select) {
    this.element = element;
    this.select = select;
  }

  show(traces, active, position) {
    const buttons = this.element.children;
    this.traces = traces;
    this.element.hidden = traces.length < 2;
    if (this.element.hidden) return;
    while (buttons.length > traces.length) this.element.lastChild.remove();
    while (buttons.length < traces.length) this.add(buttons.length);
    traces.forEach((trace, n) => {
      const current = trace === active;
      buttons[n].setAttribute("aria-pressed", String(current));
      buttons[n].querySelector("b").textContent = trace.text;
      drawThumbnail(buttons[n].querySelector("canvas"), trace, current ? position : trace.have);
      buttons[n].querySelector("small").textContent = current ? "shown now"
        : this.difference(active, trace, position);
    });
  }

  difference(active, trace, position) {
    if (trace.have === 0 || active.shape.images > 1) return "";
    const count = active.differences(trace, position);
    const soFar = position < trace.shape.total ? " so far" : "";
    return `differs in ${count} ${active.shape.unit}${count === 1 ? "" : "s"}${soFar}`;
  }

  add(n) {
    const button = document.createElement("button");
    button.type = "button";
    button.innerHTML = "<canvas width=1 height=1></canvas><span><b></b><small></small></span>";
    button.addEventListener("click", () => this.select(this.traces[n]));
    this.element.append(button);
  }
}

// The library's sampling loop with the line being executed and the values it works on.
export class CodePanel {
  constructor(details) {
    this.details = details;
    this.steps = null;
  }

  // The code is always the same; a message about a sheet has none.
  setCode(code) {
    if (this.steps || !code) return;
    this.steps = code.steps;
    this.rows = code.lines.map((line) => {
      const row = document.createElement("span");
      row.className = "pxc-code-line";
      row.append(line || " ", document.createElement("i"));
      return row;
    });
    this.details.querySelector("pre").replaceChildren(...this.rows);
  }

  // Marks step `mark` (-1: none) and comments on the steps before `reached`.
  show(mark, reached, comments) {
    const texts = this.rows.map(() => []);
    if (comments) {
      this.steps.slice(0, reached).forEach(({ line, what }) => {
        if (comments[what]) texts[line]?.push(comments[what]);
      });
    }
    this.rows.forEach((row, line) => {
      row.classList.toggle("pxc-marked", mark >= 0 && this.steps[mark].line === line);
      const text = texts[line].length ? `# ${texts[line].join(", ")}` : "";
      setText(row.lastChild, text);
    });
  }
}
