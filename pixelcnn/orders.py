"""The eight raster orders of a square image: by rows or columns, from either side, either way.

A model that knows them gets one with every image, and sees the image turned so that this order
is the usual one. So a completion can begin at the side that is known.

References:
    Jain et al. 2020, arXiv 2006.12486 (orders as a condition, ensembles of them).
"""

import torch
from torch import Tensor

NUM_ORDERS = 8
ORDER_NAMES = (
    "rows from the top, left to right",
    "rows from the top, right to left",
    "rows from the bottom, left to right",
    "rows from the bottom, right to left",
    "columns from the left, top to bottom",
    "columns from the left, bottom to top",
    "columns from the right, top to bottom",
    "columns from the right, bottom to top",
)
"""What each order does, in words; order 0 is the usual raster order."""


def to_raster(images: Tensor, order: int) -> Tensor:
    """Turn images so that an order becomes the usual raster order.

    Bit 2 of the order swaps rows and columns, bit 1 then flips the rows, bit 0 the columns.

    >>> image = torch.arange(4).view(2, 2)
    >>> [to_raster(image, order).flatten().tolist() for order in (0, 1, 2, 4)]
    [[0, 1, 2, 3], [1, 0, 3, 2], [2, 3, 0, 1], [0, 2, 1, 3]]

    Arguments:
        images: (..., H, W), H = W if rows and columns are swapped.
        order: 0..7.

    Raises:
        ValueError: if the order does not exist.
    """
    if order not in range(NUM_ORDERS):
        raise ValueError(f"`order` (={order!r}) must be an integer from 0 to {NUM_ORDERS - 1}.")
    if order & 4:
        images = images.transpose(-1, -2)
    flips = [axis for axis, bit in ((-2, 2), (-1, 1)) if order & bit]
    return images.flip(flips) if flips else images


def from_raster(images: Tensor, order: int) -> Tensor:
    """Undo `to_raster`; raises as it does."""
    # Of the eight turns only the quarter turns do not undo themselves: they undo each other.
    return to_raster(images, 11 - order if order in (5, 6) else order)


def each_to_raster(images: Tensor, order: Tensor) -> Tensor:
    """Turn every image in its own order: images (B, C, H, W), order int64 (B,)."""
    pixel = torch.arange(images.shape[-2] * images.shape[-1]).view(images.shape[-2:])
    turned = torch.stack([to_raster(pixel, o).flatten() for o in range(NUM_ORDERS)])
    index = turned[order][:, None].expand(-1, images.shape[1], -1)  # (B, C, H*W)
    return images.flatten(2).gather(2, index).view(images.shape)
