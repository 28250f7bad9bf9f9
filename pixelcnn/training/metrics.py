"""The records of a run: losses, rates and scores over images seen, appended line by line.

Which updates are recorded depends on the settings only, so a run that was stopped and resumed has
the same records as an uninterrupted one, times aside.
"""

import json
import time
from typing import Any

from pixelcnn.config import TrainConfig
from pixelcnn.files import write_atomically
from pixelcnn.training.engine import Evaluation, Event, Progress
from pixelcnn.training.runs import Run
from pixelcnn.training.state import TrainingState

MOST_RECORDS = 2000
"""Recorded updates of a whole run, roughly; more than a curve can show."""


class Metrics:
    """Appends to `metrics.jsonl`; knows the time trained and the scores so far.

    What came after the training state was saved happens again: its records are dropped.
    """

    def __init__(self, run: Run, state: TrainingState, config: TrainConfig) -> None:
        records = []
        for record in run.metrics():
            last = state.images_evaluated if "validation" in record else state.images_seen
            if record["images_seen"] <= last:
                records.append(record)
        text = "".join(json.dumps(record) + "\n" for record in records)
        write_atomically(run.metrics_path, text.encode())
        self.every = max(1, config.total_images // config.batch_size // MOST_RECORDS)
        self.has_data = any("png_bits_per_dim" in record for record in records)
        scores = [r["validation"] for r in records if "validation" in r]
        self.validation: float | None = scores[-1] if scores else None
        self.best: float | None = min(scores, default=None)
        self._before = max((r["seconds"] for r in records), default=0.0)
        self._started = time.monotonic()
        # A record reaches the disk, or at least the system, before training goes on.
        self._file = open(run.metrics_path, "a", buffering=1)  # noqa: SIM115 - see `close`

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @property
    def seconds(self) -> float:
        """Time trained, over all parts of the run."""
        return self._before + time.monotonic() - self._started

    def write(self, **values: Any) -> None:
        """Record some numbers, and the time trained."""
        self._file.write(json.dumps(values | {"seconds": round(self.seconds, 2)}) + "\n")

    def write_event(self, event: Event) -> None:
        """Record an evaluation, and an update if it is one of those to be recorded."""
        if isinstance(event, Evaluation):
            self.validation = event.bits_per_dim
            if self.best is None or event.bits_per_dim < self.best:
                self.best = event.bits_per_dim
            self.write(images_seen=event.images_seen, validation=event.bits_per_dim)
        elif isinstance(event, Progress) and event.step % self.every == 0:
            self.write(
                images_seen=event.images_seen,
                step=event.step,
                loss=event.loss,
                learning_rate=event.learning_rate,
                grad_norm=event.grad_norm,
                images_per_second=round(event.images_per_second, 2),
            )
