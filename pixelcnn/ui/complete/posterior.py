"""The probability of each class given a drawing, computed beside everything else."""

from collections.abc import Iterator

from pixelcnn.completion import ClassPosterior, iter_class_posterior
from pixelcnn.models import Model
from pixelcnn.ui.shared.sketch import Sketch
from pixelcnn.ui.shared.work import Work

PARTICLES = 16
"""Particles for each class, where the posterior is only estimated."""
SESSION = "session"
"""The only watcher of a job."""


class PosteriorJob:
    """Computes `class_posterior` class by class in a thread of its own."""

    def __init__(
        self, model: Model, sketch: Sketch, tolerance: float, seed: int, exactly: bool = True
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
        self._work = Work("posterior", self._steps(posteriors), lambda key, result: None)
        self._work.join(SESSION)

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
        """Whether the thread is at work; asking keeps it from being forgotten."""
        return self._work.watched_by(SESSION)

    @property
    def error(self) -> str | None:
        """Why it failed."""
        return None if self._work.error is None else str(self._work.error)

    @property
    def seconds_left(self) -> float | None:
        """Expected seconds to the end; None while nothing can be said."""
        return self._work.seconds_left

    def cancel(self) -> None:
        """Stop at the next row of the picture."""
        self._work.leave(SESSION)

    def wait(self, seconds: float) -> None:
        """Return when the thread has ended, or after a time."""
        self._work.wait(seconds)
