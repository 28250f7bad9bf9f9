"""Causal masks of convolution kernels: which input positions a weight may read.

Pixels are ordered row by row, left to right; within a pixel the channels are ordered R, G, B.
"""

from typing import Literal

import torch
from torch import Tensor

MaskType = Literal["A", "B"]


def _earlier(source: Tensor, target: Tensor, mask_type: str) -> Tensor:
    if mask_type not in ("A", "B"):
        raise ValueError(f"`mask_type` (={mask_type!r}) must be 'A' or 'B'.")
    return (source <= target if mask_type == "B" else source < target).long()


def kernel_mask(kernel_size: int, mask_type: MaskType) -> Tensor:
    """Build the mask of a square kernel for one channel: 1 where a weight may read, else 0.

    Type A hides the current position (the centre) and every later one; it is for the first layer,
    whose input holds the very pixel that is to be predicted. Type B shows the current position; it
    is for all later layers, whose features there depend on earlier pixels only.

        >>> kernel_mask(3, "A").tolist()
        [[1, 1, 1], [1, 0, 0], [0, 0, 0]]
        >>> kernel_mask(3, "B").tolist()
        [[1, 1, 1], [1, 1, 0], [0, 0, 0]]
        >>> print(*kernel_mask(5, "A").tolist(), sep="\\n")
        [1, 1, 1, 1, 1]
        [1, 1, 1, 1, 1]
        [1, 1, 0, 0, 0]
        [0, 0, 0, 0, 0]
        [0, 0, 0, 0, 0]

    Returns:
        int64 (k, k).

    Raises:
        ValueError: if `kernel_size` k is even or `mask_type` is neither "A" nor "B".

    References:
        van den Oord et al. 2016, arXiv 1601.06759, section 3.4 and figure 2.
    """
    if kernel_size < 1 or kernel_size % 2 == 0:
        raise ValueError(f"`kernel_size` (={kernel_size}) must be odd and positive.")
    is_open = _earlier(torch.arange(kernel_size**2), torch.tensor(kernel_size**2 // 2), mask_type)
    return is_open.view(kernel_size, kernel_size)


def channel_mask(
    out_features: int, in_features: int, num_channels: int, mask_type: MaskType
) -> Tensor:
    """Build the mask between features at the *current* position: 1 where a weight may read.

    Features are split into `num_channels` equal, consecutive groups, one for each of R, G, B. A
    feature of type A reads earlier groups, one of type B also its own. Three channels, rows are
    the outputs R, G, B:

        >>> channel_mask(3, 3, 3, "A").tolist()
        [[0, 0, 0], [1, 0, 0], [1, 1, 0]]
        >>> channel_mask(3, 3, 3, "B").tolist()
        [[1, 0, 0], [1, 1, 0], [1, 1, 1]]

    Returns:
        int64 (out_features, in_features).

    Raises:
        ValueError: if the features cannot be split into equal groups.

    References:
        van den Oord et al. 2016, arXiv 1601.06759, section 3.4.
    """
    for name, size in (("out_features", out_features), ("in_features", in_features)):
        if size % num_channels:
            raise ValueError(
                f"`{name}` (={size}) must be a multiple of num_channels (={num_channels})."
            )
    group_out = torch.arange(out_features)[:, None] // (out_features // num_channels)
    group_in = torch.arange(in_features) // (in_features // num_channels)
    return _earlier(group_in, group_out, mask_type)


def convolution_mask(
    out_features: int, in_features: int, kernel_size: int, num_channels: int, mask_type: MaskType
) -> Tensor:
    """Build the mask of a convolution weight: `kernel_mask`, with `channel_mask` at its centre.

        >>> convolution_mask(1, 1, 3, 1, "A")[0, 0].tolist() == kernel_mask(3, "A").tolist()
        True

    Arguments and errors are those of both.

    Returns:
        uint8 (out_features, in_features, k, k).
    """
    centre = kernel_size // 2
    mask = kernel_mask(kernel_size, mask_type).byte().repeat(out_features, in_features, 1, 1)
    mask[:, :, centre, centre] = channel_mask(out_features, in_features, num_channels, mask_type)
    return mask


def horizontal_mask(
    out_features: int, in_features: int, kernel_size: int, num_channels: int, mask_type: MaskType
) -> Tensor:
    """Build the mask of the horizontal stack: that of a convolution, its middle row to the centre.

        >>> horizontal_mask(1, 1, 7, 1, "A")[0, 0].tolist()
        [[1, 1, 1, 0]]
        >>> horizontal_mask(1, 1, 3, 1, "B")[0, 0].tolist()
        [[1, 1]]

    Returns:
        uint8 (out_features, in_features, 1, k // 2 + 1).

    References:
        van den Oord et al. 2016, arXiv 1606.05328, section 2.2.
    """
    centre = kernel_size // 2
    mask = convolution_mask(out_features, in_features, kernel_size, num_channels, mask_type)
    return mask[:, :, centre : centre + 1, : centre + 1]
