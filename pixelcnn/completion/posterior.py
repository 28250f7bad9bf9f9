"""Which class is the drawing? p(class | known pixels), every class being equally likely before."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pixelcnn.completion.complete import begin_completion, default_clouds
from pixelcnn.completion.known import check_drawings, choose_order, is_prefix
from pixelcnn.completion.log_prob import log_prob_map
from pixelcnn.models import Model
from pixelcnn.orders import to_raster


@dataclass(frozen=True)
class ClassPosterior:
    """What the known pixels of one drawing say about its class."""

    log_evidence: Tensor
    """log p(known | class), float64 (num_classes,), nats."""
    cloud_log_evidence: Tensor
    """The same from each cloud of particles alone, float64 (num_classes, G); G = 1 if exact."""
    order: int
    """Raster order in which the model read the drawing."""
    is_exact: bool
    """Whether `log_evidence` is exact; if not, particles estimated it, and a picture of them
    that fits by luck can raise it by many nats."""
    progress: float = 1.0
    """Share of the work that is done; classes to come have log evidence -infinity."""

    @property
    def probabilities(self) -> Tensor:
        """p(class | known), float64 (num_classes,)."""
        return self.log_evidence.softmax(0)

    @property
    def rivals(self) -> list[int]:
        """Classes of which a cloud reaches what a cloud of the most probable class found.

        Empty if exact. If not empty, the most probable class may well be another.
        """
        if self.is_exact:
            return []
        best = int(self.log_evidence.argmax())
        reach = self.cloud_log_evidence.max(1).values >= self.cloud_log_evidence[best].min()
        return [label for label in reach.nonzero().flatten().tolist() if label != best]


def class_posterior(
    model: Model, levels: Tensor, known: Tensor, **settings: Any
) -> ClassPosterior:
    """Compute how probable each class is given the known pixels of one drawing.

    Arguments are those of `iter_class_posterior`.
    """
    *_, last = iter_class_posterior(model, levels, known, **settings)
    return last


def iter_class_posterior(
    model: Model,
    levels: Tensor,
    known: Tensor,
    *,
    order: int | None = None,
    num_particles: int = 16,
    tolerance: float = 0.0,
    seed: int = 0,
) -> Iterator[ClassPosterior]:
    """Compute the posterior bit by bit: yields what is found so far, after every row and class.

    Exact if the known pixels are a prefix of the order and no tolerance is wanted: one pass of the
    network for each class. Otherwise estimated by particles, see `pixelcnn.completion.particles`.

    Arguments:
        model: a model with classes, in evaluation mode.
        levels: int64 (1, C, H, W), values 0..K-1; only known pixels matter.
        known: bool (1, 1, H, W); all pixels may be known.
        order: raster order; None chooses the one that puts most of the known pixels first.
        num_particles: particles for each class.
        tolerance: see `pixelcnn.completion.begin_completion`.
        seed: 0 or greater; fixes the estimates.

    Raises:
        ValueError: if an argument breaks its rule, or the model has no classes.
    """
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
    count = config.num_classes
    clouds = 1 if exact else default_clouds(num_particles)
    by_cloud = torch.full((count, clouds), -math.inf, dtype=torch.float64)

    def found(done: float) -> ClassPosterior:
        mean = by_cloud.logsumexp(1) - math.log(clouds)
        return ClassPosterior(mean, by_cloud.clone(), order, exact, done / count)

    for label in range(count):
        if exact:
            by_cloud[label] = _exact(model, levels, known[0], label, order)
        else:
            scan = begin_completion(
                model, levels, known, method="particles", label=label, order=order, seed=seed,
                num_particles=num_particles, num_clouds=clouds, tolerance=tolerance,
            )  # fmt: skip
            while not scan.done:
                for _ in range(min(config.width, scan.num_steps - scan.position)):
                    scan.step()
                yield found(label + 0.99 * scan.position / scan.num_steps)
            report = scan.completion().particles[0]
            by_cloud[label] = torch.from_numpy(report.cloud_log_evidence)
        yield found(label + 1)


def _exact(model: Model, levels: Tensor, known: Tensor, label: int, order: int) -> Tensor:
    """Sum log p over a prefix; what the unknown pixels hold does not matter."""
    turned, known = to_raster(levels, order), to_raster(known, order)
    log_prob = log_prob_map(model, turned, torch.tensor([label]), torch.tensor([order]))
    return log_prob[0, :, known[0]].sum()
