"""Runs on disk: one folder each, the whole truth about a run, readable by any process.

    config.json              settings, written first
    about.json               the name and the note that people gave it
    metrics.jsonl            one line per recorded update and evaluation, appended
    status.json              what is going on, replaced as a whole
    training.state           what going on needs, see `pixelcnn.training.state`
    checkpoint.safetensors   the latest weights, best.safetensors those with the best score
    stages/                  checkpoints on the way
    lock                     held by the process that trains the run for as long as it lives
    stop                     there if somebody asks that process to stop
    worker.log               what a process in the background printed

A run is going on exactly if its lock is held. The operating system frees it when the process ends,
however it ends, so a run that crashed is never shown as running.
"""

import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, field, replace
from itertools import count
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired

from pydantic import ConfigDict, Field, TypeAdapter, with_config
from pydantic.dataclasses import dataclass
from typing_extensions import TypedDict  # pydantic needs this one before Python 3.12

from pixelcnn.config import STRICT, Settings, StoredTrainConfig, Text, fault_of, settings
from pixelcnn.files import (
    as_path,
    json_bytes,
    names_in,
    printable,
    read_file,
    read_json,
    sweep,
    write_atomically,
)
from pixelcnn.locks import is_locked, take_lock
from pixelcnn.models import StoredConfig
from pixelcnn.storage import (
    LIBRARY_VERSION,
    RUN_ID,
    RUNS_ENVIRONMENT_VARIABLE,
    list_stages,
    runs_dir,
)
from pixelcnn.training.devices import Device

FORMAT = "pixelcnn-run-1"
OURS = STRICT | ConfigDict(allow_inf_nan=True)
"""How a run's numbers are read back: a score may be infinite."""
Number = Annotated[int, Field(ge=0, le=10**15)]
Amount = Annotated[float, Field(ge=0, le=1e15)]
MAX_WORDS = 10_000
Words = Annotated[str, Field(max_length=MAX_WORDS)]
MAX_METRICS_BYTES = 2**26
MAX_NAME, MAX_NOTE = 80, 2000
RESERVED = ("images", "imported")
"""Folders beside the runs, for data sets and checkpoints that people brought."""
DELETED = ".deleted-"
"""What the names of folders begin with that are on their way out."""
CRASHED = (
    "The process ended without a word: it was killed, ran out of memory, or the machine was "
    "switched off. Resume goes on from the last save."
)


class RunError(Exception):
    """A run is missing, damaged, or in no state for what was asked; says which and why."""


@settings
class RunConfig(Settings):
    """Everything that starts a run."""

    _added_later = {
        "device": "auto", "threads": None, "compiled": False, "data_dir": None, "origin": (),
        "created_at": 0.0, "data_digest": None,
    }  # fmt: skip

    model: StoredConfig
    """Shape of the model."""
    train: StoredTrainConfig
    """How it is trained."""
    device: Device = "auto"
    """See `pixelcnn.training.devices.choose_device`."""
    threads: Annotated[int | None, Field(ge=1, le=4096)] = None
    """CPU threads. They change the last digits of sums, so the process that starts a run writes
    here how many it uses, and one that resumes it uses as many."""
    compiled: bool = False
    """Let torch compile the network first; it changes the last digits of sums too."""
    data_dir: Annotated[str | None, Field(max_length=4096), "be a text in UTF-8"] = None
    """Folder of the data; None: see `pixelcnn.data.datasets.data_dir`."""
    data_digest: Annotated[str | None, Field(max_length=64)] = None
    """Fingerprint of the images it learns, written by the process that first read them."""
    origin: tuple[Text, ...] = ()
    """`--init-from` or `--from-state` and its file, if the run did not begin with random
    weights."""
    created_at: Annotated[float, Field(ge=0, le=1e12)] = field(default_factory=time.time)
    """Seconds since 1970."""

    def __post_init__(self) -> None:
        self.train.check_fits(self.model.num_classes)

    def to_dict(self) -> dict[str, Any]:
        """Return what `config.json` holds."""
        values = {"model": self.model.to_dict(), "train": self.train.to_dict()}
        return {"format": FORMAT, "version": LIBRARY_VERSION} | super().to_dict() | values

    @classmethod
    def from_dict(cls, values: Any) -> "RunConfig":  # noqa: ANN401 - any JSON value
        """Read what `to_dict` wrote; ValueError if it is something else."""
        if not isinstance(values, dict) or values.get("format") != FORMAT:
            raise ValueError("it has another format")
        values = {k: v for k, v in values.items() if k not in ("format", "version")}
        match values.get("origin"):
            case ["--begin-with", *file]:  # its name in earlier versions
                values["origin"] = ["--init-from", *file]
        return super().from_dict(values)


