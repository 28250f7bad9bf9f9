"""The process that trains a run: where the engine's events become files.

It is the same from the command line, from the Train page, and under torchrun, where process 0
alone writes.
"""

import os
import platform
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor, distributed

from pixelcnn.data.datasets import check_fits, load_dataset
from pixelcnn.data.pictures import pictures, png_bytes
from pixelcnn.durations import clock
from pixelcnn.storage import (
    CheckpointInfo,
    save_checkpoint,
    stage_path,
)
from pixelcnn.training.devices import (
    any_process,
    choose_device,
    process_group,
    processes,
    sum_over_processes,
)
from pixelcnn.training.engine import (
    Evaluating,
    Evaluation,
    Event,
    Progress,
    TrainingState,
    train,
)
from pixelcnn.training.estimate import peak_memory_bytes
from pixelcnn.training.faults import explain
from pixelcnn.training.files import load_training_state, save_training_state
from pixelcnn.training.launch import LOCK_ENVIRONMENT_VARIABLE, inherited_lock, take_turn
from pixelcnn.training.metrics import Metrics
from pixelcnn.training.runs import Run, RunConfig, RunError, Status

FIRST_SAVE_SECONDS = 8
"""The first pictures are wanted early."""
SAVE_EVERY_SECONDS = 60
PRINT_EVERY_SECONDS = 5
STATUS_EVERY_SECONDS = 0.7
PNG_IMAGES = 200
"""Validation images that are written as PNG, for comparison."""


class Stopped(Exception):
    """Somebody asked the run to stop."""


def train_run(run: Run, config: RunConfig, *, queue: bool = True) -> Status:
    """Train a run in this process, from its last save if there is one, until its end or a stop.

    Arguments:
        run: a run that no process trains; its folder exists.
        config: its settings.
        queue: wait until no other run of the folder is going on.

    Returns:
        The last status: finished or stopped.

    Raises:
        RunError, DataError, TrainingError, CheckpointError, OSError: if training cannot go on; the
            status of the run then says why and what to do.
    """
    try:
        device = choose_device(config.device)
    except ValueError as error:
        if LOCK_ENVIRONMENT_VARIABLE in os.environ:  # from a page: nobody reads what is printed
            run.write_status(replace(run.status(), state="failed", message=explain(error)))
        raise
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    with process_group(device):
        if processes()[0]:
            _follow(run, config, device)
            return Status()
        with _held(run) as queued_at, _stop_requests() as asked:
            return _Worker(run, config, device, asked, queued_at).work(queue)


def _follow(run: Run, config: RunConfig, device: torch.device) -> None:
    """Do this process's share of the work of process 0, which alone writes."""
    with _stop_requests() as asked:
        splits = _load_data(config)
        state = _load_state(run, config, device)
        if config.compiled:
            state.compile()
        for _ in train(state, config.train, *splits):
            if any_process(asked.is_set(), device):
                return


@contextmanager
def _held(run: Run) -> Iterator[float]:
    """Hold the run's lock; yields since when it waits for its turn."""
    lock = inherited_lock(run)
    if lock is None:
        with run.hold():
            run.stop_path.unlink(missing_ok=True)  # else whoever started this process did so
            yield time.time()
        return
    os.nice(5)  # in the background: the pages come first
    try:
        yield run.status().queued_at
    finally:
        os.close(lock)


