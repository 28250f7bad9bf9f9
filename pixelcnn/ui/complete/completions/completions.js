// The controller: what is shown, what plays, what is asked of the server.

const INSET = 8; // half the width of the slider's thumb, as in player.css
const RETRY_MS = 700; // a pull can get lost when a rerun overtakes it; the server answers repeats
const CONTROLS = "input, textarea, select, button, a, summary, [contenteditable], [role=slider],"
  + " [role=application], [role=combobox], [role=listbox], [role=option], [role=dialog], [role=tab]";
const INSTANCES = new WeakMap(); // by parent element, which stays the same for a mount

const remember = (name, value) => {
  try { sessionStorage.setItem(`pixelcnn-completions-${name}`, JSON.stringify(value)); } catch { /* */ }
};
const recall = (name) => {
  try { return JSON.parse(sessionStorage.getItem(`pixelcnn-completions-${name}`)); } catch { return null; }
};

class Completions {
  constructor(parent) {
    this.find = (selector) => parent.querySelector(selector);
    this.root = this.find(".pxr");
    this.root.__completions = this; // for tests
    this.generation = 0;
    this.growth = null;
    this.position = 0; // steps shown
    this.clock = 0; // the position as playing time goes on, with its fraction
    this.goal = null; // a position to reach as soon as its pixels are here
    this.playing = false;
    this.pulledAt = null; // when the unanswered pull was sent
    this.rate = null; // steps per second that the server computes
    this.sort = recall("sort") ?? "drawn";
    this.chosen = null; // {image, pixel}
    this.hovered = -1;
    this.atlas = document.createElement("canvas");
    this.stop = new AbortController();
    this.find(".pxc-speed").value = recall("speed") ?? "400";
    if (!this.find(".pxc-speed").value) this.find(".pxc-speed").value = "400";
    this.find(".pxr-outline").checked = recall("outline") ?? true;
    this.listen();
    this.frame = requestAnimationFrame((now) => this.tick(now));
  }

  get count() { return this.growth?.head.count ?? 0; }
  get total() { return this.growth?.head.steps ?? 0; } // the scan may end before the last pixel
  get done() { return Boolean(this.growth?.head.done); }
  get width() { return this.growth.head.width; }
  get speed() {
    const { value } = this.find(".pxc-speed");
    return value === "fastest" ? Infinity : Number(value);
  }

  touch() { this.dirty = true; }

  // --- messages ---

  accept(view) {
    const growth = new Growth(view);
    const { head } = growth;
    const fresh = head.run !== this.growth?.head.run;
    if (!fresh && head.serial < this.growth.head.serial) return;
    this.pulledAt = null;
    this.growth = growth;
    if (fresh) this.begin(head);
    else if (head.count > this.begun.count) {
      const seconds = (performance.now() - this.begun.at) / 1000;
      this.rate = (head.count - this.begun.count) / seconds;
    }
    this.showPin();
    this.touch();
  }

  begin(head) {
    this.find(".pxr-pin").hidden = !head.class_names.length;
    this.find(".pxr-pin select").replaceChildren(...["not pinned", ...head.class_names].map(
      (name, i) => new Option(name, i - 1)));
    const memory = recall("place");
    const back = memory?.run === head.run; // mounted anew: go on where the visitor left
    this.begun = { at: performance.now(), count: head.count };
    this.rate = null;
    this.chosen = null;
    this.resized = true;
    this.playing = back ? memory.playing : true;
    this.goal = back ? memory.position : null;
    this.moveTo(Math.min(head.first, head.count)); // before that all pixels are known
    if (!back && !head.quiet) this.root.scrollIntoView({ block: "nearest", behavior: "smooth" });
  }

