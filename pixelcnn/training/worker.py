"""The process that trains a run: where the engine's events become files.

It is the same from the command line, from the Train page, and under torchrun, where process 0
alone writes.
"""

import errno
import os
import platform
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, distributed

from pixelcnn.data.datasets import DataError, check_fits, digest_of, load_dataset
from pixelcnn.data.pictures import pictures, png_bytes
from pixelcnn.durations import clock
from pixelcnn.evaluation.stored import percent
from pixelcnn.files import say
from pixelcnn.storage import CheckpointError, CheckpointInfo, save_checkpoint, stage_path
from pixelcnn.training.devices import (
    any_process,
    choose_device,
    is_first_process,
    is_parallel,
    process_group,
    processes,
    sum_over_processes,
)
from pixelcnn.training.engine import Evaluating, Evaluation, NotANumberError, Progress, train
from pixelcnn.training.estimate import peak_memory_bytes
from pixelcnn.training.launch import held, take_turn
from pixelcnn.training.metrics import Metrics
from pixelcnn.training.runs import MAX_WORDS, Run, RunConfig, RunError, Status
from pixelcnn.training.state import (
    TrainingError,
    TrainingState,
    load_training_state,
    save_training_state,
)

FIRST_SAVE_SECONDS = 8
"""The first pictures are wanted early."""
SAVE_EVERY_SECONDS = 60
PRINT_EVERY_SECONDS = 5
STATUS_EVERY_SECONDS = 0.7
PNG_IMAGES = 200
"""Validation images that are written as PNG, for comparison."""

Splits = tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]


def train_run(run: Run, config: RunConfig, *, queue: bool = True) -> Status:
    """Train a run in this process, from its last save if there is one, until its end or a stop.

    With `queue` it waits until no other run of the folder is going on. Returns the last status:
    finished or stopped.

    Raises:
        ValueError, RunError, DataError, TrainingError, CheckpointError, OSError: if training
            cannot go on; the status of the run then says why and what to do.
    """
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    if not is_first_process():
        _follow(run, config)
        return Status()
    with held(run) as queued_at, _stop_requests() as asked:
        return _Worker(run, config, asked, queued_at).work(queue)


def _follow(run: Run, config: RunConfig) -> None:
    """Do this process's share of the work of process 0, which alone writes."""
    device = choose_device(config.device)
    with process_group(device), _stop_requests() as asked:
        splits = _load_data(config)
        state = _load_state(run, config, device)
        for _ in train(state, config.train, *splits):
            if any_process(asked.is_set(), device):
                return