class _Worker:
    """What process 0 does: events in, files out."""

    def __init__(
        self,
        run: Run,
        config: RunConfig,
        device: torch.device,
        asked: threading.Event,
        queued_at: float,
    ) -> None:
        self.run, self.config, self.device, self.asked = run, config, device, asked
        self.status = replace(
            run.status(),
            pid=os.getpid(),
            host=platform.node(),
            queued_at=queued_at,
            message="",
            doing="",
            state="starting",
        )
        self.run.write_status(self.status)
        self.written_at = 0.0
        self.finished = False

    def work(self, queue: bool) -> Status:
        turn = None
        try:
            if queue and processes()[1] == 1:
                turn = self._wait_for_turn()
            self._train()
            self._tell("finished" if self.finished else "stopped", seconds_left=None)
        except Stopped:
            self._tell("stopped", seconds_left=None)
        except KeyboardInterrupt:
            self._tell("stopped", message="Ended at once; resume goes on from the last save.")
            raise
        except BaseException as error:
            self._fail(error)
            raise
        finally:
            self.run.stop_path.unlink(missing_ok=True)
            if turn is not None:
                os.close(turn)
        return self.status

    def _tell(self, state: str, **changes: object) -> None:
        """Write a new status.

        Raises:
            RunError: if somebody deleted the folder of the run by hand.
        """
        if not (self.run.path / "config.json").exists():
            raise RunError(f"{self.run.id}: its folder is gone.")
        self.status = replace(self.status, **({"state": state, "doing": ""} | changes))
        self.run.write_status(self.status)
        self.written_at = time.monotonic()

    def _fail(self, error: BaseException) -> None:
        try:
            self._tell("failed", message=explain(error), seconds_left=None)
        except (
            OSError,
            RunError,
        ) as other:  # the lock is free soon, so the run is shown as crashed
            print(f"the status cannot be written: {other}", file=sys.stderr)

    def _is_asked_to_stop(self) -> bool:
        return self.asked.is_set() or self.run.stop_path.exists()

    def _wait_for_turn(self) -> int:
        while (turn := take_turn(self.run, self.status.queued_at)) is None:
            if self.status.state != "queued":
                print("waiting until the runs before this one end (--now does not wait)")
                self._tell("queued")
            if self._is_asked_to_stop():
                raise Stopped
            self.asked.wait(0.5)
        return turn

    def _train(self) -> None:
        run, config = self.run, self.config
        self._tell("starting", doing="Reading the data", device=str(self.device))
        splits = _load_data(config)
        if config.threads is None:
            self.config = config = replace(config, threads=torch.get_num_threads())
            run.write_config(config)
        self._tell("starting", doing="Making the model")
        state = _load_state(run, config, self.device)
        if config.compiled:
            state.compile()
        precision = "bfloat16" if state.bfloat16 else "float32"
        left = max(config.train.total_images - state.images_seen, 0)
        print(
            f"{state.model.num_parameters:,} parameters, {len(splits[0][0]):,} training images, "
            f"{left:,} images to see, on {self.device} in {precision}",
            flush=True,
        )
        with Metrics(run, state, config.train) as metrics:
            if not metrics.has_data:
                (training, _), (validation, _) = splits
                metrics.write_data(len(training), len(validation), _png_bits(validation, state))
            self._tell(
                "training",
                device=f"{self.device}, {precision}",
                images_seen=state.images_seen,
                seconds=metrics.seconds,
                best=metrics.best,
                images_per_second=0.0,
            )
            self._follow_events(state, metrics, splits)
        print(f"wrote {run.checkpoint} and {run.state_path}")
        if not self.finished:
            print("stopped; the same command with --resume goes on")

    def _follow_events(self, state: TrainingState, metrics: Metrics, splits: tuple) -> None:
        config = self.config.train
        scores: dict[str, float] = {}
        if state.images_evaluated == state.images_seen and metrics.validation is not None:
            scores["validation"] = metrics.validation
        saved_step = state.step if self.run.checkpoint.exists() else -1
        save_at = time.monotonic() + (SAVE_EVERY_SECONDS if state.step else FIRST_SAVE_SECONDS)
        print_at = time.monotonic() + PRINT_EVERY_SECONDS

        def save() -> None:
            nonlocal saved_step
            if state.images_evaluated != state.images_seen:
                scores.clear()  # they belong to earlier weights
            save_checkpoint(self.run.checkpoint, state.ema, self._info(state, scores))
            save_training_state(self.run.state_path, state, config)
            saved_step = state.step

        for event in train(state, config, *splits):
            now = time.monotonic()
            metrics.write_event(event)
            if isinstance(event, Evaluation):
                scores["validation"] = event.bits_per_dim
                if event.bits_per_dim <= metrics.best:
                    save_checkpoint(self.run.best, state.ema, self._info(state, scores))
                if event.is_stage:
                    stage = stage_path(self.run.checkpoint, event.images_seen)
                    save_checkpoint(stage, state.ema, self._info(state, scores))
                save()
                self._tell_event(event, metrics)
                print(_line(event, config.validation_images), flush=True)
            elif now > save_at:
                save()
                save_at = time.monotonic() + SAVE_EVERY_SECONDS
            if isinstance(event, Progress):
                self.status = replace(self.status, loss=event.loss)
            if isinstance(event, Progress) and now > print_at:
                print_at = now + PRINT_EVERY_SECONDS
                print(_line(event, config.validation_images), flush=True)
            if now - self.written_at > STATUS_EVERY_SECONDS:
                self._tell_event(event, metrics)
            if any_process(self._is_asked_to_stop(), self.device):
                break
        if state.step > saved_step:
            save()
        self.status = replace(self.status, images_seen=state.images_seen, seconds=metrics.seconds)
        seen, total = state.images_seen, config.total_images
        self.finished = seen >= total and state.images_evaluated == seen

    def _info(self, state: TrainingState, scores: dict[str, float]) -> CheckpointInfo:
        return CheckpointInfo(
            config=state.ema.config,
            dataset=self.config.train.dataset,
            images_seen=state.images_seen,
            bits_per_dim=dict(scores),
        )

    def _tell_event(self, event: Event, metrics: Metrics) -> None:
        changes: dict[str, object] = {
            "images_seen": event.images_seen,
            "seconds": metrics.seconds,
            "memory_bytes": peak_memory_bytes(self.device),
        }
        if isinstance(event, Progress):
            changes |= {
                "loss": event.loss,
                "images_per_second": event.images_per_second,
                "seconds_left": max(event.seconds_left, 0.0),
            }
        elif isinstance(event, Evaluating):
            changes["doing"] = f"Scoring validation images, {event.done:.0%}"
        else:
            changes |= {"validation": event.bits_per_dim, "best": metrics.best}
        self._tell("training", **changes)


