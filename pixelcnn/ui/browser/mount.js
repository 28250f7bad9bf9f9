// One life cycle for all components. Streamlit calls a script's default export again for every
// message and theme, with the same element, and runs the clean-up of each superseded call: before
// the call that supersedes it, where both wait for the script. At the end it takes the element away
// first.

import { readTheme } from "./paint.js";
import { decode } from "./wire.js";

// Makes the default export; the `Kind` of component is made once for each mount.
export function mount(selector, Kind) {
  const mounted = new WeakMap(); // by parent element, which stays the same for a mount
  return ({ parentElement, data, setTriggerValue, setStateValue }) => {
    let component = mounted.get(parentElement);
    if (!component) {
      component = new Kind(parentElement.querySelector(selector));
      mounted.set(parentElement, component);
      component.root[`__${Kind.name.toLowerCase()}`] = component; // for tests
    }
    const generation = (component.generation ?? 0) + 1;
    Object.assign(component, { generation, setTriggerValue, setStateValue, dirty: true });
    component.theme = component.readTheme();
    component.root.style.setProperty("--px-on-primary", component.theme.onPrimary);
    if (data) component.accept(decode(data));
    return () => {
      if (generation !== component.generation || component.root.isConnected) return;
      component.destroy();
      mounted.delete(parentElement);
    };
  };
}

// What all components have: listeners that end with them, sizes, one drawing for each frame.
// A subclass has `accept`, `draw`, and where it needs them `lay` and `advance`.
export class Component {
  constructor(root) {
    this.root = root;
    this.isReady = false; // whether there is anything to draw
    this.dirty = this.resized = true;
    this.hovered = -1; // what is under the pointer, by number
    this.stop = new AbortController();
    this.sizes = new ResizeObserver(() => { this.resized = true; });
    this.sizes.observe(root);
    this.request = requestAnimationFrame((now) => this.tick(now));
  }

  find = (selector) => this.root.querySelector(selector);

  all = (selector) => [...this.root.querySelectorAll(selector)];

  // `targets` is an element or a selector of one or more.
  on(targets, event, act) {
    for (const target of typeof targets === "string" ? this.all(targets) : [targets]) {
      target.addEventListener(event, act, { signal: this.stop.signal });
    }
  }

  readTheme() { return readTheme(this.root); }

  touch() { this.dirty = true; }

  hover(number) {
    if (number === this.hovered) return;
    this.hovered = number;
    this.touch();
  }

  tick(now) {
    const seconds = Math.min(0.25, (now - (this.before ?? now)) / 1000); // a hidden tab stands still
    this.before = now;
    if (this.isReady) {
      this.advance(seconds, now);
      const changed = this.resized || this.ratio !== window.devicePixelRatio;
      if (changed && this.root.clientWidth > 0) { // not before there is room for it
        this.resized = false;
        this.dirty = true;
        this.ratio = window.devicePixelRatio;
        this.lay();
      }
      if (this.dirty && !this.resized) {
        this.dirty = false;
        this.draw(now);
      }
    }
    this.request = requestAnimationFrame((next) => this.tick(next));
  }

  advance() {}

  // Sizes, read only when they may have changed: reading them makes the browser lay out the page.
  lay() {}

  // Marks which of some joined buttons, `[data-kind]`, is pressed.
  press(kind, value) {
    for (const button of this.all(`[data-${kind}]`)) {
      button.ariaPressed = String(button.dataset[kind] === String(value));
    }
  }

  // Settings of this browser tab; a browser that forbids storage just forgets them.
  remember(name, value) {
    try { sessionStorage.setItem(this.keyOf(name), JSON.stringify(value)); } catch { /* */ }
  }

  recall(name) {
    try { return JSON.parse(sessionStorage.getItem(this.keyOf(name))); } catch { return null; }
  }

  keyOf(name) { return `pixelcnn-${this.constructor.name.toLowerCase()}-${name}`; }

  destroy() {
    cancelAnimationFrame(this.request);
    this.sizes.disconnect();
    this.stop.abort();
  }
}
