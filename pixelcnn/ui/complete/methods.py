"""What each method of completion promises for one drawing, in words. Knows no Streamlit."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from pixelcnn.completion import best_method, best_order, is_prefix, late_pixels
from pixelcnn.models import Evidence, Model
from pixelcnn.orders import NUM_ORDERS, ORDER_NAMES

AUTOMATIC = "automatic"
LEARNED, WEIGHED, PREFIX = "learned", "weighed", "prefix"
CLAMPING, PARTICLES = "clamping", "particles"

METHODS = (AUTOMATIC, LEARNED, PREFIX, WEIGHED, PARTICLES, CLAMPING)
"""What the page offers, in this order."""
PARTICLE_COUNTS = (16, 32, 64, 128, 256)
"""How many particles it offers."""

EXPLANATION = """
**Learned.** An encoder, a network without masks, reads your whole drawing at once: the pixels that
you know, and your strokes as hints. The PixelCNN then draws pixel by pixel and uses all that the
encoder found, also what comes later. How good that is depends on how well the encoder was trained.
With hints, each completion grows as four candidates. Another network, the *twist*, judges every
second row how well each fits your strokes so far, and copies of the better ones take the place of
the others (twisted sequential Monte Carlo).

**Prefix.** The model draws in a fixed order. If everything known comes before everything unknown,
each completion is an independent draw from the model's distribution, given what is known: exact.

**Weighed.** The encoder's drawings, corrected. Many pictures grow together. Each is weighed by how
probable it is without the encoder, and now and then the pictures are drawn again in proportion to
their weights (sequential Monte Carlo). With many pictures this approaches the exact answer. It
takes facts only, no hints.

**Particles.** The same without an encoder. At a known pixel each picture is weighed by the
probability that it gives to the known level. What is known late comes too late to guide the
pictures: if you give the lower half, hardly any picture fits. A model of eight orders then begins
at another side. The pictures grow in groups that never mix; how far the groups differ shows how
rough the estimate of p(known) is.

**Tolerance**, for particles only. It reads a known level as the picture's own level plus noise
from a Laplace distribution of this scale. The completions still show your pixels.

**Clamping.** The usual shortcut: your known pixels overwrite what is drawn. Pixels drawn before
them take no account of them.

**Temperature, top-k and top-p** change the model at unknown pixels only.
"""
"""What the methods do and guarantee, Markdown."""


@dataclass(frozen=True)
class Promise:
    """What a method promises."""

    possible: bool
    """Whether it can complete this drawing."""
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


def plan(model: Model, evidence: Evidence, num_particles: int, tolerance: float) -> Plan:
    """Judge the methods for the evidence of a drawing."""
    known, num_orders = evidence.known[0, 0], model.config.num_orders
    order = best_order(known, num_orders)
    ignored = late_pixels(known, order)
    exact = is_prefix(known, order)
    texts = {
        LEARNED: "**Learned**: the network believes this, given all that you drew.",
        WEIGHED: f"**Weighed**: {num_particles} learned drawings, corrected by their weights. The "
        "more, the closer to exact.",
        PREFIX: "**Exact**: all known pixels come first, so every other pixel is drawn given all "
        "of them.",
        CLAMPING: _clamping(exact, int(ignored.sum()), int(known.sum())),
        PARTICLES: _particles(exact and not tolerance, num_particles, tolerance),
    }
    hindrances = {}
    if not model.reads_evidence:
        hindrances = dict.fromkeys((LEARNED, WEIGHED), "this model has no encoder.")
    if not exact:
        orders = "in the model's only order" if num_orders == 1 else "in all eight orders"
        hindrances[PREFIX] = f"an unknown pixel comes first {orders}."
    if evidence.hints.any():
        why = "your strokes are hints. Turn on *Use my pixels exactly*."
        hindrances = dict.fromkeys(set(texts) - {LEARNED}, why)
    promises = {name: Promise(True, text) for name, text in texts.items()}
    for name, why in hindrances.items():
        promises[name] = Promise(False, f"**Not possible here**: {why}")
    best = best_method(model, known, evidence.hints, order, tolerance)
    return Plan(order, promises, best, ignored.numpy())


def exact_from_a_side(known: NDArray[np.bool_], num_orders: int = NUM_ORDERS) -> bool:
    """Say whether a model of so many orders reads all known pixels (H, W) first in one of them."""
    mask = torch.from_numpy(known)
    return is_prefix(mask, best_order(mask, num_orders))


def order_text(order: int, num_orders: int) -> str:
    """Say in which order the model draws, and from which sides it could."""
    if num_orders == 1:
        return (
            f"Order: {ORDER_NAMES[order]}, the only one this model knows. The method *prefix* "
            "needs the known pixels to be an upper part of the picture; a model of eight orders "
            "takes any side."
        )
    return (
        f"Order: {ORDER_NAMES[order]}, the one of the model's eight that puts the most evidence "
        "first. The method *prefix* works if the known pixels are a part at the top, the bottom, "
        "the left or the right."
    )


def _clamping(exact: bool, late: int, total: int) -> str:
    if exact:
        return "**Exact here**, the same as *prefix*: nothing known comes late."
    return (
        "**Wrong in general**: each known pixel is put in place when its turn comes, and what was "
        f"drawn before ignored it. Here that happens to {late} of {total} known pixels, which the "
        "canvas then crosses out."
    )


def _particles(exact: bool, num_particles: int, tolerance: float) -> str:
    if exact:
        return "**Exact here**, but slower than *prefix*: nothing comes late."
    within = f", within a tolerance of {tolerance:g} levels" if tolerance else ""
    return (
        f"**Approximate**: {num_particles} pictures grow together, weighed by how probable they "
        f"make the known pixels{within}. The more there are, the closer to exact."
    )