  pullIfNeeded(now) {
    // After the last pixel the server still has to sum up, whether anything plays or not.
    const wanted = this.playing || this.count === this.total
      || (this.goal !== null && this.goal > this.count);
    if (this.done || !wanted || isLeaving()) return;
    if (this.pulledAt !== null && now - this.pulledAt <= RETRY_MS) return;
    this.pulledAt = now;
    ask(this, "pull", { run: this.growth.head.run, serial: this.growth.head.serial });
  }

  // --- playback ---

  moveTo(position) {
    this.position = position;
    this.clock = position;
    this.touch();
  }

  // Goes to a position, or as near as what is here allows and on when more arrives.
  seek(target) {
    const wanted = Math.max(0, Math.min(this.total, Math.round(target)));
    this.moveTo(Math.min(wanted, this.count));
    this.goal = wanted > this.count ? wanted : null;
  }

  step(steps) {
    this.playing = false;
    this.seek((this.goal ?? this.position) + steps);
  }

  toggle() {
    this.playing = !this.playing;
    this.goal = null;
    this.begun = { at: performance.now(), count: this.count }; // a pause is no slow computer
    if (this.playing && this.position >= this.total) this.seek(this.growth.head.first);
    this.touch();
  }

  perform(action) {
    if (!this.growth) return;
    const { width } = this;
    if (action === "play") this.toggle();
    else if (action === "start") {
      this.playing = false;
      this.seek(0);
    } else if (action === "end") this.step(this.total);
    else this.step({ "back": -1, "forward": 1, "row-back": -width, "row-forward": width }[action]);
  }

  advance(seconds) {
    if (this.goal !== null) {
      if (this.count > this.position) this.moveTo(Math.min(this.goal, this.count));
      if (this.position >= this.goal) this.goal = null;
    } else if (this.playing) {
      // Before the first unknown pixel there is nothing to see.
      const from = Math.max(this.clock, this.growth.head.first);
      const clock = Math.min(this.count, from + this.speed * seconds);
      if (Math.floor(clock) !== this.position) this.moveTo(Math.floor(clock));
      this.clock = clock;
    }
    if (this.playing && this.position >= this.total) {
      this.playing = false;
      this.touch();
    }
  }

  tick(now) {
    const seconds = Math.min(0.25, (now - (this.before ?? now)) / 1000); // a hidden tab stands still
    this.before = now;
    if (this.growth) {
      this.advance(seconds);
      this.pullIfNeeded(now);
      if (this.resized || this.ratio !== window.devicePixelRatio) this.lay();
      if (this.dirty) this.draw();
    }
    this.frame = requestAnimationFrame((next) => this.tick(next));
  }

  // --- the visitor ---

  listen() {
    const { signal } = this.stop;
    const on = (selector, event, act) =>
      this.find(selector).addEventListener(event, act, { signal });
    for (const button of this.root.querySelectorAll("[data-do]")) {
      button.addEventListener("click", () => this.perform(button.dataset.do), { signal });
    }
    for (const button of this.root.querySelectorAll("[data-sort]")) {
      button.addEventListener("click", () => {
        this.sort = button.dataset.sort;
        remember("sort", this.sort);
        this.layCells();
        this.touch();
      }, { signal });
    }
    for (const button of this.root.querySelectorAll("[data-act]")) {
      button.addEventListener("click", () => this.setTriggerValue(button.dataset.act,
        { run: this.growth.head.run, ...this.chosen }), { signal });
    }
    on(".pxr-pin select", "change", ({ target }) => this.setTriggerValue("pin", {
      run: this.growth.head.run, ...this.chosen, label: target.value < 0 ? null : +target.value }));
    on(".pxc-scrub", "input", (event) => {
      this.playing = false;
      this.seek(Number(event.target.value));
    });
    on(".pxc-speed", "change", (event) => remember("speed", event.target.value));
    on(".pxr-outline", "change", (event) => {
      remember("outline", event.target.checked);
      this.touch();
    });
    document.addEventListener("keydown", (event) => this.key(event), { signal });
    this.sizes = new ResizeObserver(() => { this.resized = true; });
    this.sizes.observe(this.root);
  }

