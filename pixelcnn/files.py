"""Files: paths as people write them, bounded reading, writing that is whole or not at all.

Names of files come from outside: they need not be UTF-8, and may name folders, pipes, devices,
links that lead nowhere, or what nobody here may read.
"""

import json
import math
import os
import platform
import re
import secrets
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from pydantic_core import from_json

MAX_JSON_BYTES = 2**20
"""Of one JSON text; deeper than 200 lists within lists none is read."""
HERE = re.sub(r"[^A-Za-z0-9]", "", platform.node())[:40]
LEFTOVER = re.compile(r"\..*\.(?P<machine>\w*)-(?P<pid>[0-9]{1,9})-[0-9a-f]{8}\.part", re.DOTALL)
OLD_SECONDS = 24 * 3600


def as_path(written: str | os.PathLike[str]) -> Path:
    """Make a path of what people write: `~` is their home."""
    return Path(os.path.expanduser(written))


def printable(text: str) -> str:
    """Replace what no screen can show.

    >>> printable(b"caf\\xe9".decode(errors="surrogateescape"))
    'caf�'
    """
    return re.sub("[\ud800-\udfff]", "\ufffd", text)


def names_in(folder: str | os.PathLike[str]) -> list[str]:
    """List what lies in a folder, sorted; nothing if it cannot be read."""
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


@contextmanager
def open_file(path: str | os.PathLike[str], most_bytes: float = math.inf) -> Iterator[BinaryIO]:
    """Open a file to read it, once its kind and its size are known to be in bounds.

    Raises:
        OSError: if it cannot be opened.
        ValueError: if it is no file, or larger than that.
    """

    def patient(name: str, flags: int) -> int:  # but nobody waits for the other end of a pipe
        return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))

    with open(path, "rb", opener=patient) as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode):
            raise ValueError("it is no file")
        if about.st_size > most_bytes:
            raise ValueError(
                f"its {about.st_size:,} bytes are more than the limit of {most_bytes:,}"
            )
        yield file


def read_file(path: str | os.PathLike[str], most_bytes: int = MAX_JSON_BYTES) -> bytes:
    """Read a whole file; raises as `open_file` does."""
    with open_file(path, most_bytes) as file:
        return file.read()


def read_end(path: str | os.PathLike[str], count: int) -> bytes:
    """Read the last bytes of a file, however large; raises as `open_file` does."""
    with open_file(path) as file:
        file.seek(max(os.fstat(file.fileno()).st_size - count, 0))
        return file.read(count)


def read_json(path: str | os.PathLike[str]) -> Any:  # noqa: ANN401 - any JSON value
    """Read a JSON file; raises as `open_file` does, and ValueError if it is no JSON."""
    return from_json(read_file(path))


def json_bytes(values: object, **options: Any) -> bytes:
    """Write JSON that `read_json` reads, whatever the texts in it."""
    return printable(json.dumps(values, ensure_ascii=False, **options)).encode()


def write_atomically(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Replace a file in one step, so that a reader or a crash never meets half of it.

    Links stay, and lead to the new content; a file keeps its mode. A device or a pipe is written
    to. Durable: a moment without power cannot take it back either; costs a wait for the disk.
    """
    try:
        before = os.stat(path)
    except FileNotFoundError:
        before = None
    if before is not None and not stat.S_ISREG(before.st_mode):
        with open(path, "wb") as device:
            device.write(content)
        return
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    with temporary(path) as new:
        with open(new, "xb") as file:
            if before is not None:
                os.chmod(new, stat.S_IMODE(before.st_mode))
            file.write(content)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.replace(new, path)


@contextmanager
def temporary(path: Path) -> Iterator[Path]:
    """Name a file beside another one that is to replace it, or to be gone afterwards."""
    sweep(path.parent)
    mark = f"{HERE}-{os.getpid()}-{secrets.token_hex(4)}"
    new = path.with_name(f".{path.name[:40]}.{mark}.part")
    try:
        yield new
    finally:
        new.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove the temporary files that processes left in a folder when they died."""
    for name in names_in(folder):
        if (match := LEFTOVER.fullmatch(name)) and _is_dead(folder / name, match):
            with suppress(OSError):
                os.unlink(folder / name)


def _is_dead(path: Path, match: re.Match[str]) -> bool:
    with suppress(OSError):
        if os.lstat(path).st_mtime < time.time() - OLD_SECONDS:
            return True
    if match["machine"] != HERE or os.name != "posix":
        return False
    try:
        os.kill(int(match["pid"]), 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass  # it is somebody else's
    return False


def say(text: str) -> None:
    """Print a line; work goes on when nobody listens any more, or the disk of a log is full."""
    with suppress(OSError):
        print(text, flush=True)
    hush()


def hush() -> None:
    """Turn the output off if nobody takes it."""
    try:
        sys.stdout.flush()
    except OSError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - to the end of the program