class _Worker:
    """What process 0 does: events in, files out."""

    def __init__(
        self, run: Run, config: RunConfig, asked: threading.Event, queued_at: float
    ) -> None:
        self.run, self.config, self.asked = run, config, asked
        me = {"pid": os.getpid(), "host": platform.node(), "queued_at": queued_at, "message": ""}
        self.status = replace(run.status(), **me)
        self._write("starting")

    def work(self, queue: bool) -> Status:
        turn, finished, queue = None, False, queue and not is_parallel()
        try:
            if queue:
                turn = self._wait_for_turn()
            if turn is not None or not queue:
                device = choose_device(self.config.device)
                with process_group(device):
                    finished = self._train(device)
            self._write("finished" if finished else "stopped", seconds_left=None)
        except KeyboardInterrupt:
            self._write("stopped", message="Ended at once; resume goes on from the last save.")
            raise
        except BaseException as error:
            try:
                self._write("failed", message=explain(error)[:MAX_WORDS], seconds_left=None)
            except (OSError, RunError) as other:  # free soon, the lock shows the run as crashed
                say(f"the status cannot be written: {other}")
            raise
        finally:
            self.run.stop_path.unlink(missing_ok=True)
            if turn is not None:
                os.close(turn)
        return self.status

    def _write(self, state: str, **changes: object) -> None:
        """Write a new status."""
        if not self.run.exists():  # deleted by hand
            raise RunError(f"{self.run.id}: its folder is gone.")
        self.status = replace(self.status, **({"state": state, "doing": ""} | changes))
        self.run.write_status(self.status)
        self.written_at = time.monotonic()

    def _is_asked_to_stop(self) -> bool:
        return self.asked.is_set() or self.run.stop_path.exists()

    def _wait_for_turn(self) -> int | None:
        """Give what keeps the turn; None if the run was asked to stop before it was its turn."""
        while (turn := take_turn(self.run, self.status.queued_at)) is None:
            if self.status.state != "queued":
                say("waiting until the runs before this one end (--now does not wait)")
                self._write("queued")
            if self._is_asked_to_stop():
                break
            self.asked.wait(0.5)
        return turn

    def _train(self, device: torch.device) -> bool:
        """Train; returns whether the run is finished."""
        run, config = self.run, self.config
        self._write("starting", doing="Reading the data", device=str(device))
        splits = _load_data(config)
        digest = digest_of(*splits[0], *splits[1])
        if config.data_digest not in (None, digest):
            raise RunError(
                f"{run.id}: the images are not those that it began with. Put them back, or start "
                "a new run."
            )
        threads = config.threads or torch.get_num_threads()
        self.config = config = replace(config, threads=threads, data_digest=digest)
        self._write("starting", doing="Making the model")
        state = _load_state(run, config, device)
        if config != run.config():  # what --resume changes is kept when it is known to work
            run.write_config(config)
        precision = "bfloat16" if state.bfloat16 else "float32"
        left = max(config.train.total_images - state.images_seen, 0)
        say(
            f"{state.model.num_parameters:,} parameters, {len(splits[0][0]):,} training images, "
            f"{left:,} images to see, on {device} in {precision}"
        )
        with closing(Metrics(run, state, config.train)) as metrics:
            if not metrics.has_data:
                (training, _), (validation, _) = splits
                shown = pictures(validation[:PNG_IMAGES], config.model.num_levels)
                png_bits = 8 * sum(len(png_bytes(picture)) for picture in shown)
                metrics.write(
                    images_seen=0,
                    training_images=len(training),
                    validation_images=len(validation),
                    png_bits_per_dim=png_bits / len(shown) / config.model.num_dims,
                )
            self._write(
                "training",
                device=f"{device}, {precision}",
                images_seen=state.images_seen,
                seconds=metrics.seconds,
                best=metrics.best,
                images_per_second=0.0,
            )
            self._follow_events(state, metrics, splits)
        say(f"wrote {run.checkpoint} and {run.state_path}")
        finished = config.train.total_images <= state.images_seen == state.images_evaluated
        if not finished:
            say("stopped; the same command with --resume goes on")
        return finished

    def _follow_events(self, state: TrainingState, metrics: Metrics, splits: Splits) -> None:
        run, config = self.run, self.config.train
        saved_step = state.step if run.checkpoint.exists() else -1
        save_at = time.monotonic() + (SAVE_EVERY_SECONDS if state.step else FIRST_SAVE_SECONDS)
        print_at = time.monotonic() + PRINT_EVERY_SECONDS
        for event in train(state, config, *splits):
            now = time.monotonic()
            metrics.write_event(event)
            changes = {"images_seen": event.images_seen, "seconds": metrics.seconds}
            if isinstance(event, Progress):
                changes |= {"loss": event.loss, "images_per_second": event.images_per_second}
                changes["seconds_left"] = max(event.seconds_left, 0.0)
            elif isinstance(event, Evaluating):
                changes["doing"] = f"Scoring validation images, {percent(event.done, 0)}"
            else:
                changes |= {"validation": event.bits_per_dim, "best": metrics.best}
                if event.bits_per_dim <= metrics.best:
                    self._save_checkpoint(run.best, state, metrics)
                if event.is_stage:
                    stage = stage_path(run.checkpoint, event.images_seen)
                    self._save_checkpoint(stage, state, metrics)
            is_evaluation = isinstance(event, Evaluation)
            if is_evaluation or now > save_at:
                self._save(state, metrics)
                saved_step, save_at = state.step, time.monotonic() + SAVE_EVERY_SECONDS
            if is_evaluation or now > self.written_at + STATUS_EVERY_SECONDS:
                self._write("training", memory_bytes=peak_memory_bytes(state.device), **changes)
            else:
                self.status = replace(self.status, **changes)
            if is_evaluation or (isinstance(event, Progress) and now > print_at):
                print_at = now + PRINT_EVERY_SECONDS
                say(_line(event, config.validation_images))
            if any_process(self._is_asked_to_stop(), state.device):
                break
        if state.step > saved_step:
            self._save(state, metrics)

    def _save(self, state: TrainingState, metrics: Metrics) -> None:
        self._save_checkpoint(self.run.checkpoint, state, metrics)
        save_training_state(self.run.state_path, state, self.config.train)

    def _save_checkpoint(self, path: Path, state: TrainingState, metrics: Metrics) -> None:
        score = metrics.validation
        if state.images_evaluated != state.images_seen:  # it belongs to earlier weights
            score = None
        if state.model.reads_evidence:  # with made-up evidence it is no likelihood of the images
            score = None
        info = CheckpointInfo(
            config=state.ema.config,
            dataset=self.config.train.dataset,
            images_seen=state.images_seen,
            bits_per_dim={} if score is None else {"validation": score},
        )
        save_checkpoint(path, state.ema, info)


