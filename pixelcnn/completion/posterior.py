"""Which class is the drawing? p(class | known pixels), every class being equally likely before."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pixelcnn.completion.complete import begin_completion, best_method, default_groups
from pixelcnn.completion.known import as_evidence, choose_order
from pixelcnn.completion.log_prob import iter_log_prob_map
from pixelcnn.models import Evidence, Model
from pixelcnn.orders import to_raster
from pixelcnn.progress import drain
from pixelcnn.sampling.noise import random_stream


@dataclass(frozen=True)
class ClassPosterior:
    """What the known pixels of one drawing say about its class."""

    log_evidence: Tensor
    """log p(known | class), float64 (num_classes,), nats."""
    group_log_evidence: Tensor
    """The same from each group of particles alone, float64 (num_classes, G); G = 1 if exact."""
    order: int
    """Raster order in which the model read the drawing."""
    is_exact: bool
    """Whether `log_evidence` is exact; if not, particles estimated it, and a picture of them
    that fits by luck can raise it by many nats."""
    is_learned: bool = False
    """Whether an encoder told it from all evidence at once, hints too; `log_evidence` is then
    log p(class | evidence)."""
    progress: float = 1.0
    """Share of the work that is done; classes to come have log evidence -infinity."""

    @property
    def probabilities(self) -> Tensor:
        """p(class | known), float64 (num_classes,)."""
        return self.log_evidence.softmax(0)

    def draw(self, num_images: int, seed: int) -> list[int]:
        """Draw the class of each picture independently, and sort them; the seed fixes them."""
        shares = self.probabilities.numpy()
        drawn = random_stream(seed, "classes").choice(
            len(shares), num_images, p=shares / shares.sum()
        )
        return sorted(drawn.tolist())

    @property
    def rivals(self) -> list[int]:
        """Classes of which a group reaches what a group of the most probable class found.

        Empty if exact or learned. If not empty, the most probable class may well be another.
        """
        if self.is_exact or self.is_learned:
            return []
        best = int(self.log_evidence.argmax())
        reach = self.group_log_evidence.max(1).values >= self.group_log_evidence[best].min()
        return [label for label in reach.nonzero().flatten().tolist() if label != best]


def class_posterior(
    model: Model, levels: Tensor, known: Tensor, hints: Tensor | None = None, **settings: Any
) -> ClassPosterior:
    """Compute how probable each class is given the known pixels and hints of one drawing.

    Arguments are those of `iter_class_posterior`.
    """
    *_, last = iter_class_posterior(model, levels, known, hints, **settings)
    return last


def iter_class_posterior(
    model: Model,
    levels: Tensor,
    known: Tensor,
    hints: Tensor | None = None,
    *,
    order: int | None = None,
    num_particles: int = 16,
    tolerance: float = 0.0,
    seed: int = 0,
) -> Iterator[ClassPosterior]:
    """Compute the posterior bit by bit: yields what is found so far, after every row and class.

    Exact if the known pixels are a prefix of the order and neither hints nor a tolerance are
    there: one pass of the network for each class. Otherwise told by the encoder of a model that
    reads evidence, and without one estimated by particles, see `pixelcnn.completion.particles`.

    Arguments:
        model: a model with classes, in evaluation mode.
        levels: int64 (1, C, H, W), values 0..K-1; only known pixels matter.
        known: bool (1, 1, H, W); all pixels may be known.
        hints: bool (1, 1, H, W), see `pixelcnn.completion.complete`; for a model that reads
            evidence.
        order: raster order; None chooses the one that puts most of the known pixels first.
        num_particles: particles for each class.
        tolerance: see `pixelcnn.completion.begin_completion`.
        seed: 0 or greater; fixes the estimates.

    Raises:
        ValueError: if an argument breaks its rule, or the model has no classes.
    """
    config = model.config
    evidence = levels, known, hints = as_evidence(model, levels, known, hints, need_unknown=False)
    if hints.any() and not model.reads_evidence:
        raise ValueError("`hints` need a model that reads evidence; this one has no encoder.")
    if config.num_classes == 0:
        raise ValueError("This model was trained without labels: it knows no classes.")
    order = choose_order(known[0], config, order)
    if hints.any() and tolerance:
        raise ValueError(f"`tolerance` (={tolerance!r}) must be 0 with `hints`.")
    method = best_method(model, known[0], hints, order, tolerance)
    if method == "learned":
        turned = Evidence(*(to_raster(t, order) for t in evidence))
        log_prob = model.class_probabilities(turned)[0].log()
        yield ClassPosterior(log_prob, log_prob[:, None], order, is_exact=False, is_learned=True)
        return
    count, exact = config.num_classes, method == "prefix"
    groups = 1 if exact else default_groups(num_particles)
    by_group = torch.full((count, groups), -math.inf, dtype=torch.float64)

    def found(done: float) -> ClassPosterior:
        mean = by_group.logsumexp(1) - math.log(groups)
        return ClassPosterior(mean, by_group.clone(), order, exact, progress=done / count)

    for label in range(count):
        if exact:
            by_group[label] = _exact(model, levels, known[0], label, order)
        else:
            scan = begin_completion(
                model, levels, known, method="particles", label=label, order=order, seed=seed,
                num_particles=num_particles, num_groups=groups, tolerance=tolerance,
            )  # fmt: skip
            while not scan.done:
                for _ in range(min(config.width, scan.num_steps - scan.position)):
                    scan.step()
                yield found(label + 0.99 * scan.position / scan.num_steps)
            report = scan.completion().particles[0]
            by_group[label] = torch.from_numpy(report.group_log_evidence)
        yield found(label + 1)


def _exact(model: Model, levels: Tensor, known: Tensor, label: int, order: int) -> Tensor:
    """Sum log p over a prefix; what the unknown pixels hold does not matter."""
    turned, known = to_raster(levels, order), to_raster(known, order)
    condition = torch.tensor([label]), torch.tensor([order])
    log_prob = drain(iter_log_prob_map(model, turned, *condition))
    return log_prob[0, :, known[0]].sum()
