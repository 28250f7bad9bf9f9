"""`docs/Caddyfile`: two processes of the app behind one address, each visitor stays with one."""

import shutil
import subprocess

import pytest

from tests.tiny_runs import wait_for

from .conftest import ROOT, free_port, serve, wait_until_healthy
from .player import PLAYER

CADDY = shutil.which("caddy")


@pytest.fixture
def proxy(tmp_path):
    """The address of Caddy before two servers; without its certificates."""
    with serve("app.py") as one, serve("app.py") as two:
        port = free_port()
        text = (ROOT / "docs" / "Caddyfile").read_text()
        for name, here in (
            ("class.example.org", f"http://127.0.0.1:{port}"),
            ("127.0.0.1:8501", one.removeprefix("http://")),
            ("127.0.0.1:8502", two.removeprefix("http://")),
        ):
            assert text.count(name) == 1
            text = text.replace(name, here)
        config = tmp_path / "Caddyfile"
        config.write_text("{\n\tadmin off\n}\n" + text)
        command = [CADDY, "run", "--config", str(config), "--adapter", "caddyfile"]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            address = f"http://127.0.0.1:{port}"
            wait_until_healthy(address, process)
            yield address
            process.terminate()


@pytest.mark.skipif(CADDY is None, reason="needs Caddy in PATH")
def test_every_visitor_stays_with_one_of_two_servers_and_draws_there(browser, proxy):
    held = set()
    for _ in range(6):
        context = browser.new_context()
        page = context.new_page()
        page.goto(proxy)
        page.locator(PLAYER).wait_for()
        wait_for(lambda page=page: page.locator(PLAYER).evaluate("e => e.__player.done"))
        (cookie,) = [c["value"] for c in context.cookies() if c["name"] == "pixelcnn"]
        page.reload()  # the websocket and the files of a session need the same server
        page.locator(PLAYER).wait_for()
        assert [c["value"] for c in context.cookies() if c["name"] == "pixelcnn"] == [cookie]
        held.add(cookie)
        context.close()
    assert len(held) == 2  # chance of the other case: 1 in 32
