"""One function for all ways to complete pictures, and the same as a scan to watch."""

import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, get_args

from torch import Tensor

from pixelcnn.completion.guided import GuidedScan
from pixelcnn.completion.known import as_evidence, choose_order, is_prefix, require_prefix
from pixelcnn.completion.particles import ParticleScan
from pixelcnn.completion.result import Completion, Method
from pixelcnn.completion.scan import Scan
from pixelcnn.config import SamplingRule
from pixelcnn.models import Evidence, Model
from pixelcnn.orders import to_raster
from pixelcnn.sampling import label_tensor, make_noise


def complete(
    model: Model,
    levels: Tensor,
    known: Tensor,
    hints: Tensor | None = None,
    *,
    label: int | Sequence[int] | Tensor | None = None,
    **settings: Any,
) -> Completion:
    """Complete drawings; the same arguments give the same pictures.

    A drawing's completions do not depend on the other drawings, and without particles completion
    i is the same in any number of them; in float32 up to rounding, see `sample`.

    Arguments:
        model: a model in evaluation mode.
        levels: int64 (B, C, H, W), values 0..K-1, B drawings; only known pixels and hints matter.
        known: bool (B, 1, H, W), True where a pixel is a fact, which stays as it is; not all of
            any drawing.
        hints: bool (B, 1, H, W), True where somebody drew what the picture is to be like about
            there; disjoint from `known`. None for no hints. Every drawing needs known pixels or
            hints.
        label: one class for all drawings, B classes, or None for any class.
        settings: see `begin_completion`.

    Raises:
        NotAPrefixError: if `method` is "prefix" and known pixels come after unknown ones.
        ValueError: if an argument breaks its rule.
    """
    evidence = as_evidence(model, levels, known, hints, only_one=False)
    labels = label_tensor(label, len(levels))
    if labels is not None and labels.shape != (len(levels),):
        raise ValueError(f"`label` (={label}) must be one class, or {len(levels)} of them.")
    parts = []
    for i in range(len(levels)):
        its_label = None if labels is None else int(labels[i])
        drawing = (t[i : i + 1] for t in evidence)
        scan = begin_completion(model, *drawing, label=its_label, **settings)
        while not scan.done:
            scan.step()
        parts.append(scan.completion())
    return Completion.join(parts)


