"""What each method of completion promises for one drawing, in words. Knows no Streamlit."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from pixelcnn.completion import best_order, is_prefix, late_pixels
from pixelcnn.orders import NUM_ORDERS, ORDER_NAMES

AUTOMATIC, PREFIX, CLAMPING, PARTICLES = "automatic", "prefix", "clamping", "particles"


EXPLANATION = """
**Prefix.** The model draws in a fixed order. If everything known comes before everything unknown,
each completion is an independent draw from the model's distribution, given what is known: exact.

**Particles.** Many pictures grow together. At a known pixel each is weighted by the probability
that it gives to the known level; when few of them carry the weight, they are drawn anew. The
estimate of p(known) is right on average, and the weighted pictures approach the exact answer as
their number grows; with few, the completions vary too little. They grow in clouds that never mix:
the better a cloud explains what is known, the more completions come from it, and how far clouds
differ shows how rough the estimate is. What is known late comes too late to guide them: where a
whole half is late, hardly any picture fits. A model of eight orders then begins at another side.

**Tolerance.** A known level is then read as the picture's own level plus noise of this size
(discretized Laplace). That is another question, answered by particles; the completions still show
your pixels.

**Clamping.** The usual shortcut: known pixels overwrite what is drawn. What comes before them
never hears of them.

**Temperature, top-k and top-p** change the model at unknown pixels only.
"""
"""What the methods do and guarantee, Markdown."""


@dataclass(frozen=True)
class Promise:
    """What a method promises."""

    possible: bool
    """Whether it can complete this drawing."""
    exact: bool
    """Whether completions are exact draws of the model's distribution, given what is known."""
    text: str
    """A sentence or two, Markdown."""


@dataclass(frozen=True)
class Plan:
    """How a drawing would be completed."""

    order: int
    """The raster order that puts the most evidence first."""
    promises: dict[str, Promise]
    """By method."""
    automatic: str
    """The method that is best for this drawing."""
    ignored: NDArray[np.bool_]
    """(H, W), known pixels that clamping ignores in part: unknown ones come before them."""


def plan(
    known: NDArray[np.bool_], num_orders: int, num_particles: int, tolerance: float = 0.0
) -> Plan:
    """Judge the methods for the known pixels (H, W) of a drawing."""
    mask = torch.from_numpy(known.copy())
    order = best_order(mask, num_orders)
    ignored = late_pixels(mask, order).numpy()
    exact = is_prefix(mask, order)
    promises = {
        PREFIX: _prefix(exact, num_orders, tolerance),
        CLAMPING: _clamping(exact, int(ignored.sum()), int(known.sum()), tolerance),
        PARTICLES: _particles(exact and not tolerance, num_particles, tolerance),
    }
    best = PREFIX if exact and not tolerance else PARTICLES
    return Plan(order, promises, best, ignored)


def exact_from_a_side(known: NDArray[np.bool_]) -> bool:
    """Say whether a model of eight orders reads all known pixels (H, W) first in one of them."""
    mask = torch.from_numpy(known.copy())
    return any(is_prefix(mask, order) for order in range(NUM_ORDERS))


def order_text(order: int, num_orders: int) -> str:
    """Say in which order the model draws, and from which sides it could."""
    if num_orders == 1:
        return (
            f"Order: {ORDER_NAMES[order]}, the only one this model knows. So completions are "
            "exact if the known pixels are an upper part of the picture. A model of eight orders "
            "is exact from any side."
        )
    return (
        f"Order: {ORDER_NAMES[order]}, the one of the model's eight that puts the most evidence "
        "first. Completions are exact if the known pixels are a part at the top, the bottom, the "
        "left or the right."
    )


def _prefix(exact: bool, num_orders: int, tolerance: float) -> Promise:
    if not exact:
        orders = "in the model's only order" if num_orders == 1 else "in all eight orders"
        return Promise(
            False, False, f"**Not possible here**: some known pixels come late {orders}."
        )
    unheeded = " The tolerance is not heeded." if tolerance else ""
    return Promise(
        True,
        True,
        "**Exact**: all known pixels come first, so every other pixel is drawn given all of them."
        + unheeded,
    )


def _clamping(exact: bool, late: int, total: int, tolerance: float) -> Promise:
    unheeded = " The tolerance is not heeded." if tolerance else ""
    if exact:
        text = "**Exact here**, the same as *prefix*: nothing known is late."
        return Promise(True, True, text + unheeded)
    return Promise(
        True,
        False,
        "**Wrong in general**: a known pixel is put in place when its turn comes; what was drawn "
        f"before ignored it. So here with {late} of {total} known pixels; while this method is "
        f"chosen the canvas crosses them out.{unheeded}",
    )


def _particles(exact: bool, num_particles: int, tolerance: float) -> Promise:
    if exact:
        return Promise(True, True, "**Exact here**, but slower than *prefix*: nothing is late.")
    within = f", within a tolerance of {tolerance:g} levels" if tolerance else ""
    return Promise(
        True,
        False,
        f"**Approximate**: {num_particles} pictures grow together, weighted by how probable they "
        f"make the known pixels{within}; exact in the limit of many.",
    )