@settings
class About(Settings):
    """What people call a run, and what they note about it."""

    name: Annotated[
        str, Field(min_length=1, max_length=MAX_NAME), f"have 1 to {MAX_NAME} characters"
    ]
    """One line."""
    note: Annotated[str, Field(max_length=MAX_NOTE), f"have {MAX_NOTE} characters at most"] = ""
    """Anything."""


@dataclass(frozen=True, kw_only=True, config=OURS)
class Status:
    """What is going on with a run, at most a second or two old."""

    state: Literal[
        "new", "queued", "starting", "training", "stopping",
        "stopped", "finished", "failed", "crashed",
    ] = "new"  # fmt: skip
    doing: Words = ""
    """What the process is busy with beside training."""
    message: Words = ""
    """What went wrong and what to do about it."""
    pid: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    """Process that trains, or trained, the run."""
    host: Words = ""
    """Machine of this process."""
    queued_at: Amount = 0.0
    """Seconds since 1970; the oldest is next."""
    images_seen: Number = 0
    seconds: Amount = 0.0
    """Time trained, over all parts of the run."""
    seconds_left: Amount | None = None
    """Expected time to the end."""
    images_per_second: Amount = 0.0
    """Mean of the current part of the run."""
    loss: float | None = None
    """Bits/dim of the last batch."""
    validation: float | None = None
    """Bits/dim of the last evaluation."""
    best: float | None = None
    """Lowest bits/dim of all evaluations."""
    memory_bytes: Number = 0
    """Most memory that the process held so far."""
    device: Words = ""
    """Where it computes, and whether in bfloat16."""

    @property
    def is_active(self) -> bool:
        """Whether a living process is at work on the run or waits for its turn."""
        return self.state in ("queued", "starting", "training", "stopping")

    @property
    def can_start(self) -> bool:
        """Whether the run can go on, or begin."""
        return not self.is_active and self.state != "finished"


@with_config(OURS | ConfigDict(extra="ignore"))
class Record(TypedDict):
    """One line of `metrics.jsonl`."""

    images_seen: Number
    seconds: Amount
    step: NotRequired[Number]
    loss: NotRequired[float]
    learning_rate: NotRequired[float]
    grad_norm: NotRequired[float]
    images_per_second: NotRequired[Amount]
    validation: NotRequired[float]
    training_images: NotRequired[Number]
    validation_images: NotRequired[Number]
    png_bits_per_dim: NotRequired[float]


_STATUS = TypeAdapter(Status)
_RECORD = TypeAdapter(Record)