def begin_completion(
    model: Model,
    levels: Tensor,
    known: Tensor,
    hints: Tensor | None = None,
    *,
    method: Method | None = None,
    num_images: int = 1,
    seed: int = 0,
    rule: SamplingRule | None = None,
    label: int | Sequence[int] | None = None,
    order: int | None = None,
    first_image: int = 0,
    num_particles: int = 64,
    num_groups: int | None = None,
    tolerance: float = 0.0,
) -> Scan:
    """Begin to complete one drawing, to watch it grow and to stop when one likes.

        scan = begin_completion(model, levels, known, num_images=4)
        while not scan.done:
            scan.step()
            show(scan.levels, scan.position / scan.num_steps)
        completion = scan.completion()

    Arguments:
        model: a model in evaluation mode.
        levels: int64 (1, C, H, W), values 0..K-1.
        known: bool (1, 1, H, W).
        hints: bool (1, 1, H, W), see `complete`; only a model that reads evidence takes any, and
            only with the method "learned".
        method: see `pixelcnn.completion`; None is "prefix" where it is exact, else "learned" if
            the model reads evidence, else "particles".
        num_images: n, completions of the drawing, at least 1.
        seed: 0 to 2**53 - 1.
        rule: temperature, top-k and top-p for unknown pixels; None is the model itself. Weights
            take the model's own probabilities of known pixels.
        label: class, or None for any class; without particles also one class per completion.
        order: raster order, see `pixelcnn.orders.ORDER_NAMES`; None chooses the one that puts most
            of the known pixels first.
        first_image: index of the first completion; 0 with particles, weighed ones too.
        num_particles: particles, at least 1.
        num_groups: groups that the particles are split into, a divisor of `num_particles`. Groups
            never exchange particles, and completions come from them in proportion to their
            evidence: how far they differ shows how rough the estimates are. None is at most as
            many as each has particles.
        tolerance: scale, in levels, of the Laplace noise that may lie between known pixels and the
            picture the model has in mind; 0 demands equality. Only for particles.

    Returns:
        A scan that has not begun.

    Raises:
        NotAPrefixError: if `method` is "prefix" and known pixels come after unknown ones.
        ValueError: if an argument breaks its rule.
    """
    config = model.config
    evidence = levels, known, hints = as_evidence(model, levels, known, hints)
    if model.training:
        raise ValueError("`model` must be in evaluation mode: call model.eval() first.")
    _require("num_images", num_images, 1)
    order = choose_order(known[0], config, order)
    if method is None:
        method = best_method(model, known[0], hints, order, tolerance)
    if method not in get_args(Method):
        *most, last = map(repr, get_args(Method))
        raise ValueError(f"`method` (={method!r}) must be {', '.join(most)} or {last}.")
    if hints.any() and method != "learned":
        raise ValueError(f"`hints` need the method 'learned', not {method!r}: they are no facts.")
    told = model
    if method in ("learned", "weighed"):
        if not model.reads_evidence:
            raise ValueError(
                f"`method` (={method!r}) needs a model that reads evidence; this one, "
                f"{config.architecture!r}, has no encoder."
            )
        turned = Evidence(*(to_raster(t, order) for t in evidence))
        told = model.given(turned)
    rule = rule or SamplingRule()
    settings = {"method": method, "order": order, "rule": rule, "label": label}
    if method != "particles" and tolerance != 0:
        raise ValueError(f"`tolerance` (={tolerance!r}) must be 0 unless `method` is 'particles'.")
    if method in ("particles", "weighed"):
        num_groups = _check_particles(num_particles, num_groups)
        _require("tolerance", tolerance, 0, config.num_levels - 1, whole=False)
        if first_image != 0:
            raise ValueError(
                f"`first_image` (={first_image!r}) must be 0 with particles: their pictures "
                "depend on each other."
            )
        noise = make_noise(config, num_images=num_particles, seed=seed, stream="completions")
        return ParticleScan(
            model, levels[0], known[0], noise=noise, num_images=num_images,
            num_groups=num_groups, tolerance=float(tolerance), seed=seed,
            proposal=told if method == "weighed" else None, **settings,
        )  # fmt: skip
    if method == "prefix":
        require_prefix(known[0], order, config.num_orders)
    if hints.any() and model.judges_hints:
        return GuidedScan(
            told, levels[0], known[0], evidence=turned, num_images=num_images, seed=seed,
            first_image=first_image, **settings,
        )  # fmt: skip
    noise = make_noise(
        config, num_images=num_images, seed=seed, first_image=first_image, stream="completions"
    )
    reference = None if hints.any() or rule != SamplingRule() else model
    return Scan(told, levels[0], known[0], noise=noise, reference=reference, **settings)


def best_method(
    model: Model, known: Tensor, hints: Tensor, order: int, tolerance: float = 0.0
) -> Method:
    """Choose how to complete: exactly where it is possible, else as the model can.

    Arguments:
        model: draws the unknown pixels.
        known: bool (1, H, W) or (H, W), of one drawing.
        hints: bool, of the same drawing.
        order: raster order in which it is completed.
        tolerance: see `begin_completion`.
    """
    exact = is_prefix(known, order) and not tolerance
    if hints.any() or (model.reads_evidence and not exact and not tolerance):
        return "learned"
    return "prefix" if exact else "particles"


def default_groups(num_particles: int) -> int:
    """Choose a number of groups: at most as many as each has particles."""
    return max(n for n in range(1, math.isqrt(num_particles) + 1) if num_particles % n == 0)


def _check_particles(num_particles: int, num_groups: int | None) -> int:
    """Check the numbers, and choose the number of groups if it is None."""
    _require("num_particles", num_particles, 1)
    if num_groups is None:
        return default_groups(num_particles)
    _require("num_groups", num_groups, 1)
    if num_particles % num_groups:
        raise ValueError(
            f"`num_groups` (={num_groups}) must divide `num_particles` (={num_particles})."
        )
    return num_groups


def _require(
    name: str, value: float, low: int, high: int | None = None, *, whole: bool = True
) -> None:
    """Check a number; those of numpy are numbers too."""
    valid = isinstance(value, Integral if whole else Real) and not isinstance(value, bool)
    if not valid or not low <= value or (high is not None and not value <= high):
        kind = "an integer" if whole else "a number"
        rule = f"of at least {low}" if high is None else f"from {low} to {high}"
        raise ValueError(f"`{name}` (={value!r}) must be {kind} {rule}.")
