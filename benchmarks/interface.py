"""How soon is something drawn, and how smoothly? Starts the app and a real Chromium.

    python benchmarks/interface.py [--repeats 3]

Needs Playwright and a Chromium (requirements-dev.txt, tests/browser/conftest.py). Every repeat
starts a fresh server; seconds count from the start of `streamlit run app.py`.
"""

import argparse
import contextlib
import socket
import subprocess
import sys
import time
import urllib.request

from playwright.sync_api import sync_playwright

from tests.browser.conftest import CHROMIUM_ARGUMENTS, ROOT, chromium

POSITION = "e => e.__player.position"


def measure(browser):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless", "true"]
    started = time.perf_counter()
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
        seconds = {"server answers": time.perf_counter() - started}
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(address)
        page.get_by_text("A neural network draws").wait_for()
        seconds["first words"] = time.perf_counter() - started
        player = page.locator(".pxc[data-position]")
        player.wait_for()
        handle = player.element_handle()
        page.wait_for_function("e => e.__player.position > 0", arg=handle, polling=20)
        seconds["first pixel"] = time.perf_counter() - started
        page.wait_for_function("e => e.__player.position > 60", arg=handle)
        before, at = player.evaluate(POSITION), time.perf_counter()
        page.wait_for_timeout(5000)
        rate = (player.evaluate(POSITION) - before) / (time.perf_counter() - at)
        page.close()
        return seconds, rate
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
            seconds, rate = measure(browser)
            times = ", ".join(f"{name} {value:.1f} s" for name, value in seconds.items())
            print(f"{times}; at the 60 setting {rate:.1f} pixels/s", flush=True)
        browser.close()


if __name__ == "__main__":
    main()