def _load_data(config: RunConfig) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    check_fits(config.model, config.train.dataset)
    first_here = int(os.environ.get("LOCAL_RANK", 0)) == 0
    if not first_here:
        distributed.barrier()  # the first process of a machine fetches the files for all of it
    train_split, validation_split = (
        load_dataset(
            config.train.dataset, split, config.data_dir, num_levels=config.model.num_levels
        )
        for split in ("train", "validation")
    )
    if first_here and processes()[1] > 1:
        distributed.barrier()
    return train_split, validation_split


def _load_state(run: Run, config: RunConfig, device: torch.device) -> TrainingState:
    """Go on from the last save, or begin."""
    if run.state_path.exists():
        state, saved = load_training_state(run.state_path, device)
    else:
        state, saved = TrainingState(config.model, config.train, device), config.train
    if config.origin and not run.state_path.exists():
        raise RunError(
            f"{run.id}: the weights that it was to begin with ({' '.join(config.origin)}) are "
            "gone. Delete it and start it anew."
        )
    # A run can be made longer; all else is as it was.
    wanted = replace(config.train, total_images=saved.total_images)
    if state.model.config != config.model or saved != wanted:
        raise RunError(f"{run.id}: its training state has other settings than its config.json.")
    steps = sum_over_processes(torch.tensor(float(state.step), device=device))
    if steps != state.step * processes()[1]:
        raise RunError(
            f"{run.id}: the processes do not find the same training state. The folder of the run "
            "must lie on storage that all machines share."
        )
    return state


def _png_bits(levels: Tensor, state: TrainingState) -> float:
    """Give the mean size of validation images as PNG files, in bits/dim."""
    c = state.model.config
    sizes = [len(png_bytes(p)) for p in pictures(levels[:PNG_IMAGES], c.num_levels)]
    return 8 * sum(sizes) / len(sizes) / c.num_dims


def _line(event: Progress | Evaluation, validation_images: int) -> str:
    if isinstance(event, Evaluation):
        return (
            f"{event.images_seen:>9,} images  validation {event.bits_per_dim:.4f} bits/dim "
            f"(first {validation_images} images)"
        )
    return (
        f"{event.images_seen:>9,} images  {event.loss:.3f} bits/dim  "
        f"{event.images_per_second:.0f} images/s  {clock(event.seconds_left)} left"
    )


@contextmanager
def _stop_requests() -> Iterator[threading.Event]:
    """Turn Ctrl-C and SIGTERM into an event, looked at between two updates: none is cut in half.

    A second Ctrl-C ends the program at once.
    """
    stop = threading.Event()
    before = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, frame: object) -> None:
        stop.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    try:
        for number in before:
            signal.signal(number, note)
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