  key(event) {
    if (!this.growth || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    const path = event.composedPath();
    const inside = path.includes(this.root);
    const target = path[0];
    // Elsewhere on the page the keys belong to the control that has the focus, if any has it.
    if (!inside && target.closest?.(CONTROLS)) return;
    const { key } = event;
    if (key === "Escape" && this.chosen) return this.choose(null);
    if (inside && target.matches("select")) return;
    if (inside && target.matches("input[type=range]") && key !== " ") return; // it scrubs itself
    if (key === " " && inside && target.matches("button, input[type=checkbox]")) return;
    const action = { " ": "play", ArrowLeft: "back", ArrowRight: "forward", ArrowUp: "row-back",
      ArrowDown: "row-forward", Home: "start", End: "end" }[key];
    if (!action || (key === " " && event.repeat)) return;
    event.preventDefault(); // the page would scroll
    this.perform(action);
  }

  showPin() { this.find(".pxr-pin select").value = this.growth.head.pins[this.chosen?.image] ?? -1; }

  choose(chosen) {
    this.chosen = chosen;
    this.showPin();
    this.touch();
  }

  // --- the screen ---

  lay() {
    this.resized = false;
    this.dirty = true;
    this.ratio = window.devicePixelRatio;
    const room = this.root.clientWidth;
    this.layout = sheetLayout(this.growth.shape, room >= 700 ? Math.min(520, room - 190) : room);
    this.mapSize = Math.min(160, Math.floor((room - 24) / 2));
    this.stripWidth = this.find(".pxc-timeline").clientWidth;
    this.layCells();
  }

  // One real button over each picture: pointer, keyboard and screen reader for free.
  layCells() {
    const { layout, growth } = this;
    const order = growth.sorted(this.sort);
    const key = JSON.stringify([growth.head.run, layout.scale, layout.cells, order]);
    if (key === this.cellsKey) return; // new buttons would drop the focus
    this.cellsKey = key;
    this.find(".pxc-cells").replaceChildren(...layout.cells.map(({ x, y }, place) => {
      const button = document.createElement("button");
      const image = order[place];
      button.type = "button";
      button.dataset.image = image;
      button.setAttribute("aria-label", `Completion ${this.nameOf(image)}`);
      Object.assign(button.style, {
        left: `${x}px`, top: `${y}px`, width: `${layout.cellWidth}px`, height: `${layout.cellHeight}px`,
      });
      button.addEventListener("click", (event) => {
        const { width, height, first } = growth.head;
        const box = button.getBoundingClientRect();
        const keyboard = event.detail === 0; // then the first pixel that was not known
        const col = Math.floor(((event.clientX - box.left) / box.width) * width);
        const row = Math.floor(((event.clientY - box.top) / box.height) * height);
        const pixel = keyboard ? growth.scan[first]
          : Math.max(0, Math.min(height - 1, row)) * width + Math.max(0, Math.min(width - 1, col));
        this.choose({ image, pixel });
      });
      for (const event of ["pointerenter", "focus"]) button.addEventListener(event, () => this.hover(image));
      for (const event of ["pointerleave", "blur"]) button.addEventListener(event, () => this.hover(-1));
      return button;
    }));
  }

  nameOf(image) {
    const caption = this.growth.caption(image);
    return caption ? `${image + 1}, ${caption}` : `${image + 1}`;
  }

  hover(image) {
    this.hovered = image;
    this.touch();
  }

  draw() {
    this.dirty = false;
    const { growth, find, position, layout, chosen } = this;
    const { head } = growth;
    this.theme ??= readTheme(this.root);
    const { theme } = this;
    this.root.style.setProperty("--px-on-primary", theme.onPrimary);
    if (this.sort === "likely") this.layCells();
    const order = growth.sorted(this.sort);
    paintSheet(this.atlas, growth, position, order);
    const captions = order.map((image) => growth.caption(image, this.sort));
    drawPictures(find(".pxr-sheet"), this.atlas, { ...layout, captions }, growth, theme);
    const outlined = find(".pxr-outline").checked;
    paintMarks(find(".pxr-overlay"), growth, layout, { position, outlined, chosen, order }, theme);
    paintMaps(find, growth, position, this.mapSize, theme);
    paintScan(find(".pxc-strip"), growth, this.stripWidth, INSET, position, theme);
    for (const button of this.root.querySelectorAll("[data-sort]")) {
      button.setAttribute("aria-pressed", String(button.dataset.sort === this.sort));
    }
    for (const entry of this.root.querySelectorAll(".pxr-particles")) entry.hidden = !head.particles;
    this.words();
    this.drawTransport();
  }

  words() {
    const { growth, find, chosen, position, hovered } = this;
    const { head } = growth;
    setText(find(".pxc-bits"), head.waiting || (hovered >= 0 ? this.hoverText(hovered) : ""));
    setText(find(".pxr-over"), `over ${head.num_images} completions`);
    const step = Math.min(position, head.count) - 1;
    setText(find(".pxr-at"), head.particles && step >= 0
      ? `here: ${growth.ess[step].toFixed(1)} of ${head.particles} effective, `
        + `${growth.ancestors[step]} distinct` : "");
    find(".pxr-actions").hidden = !chosen;
    find(".pxr-hint").hidden = Boolean(chosen);
    if (!chosen) return;
    const { row, col } = placeOf(growth.shape, chosen.pixel);
    setText(find(".pxr-name"), `${this.nameOf(chosen.image)} · row ${row}, column ${col}`);
    for (const one of find(".pxr-actions").querySelectorAll("button, select")) one.disabled = !head.done;
  }

  hoverText(image) {
    const { bits } = this.growth.head;
    return `completion ${this.nameOf(image)}`
      + (bits ? `: ${thousands(bits[image])} bits, −log₂ of the probability of `
        + (this.growth.head.learned ? "what was drawn, as learned" : "the whole picture") : "");
  }

  drawTransport() {
    const { find, position, total, playing, growth } = this;
    const scrub = find(".pxc-scrub");
    if (scrub.max !== String(total)) scrub.max = total;
    scrub.value = position;
    const left = this.rate ? `, ${((total - this.count) / this.rate).toFixed(1)} s left` : "";
    const place = `${position} of ${total} pixels` + (this.done ? ""
      : ` · ${this.count} computed${playing ? left : ", paused"}`);
    setText(find(".pxc-position"), place);
    scrub.ariaValueText = place;
    const play = find(".pxc-play");
    const word = playing ? "Pause" : "Play";
    if (play.ariaLabel !== word) Object.assign(play, { ariaLabel: word, title: `${word} (Space)` });
    Object.assign(this.root.dataset, {
      run: growth.head.run, position, playing, done: this.done, count: this.count,
    });
  }

  retheme() {
    this.theme = null;
    this.touch();
  }

  destroy() {
    if (this.growth) {
      remember("place", { run: this.growth.head.run, position: this.goal ?? this.position,
        playing: this.playing });
    }
    cancelAnimationFrame(this.frame);
    this.sizes.disconnect();
    this.stop.abort();
  }
}

// Streamlit calls this again for every message and theme; the clean-up of a superseded call must
// do nothing, hence the generation.
export default function (component) {
  const { parentElement, data } = component;
  let completions = INSTANCES.get(parentElement);
  if (!completions) INSTANCES.set(parentElement, completions = new Completions(parentElement));
  completions.setTriggerValue = component.setTriggerValue;
  const generation = ++completions.generation;
  if (data) completions.accept(data);
  completions.retheme();
  return () => {
    if (generation !== completions.generation) return;
    completions.destroy();
    INSTANCES.delete(parentElement);
  };
}
