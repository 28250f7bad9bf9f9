"""Runs as processes in the background: start, stop, end by force, and whose turn it is."""

import os
import platform
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from pixelcnn.data.datasets import DATA_ENVIRONMENT_VARIABLE
from pixelcnn.files import as_path
from pixelcnn.locks import take_lock
from pixelcnn.storage import CHECKPOINT_DIR, RUNS_ENVIRONMENT_VARIABLE
from pixelcnn.training.runs import Run, RunError, Status, list_runs

LOCK_ENVIRONMENT_VARIABLE = "PIXELCNN_RUN_LOCK"
"""Number of the open file that holds the run's lock, handed down to the new process."""


def start(run: Run, *, queue: bool = True, total_images: int | None = None) -> None:
    """Start, or go on with, a run in a process of its own; returns at once.

    The process outlives this one. It gets the run's lock from here, so there is no moment in which
    the run could be started twice, or look dead.

    With `queue` it waits until no other run of the folder is going on. With `total_images` its
    length is changed, so that a finished run can go on.

    Raises:
        RunError: if it is going on already, or finished.
        OSError: if no process can be started.
    """
    lock = take_lock(run.lock_path)
    if lock is None:
        raise RunError(f"{run.about().name}: is going on already.")
    try:
        status = run.status()
        if status.state == "finished" and (total_images or 0) <= status.images_seen:
            raise RunError(
                f"{run.about().name}: is finished, after {status.images_seen:,} images."
            )
        run.stop_path.unlink(missing_ok=True)
        now = {"state": "starting", "queued_at": time.time(), "pid": 0}
        run.write_status(replace(status, message="", doing="", **now))
        command = ["-m", "pixelcnn", "train", str(run.path.resolve()), "--resume"]
        if total_images is not None:
            command += ["--total-images", str(total_images)]
        try:
            with open(run.log_path, "ab") as log:
                process = subprocess.Popen(
                    [sys.executable, *command, *([] if queue else ["--now"])],
                    cwd=CHECKPOINT_DIR.parent,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,  # Ctrl-C in the server's terminal is not for it
                    pass_fds=[lock],
                    env=environment() | {LOCK_ENVIRONMENT_VARIABLE: str(lock)},
                )
        except OSError as error:
            message = f"No process could be started ({error})."
            run.write_status(replace(status, state="failed", message=message))
            raise
    finally:
        os.close(lock)  # the new process holds it still
    # Somebody has to ask for its exit status, or it stays in the list of processes.
    threading.Thread(target=process.wait, daemon=True).start()


def environment() -> dict[str, str]:
    """Give the environment of a process that works in the folder of the package.

    A relative path would be another one there.
    """
    paths = (DATA_ENVIRONMENT_VARIABLE, RUNS_ENVIRONMENT_VARIABLE)
    given = dict(os.environ)
    places = {name: as_path(given[name]) for name in paths if given.get(name)}
    return given | {name: os.path.abspath(place) for name, place in places.items()}


@contextmanager
def held(run: Run) -> Iterator[float]:
    """Hold the run's lock, that of `start` if it handed one down; yields since when it waits."""
    given = os.environ.pop(LOCK_ENVIRONMENT_VARIABLE, None)
    if given is None:
        with run.hold():
            run.stop_path.unlink(missing_ok=True)  # else `start` did so
            yield time.time()
        return
    lock = int(given)
    if not os.path.samestat(os.fstat(lock), run.lock_path.stat()):
        raise RunError(f"{run.id}: got the lock of another run.")
    os.set_inheritable(lock, False)
    os.nice(5)  # in the background: the pages come first
    try:
        yield run.status().queued_at
    finally:
        os.close(lock)


def stop(run: Run) -> None:
    """Ask a run that is going on to save its state and end, after the current update."""
    _check_active(run)
    run.stop_path.touch()


def end_by_force(run: Run) -> None:
    """Kill the process of a run that is going on; what it did since its last save is lost."""
    status, name = _check_active(run), run.about().name
    if not status.pid:
        raise RunError(f"{name}: its process is only just starting; try again in a moment.")
    if status.host != platform.node():
        raise RunError(f"{name}: is trained on another machine ({status.host}); end it there.")
    # The lock is held, so the process that wrote its number is alive and the number still its own.
    os.kill(status.pid, signal.SIGKILL)


def _check_active(run: Run) -> Status:
    if not (status := run.status()).is_active:
        raise RunError(f"{run.about().name}: is not going on.")
    return status


def wait_until_over(run: Run, seconds: float = 180) -> Status:
    """Wait until a run is not going on any more; returns its status then."""
    until = time.monotonic() + seconds
    while (status := run.status()).is_active:
        if time.monotonic() > until:
            raise RunError(f"{run.id}: is {status.state} after {seconds:g} seconds.")
        time.sleep(0.05)
    return status


def take_turn(run: Run, queued_at: float) -> int | None:
    """Take the turn among the runs of a folder, if no run has it and none waited longer.

    Returns the open file that keeps the turn; None if it is not this run's turn.
    """
    for other in list_runs(run.path.parent):
        status = other.status()
        if other.id != run.id and status.is_active:
            # One that trains need not have waited for its turn.
            trains = status.state in ("training", "stopping")
            if trains or (status.queued_at, other.id) < (queued_at, run.id):
                return None
    return take_lock(run.path.parent / ".turn")
