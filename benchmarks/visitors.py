"""What a server carries, without browsers: visitors who watch, and the memory that they leave.

    PYTHONPATH=. python benchmarks/visitors.py load --visitors 1 5 10 20
    PYTHONPATH=. python benchmarks/visitors.py memory --pictures 500 --sessions 50

A visitor here speaks Streamlit's websocket as the browser does: opens the Generate page, asks for
pixels while it holds fewer than 400 more than it shows, shows 60 a second, and begins a new
picture at the end. The server is the app, started here, on a port of its own.
"""

import argparse
import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from streamlit import get_option
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState
from websockets.asyncio.client import connect

from pixelcnn.ui.browser.wire import decode

ROOT = Path(__file__).resolve().parent.parent
PIXELS_PER_SECOND = 60
TO_RUN_AGAIN = ForwardMsg.FINISHED_EARLY_FOR_RERUN
AHEAD = 400
"""Pixels that are fetched before they are shown, as in `player.js`."""


@contextlib.contextmanager
def server() -> Iterator[tuple[int, int]]:
    """Start the app; yields its port and process id."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless", "true"]
    command += ["--server.port", str(port)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        while True:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=1)
                break
            if process.poll() is not None:
                raise SystemExit("The server ended.")
            time.sleep(0.1)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait()


def cpu_seconds(pid: int) -> float:
    """Give the time of the processor that a process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def megabytes(pid: int) -> float:
    """Give the memory that a process holds."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1000 for line in lines if line.startswith("VmRSS"))


class Visitor:
    """One session: what the browser of a visitor would hold and send."""

    def __init__(self) -> None:
        self.header: dict = {}
        self.have = 0
        """Pixels of the picture that are here."""
        self.total = 1
        self.seconds: list[float] = []
        """What each answer took."""
        self.values: dict[str, WidgetState] = {}
        """Of all controls: every message carries them, as the browser's does."""
        self.late = 0.0
        """Seconds in which nothing more could be shown."""

    async def open(self, port: int) -> None:
        address = f"ws://127.0.0.1:{port}/_stcore/stream"
        self.socket = await connect(address, subprotocols=["streamlit"], max_size=None)
        self.player = self.fragment = self.button = ""
        message = BackMsg()
        message.rerun_script.query_string = ""
        await self._send(message)

    async def close(self) -> None:
        await self.socket.close()

    async def ask(self) -> None:
        """Ask for pixels, as the player does."""
        asked = {
            "picture": self.header["picture"], "course": self.header["course"],
            "have": self.have, "rule": self.header["rule"], "open": None,
        }  # fmt: skip
        message = self._message()
        message.rerun_script.fragment_id = self.fragment
        state = message.rerun_script.widget_states.widgets.add()
        state.id = f"$$STREAMLIT_INTERNAL_KEY_{self.player}__events"
        state.json_trigger_value = json.dumps([{"event": "ask", "value": asked}])
        await self._send(message)

    async def new(self) -> None:
        """Press the button New."""
        message = self._message()
        state = message.rerun_script.widget_states.widgets.add()
        state.id, state.trigger_value = self.button, True
        await self._send(message)

    async def finish(self) -> None:
        """Fetch a picture to its end, as fast as it comes."""
        unanswered = 0
        while (before := self.have) < self.total:
            await self.ask()
            unanswered = unanswered + 1 if self.have == before else 0
            if unanswered == 10:
                raise SystemExit("The server does not answer.")

    async def watch(self, until: float) -> None:
        """Show picture after picture."""
        began, shown = time.monotonic(), 0.0
        while (now := time.monotonic()) < until:
            shown += (now - began) * PIXELS_PER_SECOND
            began = now
            if shown > self.have:
                self.late += (shown - self.have) / PIXELS_PER_SECOND
                shown = self.have
            if shown >= self.total:
                await self.new()
                shown, began = 0.0, time.monotonic()
            elif self.have < min(self.total, shown + AHEAD):
                await self.ask()
            else:
                await asyncio.sleep(0.02)

    def _message(self) -> BackMsg:
        message = BackMsg()
        message.rerun_script.widget_states.widgets.extend(self.values.values())
        return message

    async def _send(self, message: BackMsg) -> None:
        """Send, and read until the script has ended; notes how long its picture took to come."""
        started = time.monotonic()
        before = (self.header.get("picture"), self.have)
        came = False
        await self.socket.send(message.SerializeToString())
        while True:
            answer = ForwardMsg()
            answer.ParseFromString(await self.socket.recv())
            kind = answer.WhichOneof("type")
            if kind == "delta" and answer.delta.WhichOneof("type") == "new_element":
                self._read(answer.delta)
                if not came and (self.header.get("picture"), self.have) != before:
                    came = True
                    self.seconds.append(time.monotonic() - started)
            elif kind == "script_finished" and answer.script_finished != TO_RUN_AGAIN:
                return

    def _read(self, delta) -> None:
        element = delta.new_element
        kind = element.WhichOneof("type")
        one = getattr(element, kind)
        if kind == "number_input":
            value = one.value if one.set_value else one.default
            self.values[one.id] = WidgetState(id=one.id, double_value=value)
        elif kind == "slider" and one.options:
            chosen = one.raw_value if one.set_value else [one.options[int(n)] for n in one.default]
            self.values[one.id] = WidgetState(id=one.id, string_array_value={"data": chosen})
        elif kind == "slider":
            value = one.value if one.set_value else one.default
            self.values[one.id] = WidgetState(id=one.id, double_array_value={"data": value})
        elif kind == "selectbox":
            value = one.raw_value if one.set_value else one.options[one.default]
            self.values[one.id] = WidgetState(id=one.id, string_value=value)
        elif kind == "checkbox":
            value = one.value if one.set_value else one.default
            self.values[one.id] = WidgetState(id=one.id, bool_value=value)
        elif kind == "button" and one.label == "New":
            self.button = element.button.id
        elif kind == "bidi_component" and element.bidi_component.bytes:
            header, _ = decode(element.bidi_component.bytes)
            if "course" not in header:
                return
            if header["picture"] != self.header.get("picture"):
                self.have = 0
            self.player, self.fragment = element.bidi_component.id, delta.fragment_id
            self.header, self.total = header, header["total"]
            self.have = max(self.have, header["start"] + header["count"])


