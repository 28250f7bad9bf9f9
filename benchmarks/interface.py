"""How soon is something drawn and completed, and how smoothly? Starts the app and a real Chromium.

    python benchmarks/interface.py [--repeats 3]

Needs Playwright and a Chromium (requirements-dev.txt, tests/browser/conftest.py). Every repeat
starts a fresh server; seconds count from the start of `streamlit run app.py`, those of a slider
from the key that moves it, the picture being finished, those of completions from the click on
"Complete", 16 at once, the lower half being unknown.
"""

import argparse
import contextlib
import socket
import subprocess
import sys
import time
import urllib.request

from playwright.sync_api import sync_playwright

from tests.browser.canvas import gallery
from tests.browser.conftest import CHROMIUM_ARGUMENTS, ROOT, chromium

POSITION = "e => e.__player.position"
# One question that the page asks itself at every frame: questions from here cost round trips, and
# each of them, on two busy cores, a good part of a second.
FIRST_PIXEL = """() => document.querySelector(
    ".st-key-player [data-testid=stBidiComponentIsolated]"
)?.shadowRoot?.querySelector(".pxc")?.__player?.position > 0 && Date.now()"""
COMPLETIONS = """wanted => {
  const sheet = document.querySelector(
    ".st-key-completions-frame [data-testid=stBidiComponentIsolated]"
  )?.shadowRoot?.querySelector(".pxr")?.__completions;
  return sheet?.runData && sheet.position > sheet.runData.head.first
    && (wanted === "first" || sheet.position === sheet.total && sheet.done) && Date.now();
}"""


def measure_slider(page, player):
    """Give the seconds from a new temperature to its first pixel and to the whole picture."""
    element = player.element_handle()
    player.locator(".px-speed").select_option("fastest")
    player.get_by_role("button", name="To the end").click()
    page.wait_for_function("e => e.__player.done", arg=element)
    page.wait_for_timeout(1000)  # the page is at rest
    page.evaluate(
        "document.addEventListener('keydown', () => { window.pressed = Date.now(); }, true)"
    )
    page.get_by_role("slider", name="Temperature").press("ArrowLeft")
    shown = "e => e.__player.trace.name === '0_0.95_0_1' && {} && Date.now()"
    conditions = ("e.__player.position > 0", "e.__player.position === e.__player.total")
    times = [page.wait_for_function(shown.format(c), arg=element).json_value() for c in conditions]
    return [(at - page.evaluate("window.pressed")) / 1000 for at in times]


def measure_completions(page, address):
    page.goto(f"{address}/complete?live=false")
    gallery(page).nth(7).click()
    page.locator(".pxd[data-known='784']").wait_for()
    page.get_by_role("button", name="Lower half").click()
    page.locator(".pxd[data-known='392']").wait_for()
    page.wait_for_timeout(3000)  # what was loaded for the page is at rest
    page.evaluate(
        "document.addEventListener('click', () => { window.clicked = Date.now(); }, true)"
    )
    page.get_by_role("button", name="Complete", exact=True).click()
    shown = {
        name: page.wait_for_function(COMPLETIONS, arg=name).json_value()
        for name in ("first", "all")
    }
    clicked = page.evaluate("window.clicked")
    return {name: (at - clicked) / 1000 for name, at in shown.items()}


def measure(browser):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless", "true"]
    started = time.time()
    server = subprocess.Popen(
        [*command, "--server.port", str(port)], cwd=ROOT, stdout=subprocess.DEVNULL
    )
    try:
        address = f"http://127.0.0.1:{port}"
        while True:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(address + "/_stcore/health", timeout=1)
                break
            time.sleep(0.02)
        seconds = {"server answers": time.time() - started}
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(address)
        page.get_by_role("heading", name="Generate").wait_for()
        seconds["first words"] = time.time() - started
        seconds["first pixel"] = page.wait_for_function(FIRST_PIXEL).json_value() / 1000 - started
        player = page.locator(".pxc[data-position]")
        page.wait_for_function("e => e.__player.position > 60", arg=player.element_handle())
        before, at = player.evaluate(POSITION), time.perf_counter()
        page.wait_for_timeout(5000)
        rate = (player.evaluate(POSITION) - before) / (time.perf_counter() - at)
        slider = measure_slider(page, player)
        completions = measure_completions(page, address)
        page.close()
        return seconds, rate, slider, completions
    finally:
        server.terminate()
        server.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=CHROMIUM_ARGUMENTS)
        for _ in range(options.repeats):
            seconds, rate, slider, completions = measure(browser)
            times = ", ".join(f"{name} {value:.1f} s" for name, value in seconds.items())
            print(
                f"{times}; at the 60 setting {rate:.1f} pixels/s; slider to first pixel "
                f"{slider[0]:.2f} s, to picture {slider[1]:.2f} s; completions: first pixel "
                f"{completions['first']:.1f} s, all {completions['all']:.1f} s",
                flush=True,
            )
        browser.close()


if __name__ == "__main__":
    main()
