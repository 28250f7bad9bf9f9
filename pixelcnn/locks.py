"""Locks that the operating system frees when their holder ends, however it ends."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

HAVE_LOCKS = fcntl is not None
"""Whether this system has such locks; without them there are no runs."""
NO_LOCKS = "Runs need file locks as Linux and macOS have them; on Windows use WSL."


def take_lock(path: Path) -> int | None:
    """Take a lock for as long as the returned file is open; None if another process holds it.

    Raises:
        OSError: if the file cannot be written, or this system has no such locks.
    """
    if not HAVE_LOCKS:
        raise OSError(NO_LOCKS)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    for _ in range(5):
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return handle
        except OSError:
            time.sleep(0.02)  # another process may only have looked, see `is_locked`
    os.close(handle)
    return None


def is_locked(path: Path) -> bool:
    """Say whether a process holds a lock, without waiting for it or taking it away.

    Raises:
        OSError: if this system has no such locks.
    """
    if not HAVE_LOCKS:
        raise OSError(NO_LOCKS)
    try:  # who may only read a run may watch it; a pipe is not waited for
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False


@contextmanager
def one_at_a_time(path: Path) -> Iterator[None]:
    """Wait until no other process is in here with the same file, where there are such locks."""
    if not HAVE_LOCKS:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
