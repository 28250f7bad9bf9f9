"""Which class is the drawing? p(class | known pixels), every class being equally likely before."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from pixelcnn.completion.complete import begin_completion
from pixelcnn.completion.known import check_drawings, choose_order, is_prefix
from pixelcnn.completion.lookahead import log_prob_map
from pixelcnn.models import AutoregressiveModel
from pixelcnn.orders import to_raster
from pixelcnn.sampling.cached import one_thread


@dataclass(frozen=True)
class ClassPosterior:
    """What the known pixels of one drawing say about its class."""

    log_evidence: Tensor
    """log p(known | class), float64 (num_classes,), nats."""
    order: int
    """Raster order in which the model read the drawing."""
    is_exact: bool
    """Whether `log_evidence` is exact; if not, particles estimated it, and a picture of them
    that fits by luck can raise it by many nats."""

    @property
    def probabilities(self) -> Tensor:
        """p(class | known), float64 (num_classes,)."""
        return self.log_evidence.softmax(0)


def class_posterior(
    model: AutoregressiveModel,
    levels: Tensor,
    known: Tensor,
    *,
    order: int | None = None,
    num_particles: int = 16,
    tolerance: float = 0.0,
    seed: int = 0,
) -> ClassPosterior:
    """Compute how probable each class is given the known pixels of one drawing.

    Exact if they are a prefix of the order and no tolerance is wanted: one pass of the network for
    each class. Otherwise estimated by particles, see `pixelcnn.completion.particles`.

    Arguments:
        model: a model with classes, in evaluation mode.
        levels: int64 (1, C, H, W), values 0..K-1; only known pixels matter.
        known: bool (1, 1, H, W); all pixels may be known.
        order: raster order; None chooses the one that puts most of the known pixels first.
        num_particles: particles for each class.
        tolerance: see `pixelcnn.completion.complete`.
        seed: 0 or greater; fixes the estimates.

    Raises:
        ValueError: if an argument breaks its rule, or the model has no classes.
    """
    *_, last = iter_class_posterior(
        model, levels, known, order=order, num_particles=num_particles, tolerance=tolerance,
        seed=seed,
    )  # fmt: skip
    return last


def iter_class_posterior(
    model: AutoregressiveModel,
    levels: Tensor,
    known: Tensor,
    *,
    order: int | None = None,
    num_particles: int = 16,
    tolerance: float = 0.0,
    seed: int = 0,
) -> Iterator[ClassPosterior]:
    """Compute the same class by class; classes to come have log evidence -infinity."""
    config = model.config
    levels, known = torch.as_tensor(levels), torch.as_tensor(known)
    model.check_levels(levels)
    if len(levels) != 1:
        raise ValueError(f"`levels` must hold one drawing, not {len(levels)}.")
    check_drawings(levels, known, config, need_unknown=False)
    if config.num_classes == 0:
        raise ValueError("This model was trained without labels: it knows no classes.")
    order = choose_order(known[0], config, order)
    exact = is_prefix(known[0], order) and tolerance == 0
    log_evidence = torch.full((config.num_classes,), -math.inf, dtype=torch.float64)
    for label in range(config.num_classes):
        if exact:
            log_evidence[label] = _exact(model, levels, known[0], label, order)
        else:
            scan = begin_completion(
                model, levels, known, method="particles", label=label, order=order, seed=seed,
                num_particles=num_particles, num_clouds=1, tolerance=tolerance,
            )  # fmt: skip
            with one_thread():
                while not scan.done:
                    scan.step()
            log_evidence[label] = scan.completion().particles[0].log_evidence
        yield ClassPosterior(log_evidence.clone(), order, exact)


def _exact(
    model: AutoregressiveModel, levels: Tensor, known: Tensor, label: int, order: int
) -> Tensor:
    """Sum log p over a prefix; what the unknown pixels hold does not matter."""
    turned, known = to_raster(levels, order), to_raster(known, order)
    log_prob = log_prob_map(model, turned, torch.tensor([label]), torch.tensor([order]))
    return log_prob[0, :, known[0]].sum()