async def load(port: int, pid: int, count: int, seconds: float) -> None:
    """Let so many visitors watch, and print what it takes."""
    visitors = [Visitor() for _ in range(count)]
    for visitor in visitors:  # one after the other, as people come
        await visitor.open(port)
        visitor.seconds.clear()
    began, cpu = time.monotonic(), cpu_seconds(pid)
    await asyncio.gather(*(visitor.watch(began + seconds) for visitor in visitors))
    took, cpu = time.monotonic() - began, cpu_seconds(pid) - cpu
    answers = sorted(second for visitor in visitors for second in visitor.seconds)
    late = sum(visitor.late for visitor in visitors) / (count * took)
    middle, most = (answers[min(len(answers) - 1, int(q * len(answers)))] for q in (0.5, 0.95))
    print(
        f"| {count} | {len(answers)} | {1000 * middle:.0f} | {1000 * most:.0f} | "
        f"{cpu / took:.2f} | {late:.1%} |",
        flush=True,
    )
    await asyncio.gather(*(visitor.close() for visitor in visitors))


async def memory(port: int, pid: int, pictures: int, sessions: int) -> None:
    """Draw many pictures in one session, then open and close many; print the memory."""
    visitor = Visitor()
    await visitor.open(port)
    print(f"open: {megabytes(pid):.0f} MB")
    for number in range(1, pictures + 1):
        await visitor.finish()
        await visitor.new()
        if number in (10, 20, 50) or number % 100 == 0 or number == pictures:
            print(f"{number} pictures in one session: {megabytes(pid):.0f} MB", flush=True)
    await visitor.close()
    for again in ("", " again, when those had been forgotten"):
        for number in range(1, sessions + 1):
            guest = Visitor()
            await guest.open(port)
            await guest.finish()
            await guest.close()
            if number in (5, 10) or number % 25 == 0 or number == sessions:
                print(f"{number} sessions{again}: {megabytes(pid):.0f} MB", flush=True)
        await asyncio.sleep(get_option("server.disconnectedSessionTTL") + 5)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("load")
    one.add_argument("--visitors", type=int, nargs="+", default=[1, 5, 10, 20])
    one.add_argument("--seconds", type=float, default=30.0)
    two = commands.add_parser("memory")
    two.add_argument("--pictures", type=int, default=500)
    two.add_argument("--sessions", type=int, default=50)
    options = parser.parse_args()
    with server() as (port, pid):
        if options.command == "memory":
            asyncio.run(memory(port, pid, options.pictures, options.sessions))
            return
        print("| visitors | answers | median, ms | 95 %, ms | cores of the server | waiting |")
        print("|---|---|---|---|---|---|")
        for count in options.visitors:
            asyncio.run(load(port, pid, count, options.seconds))


if __name__ == "__main__":
    main()
