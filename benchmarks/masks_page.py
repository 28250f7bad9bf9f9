"""How soon does the Masks page answer? Starts the app and a real Chromium.

    python benchmarks/masks_page.py [--model fashion-mnist-gated]

Needs Playwright and a Chromium (requirements-dev.txt, tests/browser/conftest.py). Milliseconds
from a key or click on a control until the page has drawn the answer and rests; the first answer of
a section, which loads and computes, is told apart from the others. Every picture is new.
Then the check of all pairs.
"""

import argparse
import contextlib
import math
import socket
import statistics
import subprocess
import sys
import time
import urllib.request

from playwright.sync_api import TimeoutError, sync_playwright

from tests.browser.conftest import CHROMIUM_ARGUMENTS, ROOT, chromium
from tests.browser.player import settled

WATCH = """() => {
  const app = document.querySelector("[data-testid=stApp]");
  window.begun = window.rested = 0;
  const begin = () => { window.begun = performance.now(); window.rested = 0; };
  for (const kind of ["pointerdown", "keydown"]) document.addEventListener(kind, begin, true);
  let ran = false;
  new MutationObserver((changes) => { // a short run begins and ends before they are told
    const state = app.dataset.testScriptState;
    const states = [state, ...changes.map((change) => change.oldValue)];
    if (states.includes("running") || states.includes("rerunRequested")) ran = true;
    if (state === "notRunning" && ran) {
      ran = false;
      requestAnimationFrame(() => { window.rested = performance.now(); });
    }
  }).observe(app, { attributeFilter: ["data-test-script-state"], attributeOldValue: true });
}"""
ANSWERED = "() => window.rested > window.begun && window.begun > 0 && window.rested - window.begun"
PAUSE = 2000
"""Milliseconds between an answer and the next click, as of somebody who looks at the answer."""
MOVE = ["ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp"]


def board_key(key):
    """Move the mark of a board by an arrow key: one pick."""
    return lambda page, n: page.locator(f".st-key-{key}_stage .pcb-over").last.press(MOVE[n % 4])


def slider(name):
    return lambda page, n: page.get_by_role("slider", name=name).press(
        "ArrowRight" if n % 2 else "ArrowLeft"
    )


def toggle(name):
    return lambda page, n: page.get_by_text(name).click()


def number(name):
    return lambda page, n: page.get_by_label(name, exact=True).press("ArrowUp")


def choice(name):
    """Open a menu, wait until it rests, and choose one of the other entries: that is timed."""

    def choose(page, n):
        menu = page.get_by_role("combobox", name=name, exact=True)
        menu.scroll_into_view_if_needed()
        page.wait_for_timeout(300)  # scrolling closes a menu
        menu.click()
        option = page.get_by_role("option", selected=False).nth(n)
        option.wait_for()
        page.wait_for_timeout(300)
        option.click()

    return choose


another_class = choice("Class")


def one_of(role, *names):
    """Click these in turn; the first of them is not chosen at the beginning."""
    return lambda page, n: page.get_by_role(role, name=names[n % len(names)], exact=True).click()


CONTROLS = [
    ("Masks", "a pixel", board_key("sliding")),
    ("Masks", "a feature", number("Feature")),
    ("Masks", "another picture", number("Seed")),
    ("Masks", "a new seed", one_of("button", "New")),
    ("Masks", "another class", another_class),
    ("Masks", "kernel size", one_of("radio", "3", "9")),
    ("Masks", "dilation", one_of("radio", "8", "4")),
    ("Masks", "layer", choice("Layer")),
    ("Masks", "input", choice("Input")),
    ("Why A then B", "a pixel", board_key("leak")),
    ("Why A then B", "the wrong mask", toggle("Use mask B in the first layer")),
    ("Why A then B", "another picture", number("Seed")),
    ("Why A then B", "a new seed", one_of("button", "New")),
    ("Why A then B", "another class", another_class),
    ("Receptive field", "a pixel", board_key("effective")),
    ("Receptive field", "another picture", number("Seed")),
    ("Receptive field", "a new seed", one_of("button", "New")),
    ("Receptive field", "another class", another_class),
    ("Prove it", "a pixel", board_key("pair")),
    ("Prove it", "another change", slider("Change the level at i by")),
    ("Prove it", "another picture", number("Seed")),
    ("Prove it", "a new seed", one_of("button", "New")),
    ("Prove it", "another class", another_class),
    ("Prove it", "what j can read", toggle("Show what j can read")),
    ("Masks", "another model", choice("Model")),
    ("Why A then B", "another model", choice("Model")),
    ("Receptive field", "another model", choice("Model")),
    ("Prove it", "another model", choice("Model")),
    ("Build your own", "a pixel", board_key("own")),
    ("Build your own", "blocks", slider("Blocks")),
    ("Build your own", "features", slider("Features")),
    ("Build your own", "architecture", one_of("radio", "Gated", "Classic")),
    ("What PixelCNN is", "next and back", one_of("button", "Next", "Back")),
]


def answers(page, act, times):
    milliseconds = []
    for n in range(times):
        page.evaluate("() => { window.begun = window.rested = 0; }")
        act(page, n)
        try:
            milliseconds.append(page.wait_for_function(ANSWERED, timeout=5000).json_value())
        except TimeoutError:
            print("  begin and end of one answer were drawn in one frame: not timed", flush=True)
        page.wait_for_timeout(PAUSE)
    return milliseconds


def check_all_pairs(page):
    page.get_by_role("button", name="Check all pairs").click()
    started = time.perf_counter()
    page.get_by_text("Zero dependence on the future").wait_for(timeout=600_000)
    return time.perf_counter() - started


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="fashion-mnist-gated")
    parser.add_argument("--times", type=int, default=9)
    options = parser.parse_args()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless", "true"]
    server = subprocess.Popen(
        [*command, "--server.port", str(port)], cwd=ROOT, stdout=subprocess.DEVNULL
    )
    address = f"http://127.0.0.1:{port}"
    try:
        while True:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(address + "/_stcore/health", timeout=1)
                break
            time.sleep(0.05)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=chromium(), args=CHROMIUM_ARGUMENTS
            )
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            for section, what, act in CONTROLS:
                page.goto(f"{address}/masks?section={section}&model={options.model}")
                page.locator(".pcb[data-identity]").first.wait_for()
                settled(page)
                page.wait_for_timeout(PAUSE)
                page.evaluate(WATCH)
                first, *others = answers(page, act, options.times) or [math.nan]
                print(
                    f"{section:16} {what:15} first {first:5.0f} ms, then median "
                    f"{statistics.median(others or [math.nan]):4.0f} ms, longest "
                    f"{max(others, default=math.nan):4.0f} ms",
                    flush=True,
                )
            page.goto(f"{address}/masks?section=Prove it&model={options.model}")
            print(f"check of all pairs: {check_all_pairs(page):.1f} s", flush=True)
            browser.close()
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
