"""A real server and a real Chromium; without one skipped, unless PIXELCNN_REQUIRE_BROWSER."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from pixelcnn.training import launch
from pixelcnn.training.runs import RunError, list_runs

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
HOW = "browser tests need `pip install playwright` and a Chromium, in PATH or named by $CHROMIUM"


def chromium() -> str | None:
    named = os.environ.get("CHROMIUM")
    found = [shutil.which(n) for n in ("chromium", "chromium-browser", "google-chrome", "chrome")]
    return named or next(filter(None, found), None)


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(item.fspath).parent == Path(__file__).parent:
            item.add_marker(pytest.mark.browser)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_healthy(address: str, process: subprocess.Popen) -> None:
    """Wait for a server, or for one behind it; ends if the process does."""
    for _ in range(600):
        with contextlib.suppress(OSError):
            urllib.request.urlopen(address + "/_stcore/health", timeout=1)
            return
        assert process.poll() is None, "the server ended"
        time.sleep(0.1)


@contextlib.contextmanager
def serve(script: str | Path, port: int | None = None) -> Iterator[str]:
    """Start `streamlit run SCRIPT`, nothing cached, and yield its address."""
    port = port or free_port()
    command = [sys.executable, "-m", "streamlit", "run", str(script), "--server.headless", "true"]
    command += ["--server.port", str(port), "--server.address", "127.0.0.1"]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until_healthy(address, process)
        yield address
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()


@pytest.fixture
def no_run_left():
    """End and delete the runs that a test has started; they would slow down every later one."""
    yield
    for run in list_runs():
        with contextlib.suppress(RunError):
            launch.end_by_force(run)
        launch.wait_until_over(run)
        run.delete()


@pytest.fixture(scope="session")
def server():
    """Start the app, and yield its address."""
    with serve("app.py") as address:
        yield address


@pytest.fixture(scope="session")
def browser():
    required = os.environ.get("PIXELCNN_REQUIRE_BROWSER")
    path = chromium()
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        path = None
    if path is None:
        (pytest.fail if required else pytest.skip)(HOW)
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=CHROMIUM_ARGUMENTS)
        yield launched
        launched.close()


@pytest.fixture
def page(browser):
    with opened(browser, 1280, 900) as page:
        yield page


@pytest.fixture(params=["light", "dark"])
def phone(browser, request):
    with opened(browser, 390, 844, has_touch=True, color_scheme=request.param) as page:
        yield page


@contextlib.contextmanager
def opened(browser, width, height, **settings):
    """Yield a page without anything kept; at the end no script of it may have failed."""
    context = browser.new_context(viewport={"width": width, "height": height}, **settings)
    context.set_default_timeout(60_000)
    page = context.new_page()
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert not errors, errors
