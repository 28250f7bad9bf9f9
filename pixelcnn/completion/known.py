"""What is known of a picture, and in which order it comes.

`known` is bool, True where a pixel is given. In an order a known pixel is *late* if an unknown one
comes before it: ancestral sampling cannot take it into account.
"""

from numbers import Integral

import numpy as np
import torch
from torch import Tensor

from pixelcnn.models import Evidence, Model, ModelConfig
from pixelcnn.orders import ORDER_NAMES, from_raster, to_raster


def occlusion(name: str, height: int, width: int, *, seed: int = 0) -> Tensor:
    """Tell which pixels are known when a part of a picture is hidden.

    >>> occlusion("lower-half", 2, 3)[0, 0].int().tolist()
    [[0, 0, 0], [1, 1, 1]]

    Arguments:
        name: of the part that is left: "upper-half", "lower-half", "left-half", "right-half",
            "around-box", "every-other-row" or "random-half".
        height: H.
        width: W.
        seed: fixes "random-half", half of the pixels; 0 or greater.

    Returns:
        bool (1, 1, H, W), True where known.

    Raises:
        ValueError: if the name is unknown or the seed negative.
    """
    if seed < 0:
        raise ValueError(f"`seed` (={seed}) must be an integer of at least 0.")
    shuffled = torch.from_numpy(np.random.default_rng(seed).permutation(height * width))
    row, col = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    top, left = height // 4, width // 4  # of a box in the middle
    in_box = (row >= top) & (row < height - top) & (col >= left) & (col < width - left)
    masks = {
        "upper-half": row < height // 2,
        "lower-half": row >= height // 2,
        "left-half": col < width // 2,
        "right-half": col >= width // 2,
        "around-box": ~in_box,
        "every-other-row": row % 2 == 0,
        "random-half": (shuffled < height * width // 2).view(height, width),
    }
    if name not in masks:
        raise ValueError(f"`known` (={name!r}) must be one of {', '.join(masks)}.")
    return masks[name][None, None]


def late_pixels(known: Tensor, order: int = 0) -> Tensor:
    """Find the known pixels that come after an unknown one.

    Arguments:
        known: bool (..., H, W).
        order: see `pixelcnn.orders.ORDER_NAMES`.

    Returns:
        bool, shaped like `known`.

    Raises:
        ValueError: if the order does not exist.
    """
    turned = to_raster(known, order)
    missed = (~turned.flatten(-2)).cumsum(-1) > 0
    return from_raster(turned & missed.view(turned.shape), order)


def is_prefix(known: Tensor, order: int = 0) -> bool:
    """Tell whether all known pixels come before all unknown ones, so that sampling is exact.

    Arguments:
        known: bool (H, W) or (1, H, W).
        order: see `pixelcnn.orders.ORDER_NAMES`.

    Raises:
        ValueError: if the order does not exist.
    """
    return not late_pixels(known, order).any()


def best_order(known: Tensor, num_orders: int) -> int:
    """Choose the order that puts most of what is known first.

    It maximises the pairs of a known pixel that comes before an unknown one: the number of known
    pixels that an unknown one is drawn from, summed over the unknown ones. All pairs count exactly
    if the known pixels are a prefix, so an order in which they are one is always found.

    Arguments:
        known: bool (H, W) or (1, H, W).
        num_orders: orders that the model knows, 1 or 8.

    Returns:
        The order; the lowest one on a tie.
    """

    def pairs(order: int) -> int:
        turned = to_raster(known, order).flatten()
        return int(turned.cumsum(0)[~turned].sum())

    return max(range(num_orders), key=pairs)


class NotAPrefixError(ValueError):
    """The exact method was asked for, but known pixels come after unknown ones in every order."""


def choose_order(known: Tensor, config: ModelConfig, order: int | None) -> int:
    """Check the order asked for, or choose the best one.

    Raises:
        ValueError: if the model does not know the order.
    """
    if order is None:
        return best_order(known, config.num_orders)
    whole = isinstance(order, Integral) and not isinstance(order, bool)
    if not whole or order not in range(config.num_orders):
        raise ValueError(
            f"`order` (={order!r}) must be an integer from 0 to {config.num_orders - 1}."
        )
    return int(order)


def require_prefix(known: Tensor, order: int, num_orders: int) -> None:
    """Check that the known pixels are a prefix.

    Raises:
        NotAPrefixError: if they are not.
    """
    late = int(late_pixels(known, order).sum())
    if not late:
        return
    best = best_order(known, num_orders)
    if is_prefix(known, best):
        advice = f"Order {best} ({ORDER_NAMES[best]}) reads all of them first."
    else:
        advice = (
            f"No order that the model knows ({num_orders}) reads all of them first, so it cannot "
            "be completed exactly: use 'particles' (approximate), or 'clamping', which ignores "
            "the late ones."
        )
    raise NotAPrefixError(
        f"`known`: {late} of {int(known.sum())} known pixels come after an unknown one in order "
        f"{order} ({ORDER_NAMES[order]}). {advice}"
    )


def as_evidence(
    model: Model,
    levels: Tensor,
    known: Tensor,
    hints: Tensor | None,
    *,
    only_one: bool = True,
    need_unknown: bool = True,
) -> Evidence:
    """Check what is to be completed, and put it together.

    Raises:
        ValueError: if a shape, type or value is wrong, there is more than one drawing but must be
            `only_one`, a pixel is both known and a hint, or a drawing has neither known pixels nor
            hints, or no unknown pixel.
    """
    levels, known = torch.as_tensor(levels), torch.as_tensor(known)
    hints = torch.zeros_like(known) if hints is None else torch.as_tensor(hints)
    evidence = Evidence(levels, known, hints)
    evidence.check(model)
    if only_one and len(levels) != 1:
        raise ValueError(f"`levels` must hold one drawing, not {len(levels)}.")
    for number, (one, hint) in enumerate(zip(known, hints, strict=True)):
        if not (one | hint).any():
            raise ValueError(
                f"`known`: no pixel of drawing {number} is known, so there is nothing to "
                "complete; `sample` draws whole pictures."
            )
        if need_unknown and one.all():
            raise ValueError(
                f"`known`: every pixel of drawing {number} is known, so there is nothing to draw."
            )
    return evidence