class Run:
    """A run, by its folder, whose name is the `id` and never changes."""

    def __init__(self, path: Path) -> None:
        self.path, self.id = path, path.name
        self.checkpoint = path / "checkpoint.safetensors"
        self.best = path / "best.safetensors"
        self.state_path = path / "training.state"
        self.metrics_path = path / "metrics.jsonl"
        self.log_path = path / "worker.log"
        self.stop_path = path / "stop"
        self.lock_path = path / "lock"
        self._config_path = path / "config.json"
        self._status_path = path / "status.json"
        self._about_path = path / "about.json"

    def stages(self) -> dict[int, Path]:
        """List the checkpoints on the way by images seen."""
        return list_stages(self.checkpoint)

    def config(self) -> RunConfig:
        """Read the settings; `RunError` if they are missing or damaged."""
        try:
            return RunConfig.from_dict(read_json(self._config_path))
        except (OSError, ValueError) as error:
            raise RunError(
                f"{self.id}: its config.json cannot be read ({fault_of(error)})."
            ) from error

    def exists(self) -> bool:
        """Say whether the run is still there."""
        return os.path.lexists(self._config_path)

    def write_config(self, config: RunConfig) -> None:
        """Write the settings."""
        write_atomically(self._config_path, json_bytes(config.to_dict(), indent=1))

    def status(self) -> Status:
        """Read what is going on; the lock says whether a process is alive."""
        # The lock first: a process writes its last status before it ends.
        alive = is_locked(self.lock_path)
        try:
            status = _STATUS.validate_json(read_file(self._status_path))
        except FileNotFoundError:
            return Status()
        except (OSError, ValueError) as error:
            message = f"Its status.json is damaged ({fault_of(error)})."
            return Status(state="crashed", message=message)
        if status.is_active and not alive:
            return replace(status, state="crashed", message=CRASHED, doing="")
        if status.is_active and os.path.lexists(self.stop_path):
            return replace(status, state="stopping")
        return status

    def write_status(self, status: Status) -> None:
        """Replace the status.

        On a full disk it is written over the old one instead, which takes no new room: the screen
        must be able to say that the disk is full.
        """
        content = json_bytes(asdict(status))
        try:
            write_atomically(self._status_path, content, durable=not status.is_active)
        except OSError:
            with open(self._status_path, "r+b") as file:
                file.write(content)
                file.truncate()

    def metrics(self) -> list[Record]:
        """Read the records; a line that is only half written, or damaged, is left out."""
        records = []
        with suppress(OSError, ValueError):
            for line in read_file(self.metrics_path, MAX_METRICS_BYTES).split(b"\n")[:-1]:
                with suppress(ValueError):
                    records.append(_RECORD.validate_json(line))
        return records

    def about(self) -> About:
        """Read the name and the note; the name is the id where none was given."""
        try:
            return About.from_dict(read_json(self._about_path))
        except (OSError, ValueError):
            return About(name=printable(self.id))

    def describe(self, *, name: str | None = None, note: str | None = None) -> None:
        """Change the name or the note; `RunError` if one of them breaks its rule."""
        if not self.exists():
            raise RunError(f"{self.id}: there is no such run any more.")
        before = self.about()
        try:
            about = About(
                name=before.name if name is None else " ".join(name.split()),
                note=before.note if note is None else note.strip(),
            )
        except ValueError as error:
            raise RunError(str(error)) from error
        write_atomically(self._about_path, json_bytes(about.to_dict()))

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Hold the lock, so that no other process trains the run; `RunError` if one does."""
        handle = take_lock(self.lock_path)
        if handle is None:
            pid = self.status().pid
            raise RunError(f"{self.id}: is being trained already, by process {pid}.")
        try:
            yield
        finally:
            os.close(handle)

    def delete(self) -> None:
        """Delete the run and everything in it, for good; `RunError` if it is going on."""
        if not os.path.exists(self.path):  # a link that leads nowhere
            self.path.unlink(missing_ok=True)
            return
        with self.hold():
            # Out of sight in one step: nobody meets half a run.
            gone = self.path.with_name(f"{DELETED}{self.id}-{secrets.token_hex(4)}")
            self.path.rename(gone)
        for name in names_in(self.path.parent):
            if name.startswith(DELETED):  # also what a process that died did not get to
                path = self.path.with_name(name)
                path.unlink() if path.is_symlink() else shutil.rmtree(path, ignore_errors=True)


def create_run(config: RunConfig, path: Path | None = None, *, name: str | None = None) -> Run:
    """Make the folder of a new run; it is not started.

    Without a path it is a new one in the folder of runs, named after `name`, what people call it.

    Raises:
        RunError: if the folder exists, or its name or that of the run breaks a rule.
        OSError: if it cannot be written.
    """
    if path is None:
        plain = re.sub(r"[^a-z0-9]+", "-", (name or "").lower()).strip("-")[:60] or "run"
        paths = (runs_dir() / (plain if n == 1 else f"{plain}-{n}") for n in count(1))
        path = next(p for p in paths if p.name not in RESERVED and not os.path.lexists(p))
    if not re.fullmatch(RUN_ID, path.name):
        raise RunError(
            f"{path.name!r}: the name of a run has 1 to 80 letters, digits, - and _ only."
        )
    if path.name in RESERVED:
        raise RunError(f"{path.name}: no run can be called so; the app keeps other files there.")
    run = Run(path)
    sweep(path)
    with suppress(OSError):  # a folder without settings is no run: its process died at once
        path.rmdir()
    try:
        path.mkdir(parents=True)
    except FileExistsError:
        raise RunError(
            f"{path}: would be overwritten; go on with --resume, delete it, or choose another "
            "name."
        ) from None
    try:
        run.write_config(config)
        if name is not None:
            run.describe(name=name)
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)
        raise
    return run


def why_no_runs() -> str | None:
    """Say why no new run can be kept here; None if one can."""
    folder = runs_dir()
    there = next(p for p in (folder, *folder.absolute().parents) if os.path.exists(p))
    problem = (
        f"Runs cannot be kept in {printable(str(folder))}: it cannot be written. Name another "
        f"folder with the environment variable {RUNS_ENVIRONMENT_VARIABLE}, then start the app "
        "again."
    )
    return None if os.access(there, os.W_OK | os.X_OK) else problem


def run_path(name: str) -> Path:
    """Find the folder of a run: a bare name lies in the folder of runs, else it is a path."""
    return runs_dir() / name if os.path.basename(name) == name else as_path(name)


def list_runs(directory: Path | None = None) -> list[Run]:
    """List the runs of a folder, the newest first; damaged ones, which say what is wrong, last."""
    directory, found = directory or runs_dir(), []
    for name in names_in(directory):
        if re.fullmatch(RUN_ID, name) and name not in RESERVED and _is_run(directory / name):
            run, created_at = Run(directory / name), 0.0
            with suppress(RunError):
                created_at = run.config().created_at
            found.append((created_at, run.id, run))
    return [run for *_, run in sorted(found, reverse=True)]


def _is_run(path: Path) -> bool:
    try:
        os.lstat(path / "config.json")
    except (FileNotFoundError, NotADirectoryError):
        return not os.path.exists(path)  # a link that leads nowhere
    except OSError:
        pass  # it may not be entered, or leads in circles: the run says so
    return True
