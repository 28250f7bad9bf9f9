"""The probability of each class given a drawing, computed beside everything else."""

from collections.abc import Iterator

from pixelcnn.completion import ClassPosterior, iter_class_posterior
from pixelcnn.models import Model
from pixelcnn.ui.shared.sketch import Sketch

PARTICLES = 16
"""Particles for each class, where the posterior is only estimated."""


def iter_posterior(
    model: Model, sketch: Sketch, tolerance: float, seed: int, exactly: bool
) -> Iterator[ClassPosterior]:
    """Compute the posterior of a drawing, class by class; a work for `Jobs`."""
    evidence = sketch.evidence(exactly)
    yield from iter_class_posterior(
        model, *evidence, num_particles=PARTICLES, tolerance=tolerance, seed=seed
    )


def classes_done(posterior: ClassPosterior | None) -> int:
    """Count the classes that are computed; None is before the first."""
    return 0 if posterior is None else int(posterior.progress * len(posterior.log_evidence) + 1e-9)
