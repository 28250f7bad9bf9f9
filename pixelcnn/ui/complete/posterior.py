"""The probability of each class given a drawing, computed beside everything else."""

from collections.abc import Iterator

from pixelcnn.completion import ClassPosterior, iter_class_posterior
from pixelcnn.models import Model
from pixelcnn.ui.shared.jobs import JOBS, Visitor
from pixelcnn.ui.shared.sketch import Sketch

PARTICLES = 16
"""Particles for each class, where the posterior is only estimated."""
ANYBODY = Visitor("anybody")
"""Who does not leave."""


class PosteriorJob:
    """Computes `class_posterior` class by class, beside everything else, for one visitor."""

    def __init__(
        self,
        model: Model,
        sketch: Sketch,
        tolerance: float,
        seed: int,
        exactly: bool = True,
        visitor: Visitor = ANYBODY,
    ) -> None:
        self.num_classes = model.config.num_classes
        self.newest: ClassPosterior | None = None
        posteriors = iter_class_posterior(
            model,
            *sketch.evidence(exactly),
            num_particles=PARTICLES,
            tolerance=tolerance,
            seed=seed,
        )
        self._visitor = visitor
        self._job = JOBS.begin(self, lambda: self._steps(posteriors), visitor)

    def _steps(self, posteriors: Iterator[ClassPosterior]) -> Iterator[float]:
        for posterior in posteriors:
            self.newest = posterior
            yield posterior.progress

    @property
    def progress(self) -> float:
        """Share of the work that is done."""
        return 0.0 if self.newest is None else self.newest.progress

    @property
    def classes_done(self) -> int:
        """Classes that are computed."""
        return int(self.progress * self.num_classes + 1e-9)

    @property
    def done(self) -> bool:
        """Whether all classes are computed."""
        return self.progress == 1

    @property
    def running(self) -> bool:
        """Whether it is under way; asking keeps it from being dropped."""
        return self._job.asked_by(self._visitor)

    @property
    def error(self) -> str | None:
        """Why it failed."""
        return None if self._job.error is None else str(self._job.error)

    @property
    def seconds_left(self) -> float | None:
        """Expected seconds to the end; None while nothing can be said."""
        return self._job.seconds_left

    def cancel(self) -> None:
        """Stop at the next row of the picture."""
        self._job.cancel(self._visitor)

    def wait(self, seconds: float) -> None:
        """Return when it is over, or after a time."""
        self._job.wait(seconds)