def _load_data(config: RunConfig) -> Splits:
    check_fits(config.model, config.train.dataset)
    first_here = int(os.environ.get("LOCAL_RANK", 0)) == 0
    if not first_here:
        distributed.barrier()  # the first process of a machine fetches the files for all of it
    name, levels = config.train.dataset, config.model.num_levels
    train_split, validation_split = (
        load_dataset(name, split, config.data_dir, num_levels=levels)
        for split in ("train", "validation")
    )
    if first_here and processes()[1] > 1:
        distributed.barrier()
    return train_split, validation_split


def _load_state(run: Run, config: RunConfig, device: torch.device) -> TrainingState:
    """Go on from the last save, or begin."""
    if run.state_path.exists():
        state, saved = load_training_state(run.state_path, device)
    elif config.origin:
        raise RunError(
            f"{run.id}: the weights that it was to begin with ({' '.join(config.origin)}) are "
            "gone. Delete it and start it anew."
        )
    else:
        state, saved = TrainingState(config.model, config.train, device), config.train
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
    if config.compiled:
        state.compile()
    return state


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
    """Turn Ctrl-C, SIGTERM and a closed terminal into an event.

    It is looked at between two updates: none is cut in half. A second Ctrl-C ends the program at
    once.
    """
    stop = threading.Event()

    def note(number: int, frame: object) -> None:
        stop.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # as nohup has it
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def explain(error: BaseException) -> str:
    """Say in plain words what ended a run, and what to do."""
    text = str(error) or type(error).__name__
    if lack := explain_lack(error):
        return lack
    match error:
        case OSError(errno=errno.ENOSPC | errno.EDQUOT | errno.EFBIG):
            return (
                f"The disk is full ({text}). What was saved before is whole. Free some space, "
                "then resume."
            )
        case DataError():
            return f"{text} Then resume."
        case NotANumberError():
            return (
                f"{text} The checkpoints before it are kept. Resuming would compute the same "
                "again: start a new run with a lower learning rate."
            )
        case OSError() | RunError() | ValueError() | TrainingError() | CheckpointError():
            return text
    return f"{type(error).__name__}: {text}. The log below has the details."


def explain_lack(error: BaseException) -> str | None:
    """Say that memory or a compiler is missing, and what to do; None if that is not the fault."""
    text = str(error) or type(error).__name__
    words = ("can't allocate memory", "out of memory", "not enough memory")
    runtime = isinstance(error, RuntimeError) and any(w in text.lower() for w in words)
    if runtime or isinstance(error, MemoryError):
        return (
            "There is not enough memory for this. Start a new run with a smaller batch, fewer "
            f"features or fewer blocks, or close other programs and resume. ({text})"
        )
    if type(error).__module__.startswith(("torch._inductor", "torch._dynamo")):
        return (
            f"torch cannot compile the network here; start a new run without --compile. ({text})"
        )
    return None
