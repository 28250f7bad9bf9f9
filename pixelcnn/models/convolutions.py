"""Masked convolutions, and what the models made of them share.

Shapes: B batch, F features, H rows, W columns. Masks are applied in `forward` as
`weight * mask`: a forward pass changes nothing in the module.
"""

import itertools
from abc import abstractmethod
from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from pixelcnn.config import settings
from pixelcnn.masks import MaskType, convolution_mask
from pixelcnn.models.base import Features, Model, ModelConfig

KernelSize = Literal[3, 5, 7, 9]
Dilations = Annotated[
    tuple[Annotated[int, Field(ge=1, le=16)], ...],
    Field(min_length=1, max_length=64),
    "be a list of 1 to 64 integers from 1 to 16",
]


class MaskedConv2d(nn.Conv2d):
    """Convolve with a kernel whose mask hides the future.

    Arguments:
        in_features: input features, a multiple of `num_channels`.
        out_features: output features, a multiple of `num_channels`.
        kernel_size: k, odd.
        mask_type: "A" for the first layer, "B" for all later ones.
        num_channels: C, image channels; features form C groups ordered R, G, B.
        dilation: distance between two taps, in pixels.

    References:
        van den Oord et al. 2016, arXiv 1601.06759, section 3.4.
    """

    make_mask = staticmethod(convolution_mask)

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: int,
        mask_type: MaskType,
        num_channels: int = 1,
        dilation: int = 1,
    ) -> None:
        padding = dilation * (kernel_size // 2)
        super().__init__(
            in_features, out_features, kernel_size, padding=padding, dilation=dilation
        )
        self.set_mask(mask_type, num_channels)

    def set_mask(self, mask_type: MaskType, num_channels: int) -> None:
        """Choose what the kernel may read of its own position."""
        size = 2 * (self.kernel_size[1] // 2) + 1
        mask = self.make_mask(self.out_channels, self.in_channels, size, num_channels, mask_type)
        self.mask_type = mask_type
        self.register_buffer("mask", mask.to(self.weight), persistent=False)

    def masked_weight(self) -> Tensor:
        """Return the weight that acts, (out_features, in_features, k, k)."""
        return self.weight * self.mask

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in_features, H, W) to (B, out_features, H, W)."""
        return self._conv_forward(x, self.masked_weight(), self.bias)


def acting_weight(layer: nn.Conv2d) -> Tensor:
    """Return the weight of a convolution, masked if it has a mask."""
    return layer.masked_weight() if isinstance(layer, MaskedConv2d) else layer.weight


def condition_bias(num_conditions: int, num_features: int) -> nn.Embedding:
    """Make the table of biases that a condition (a class and a raster order) adds.

    References:
        van den Oord et al. 2016, arXiv 1606.05328, equation 4: V^T h, with h one-hot.
    """
    table = nn.Embedding(num_conditions, num_features)
    nn.init.zeros_(table.weight)
    return table


@settings
class ConvolutionConfig(ModelConfig):
    """Settings of a model made of masked convolutions."""

    num_features: Features = 64
    """F, features of every stack; a multiple of the number of channels."""
    head_features: Features = 128
    """Features between the two 1x1 convolutions of the head; a multiple of the channels."""
    first_kernel_size: KernelSize = 7
    """Width of the first, type A, convolution."""
    kernel_size: KernelSize = 3
    """Width of the type B convolutions."""
    dilations: Dilations = (1, 2, 4, 8, 1, 2, 4, 8)
    """Dilation of each residual block; its length is the number of blocks."""
    dropout: Annotated[float, Field(ge=0, le=0.9)] = 0.0
    """Probability with which a feature inside a block is dropped in training."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("num_features", "head_features"):
            multiple = getattr(self, name) % self.num_channels == 0
            self.require(name, multiple, f"be a multiple of num_channels (={self.num_channels})")

    @property
    def num_blocks(self) -> int:
        """Number of residual blocks."""
        return len(self.dilations)


class ConvolutionModel(Model):
    """What models made of masked convolutions share: position, head, receptive field."""

    about_masks: ClassVar[str] = ""
    """What must be said of its kernels where masks are shown; empty if they are plain."""
    stack: ClassVar[str] = ""
    """Name of the stack that adds up features and reads the current row; empty of a single one."""

    def __init__(self, config: ConvolutionConfig) -> None:
        super().__init__(config)
        size, channels = config.num_features, config.num_channels
        # A position is not a pixel: adding it to the features keeps the order of prediction.
        self.row_bias = nn.Parameter(torch.zeros(config.num_orders, size, config.height, 1))
        self.col_bias = nn.Parameter(torch.zeros(config.num_orders, size, 1, config.width))
        self.num_residual_blocks = config.num_blocks
        sizes = [size, config.head_features, channels * config.num_levels]
        self.head = nn.ModuleList(
            MaskedConv2d(*pair, 1, "B", channels) for pair in itertools.pairwise(sizes)
        )

    @property
    def last_layer(self) -> nn.Module:
        """The second convolution of the head."""
        return self.head[1]

    @property
    @abstractmethod
    def first_convolution(self) -> MaskedConv2d:
        """The convolution whose mask A hides the pixel that is to be predicted."""

    @abstractmethod
    def reads(self) -> Iterator[NDArray[np.uint8]]:
        """Compose the masks: what the features behind the first layer and each block depend on.

        Yields:
            uint8 (H, W, C, N / 8, rounded up) for each layer: for every position and channel group
            a bit for each dimension, see `np.packbits`.
        """

    @abstractmethod
    def residual_stream(self, features: Tensor, condition: Tensor) -> list[Tensor]:
        """Give the features (B, F, H, W) before each block that adds to them, and after the last.

        Arguments are those of `logits_from_features`.
        """

    def position_features(self, condition: Tensor) -> Tensor:
        """Give the features that stand for the place of each pixel: (B, F, H, W)."""
        order = condition // (self.config.num_classes + 1)
        return self.row_bias[order] + self.col_bias[order]

    def logits_from_head(self, x: Tensor) -> Tensor:
        """Map features (B, F, H, W) to logits (B, K, C, H, W)."""
        logits = self.head[1](F.relu(self.head[0](F.relu(x))))  # (B, C*K, H, W)
        return logits.unflatten(1, (self.config.num_channels, -1)).transpose(1, 2)

    def convolutions(self) -> dict[str, nn.Conv2d]:
        """List all convolutions, the head last."""
        layers = [(p, m) for p, m in self.named_modules() if isinstance(m, nn.Conv2d)]
        return dict(sorted(layers, key=lambda layer: layer[0].startswith("head")))

    def dependencies(self) -> NDArray[np.bool_]:
        """Take what the masks of all layers together let through."""
        *_, last = self.reads()
        last = spread(self.head[1], spread(self.head[0], last))
        dims = self.config.num_dims
        return np.unpackbits(last.reshape(dims, -1), axis=1, count=dims).astype(bool)

    def every_dim(self) -> NDArray[np.uint8]:
        """Give what the input of each position and channel depends on: itself; see `reads`."""
        c = self.config
        itself = np.packbits(np.eye(c.num_dims, dtype=bool), axis=1)
        return itself.reshape(c.height, c.width, c.num_channels, -1)


@torch.inference_mode()
def spread(layer: nn.Conv2d, reads: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Unite, for every position, what the positions under a layer's open taps depend on.

    A tap is open from one channel group to another if any of its masked weights is not 0.

    The layer convolves features in C channel groups; what its inputs depend on is given as
    `ConvolutionModel.reads` does.
    """
    height, width, groups, _ = reads.shape
    weight = acting_weight(layer) != 0
    taps = weight.unflatten(0, (groups, -1)).unflatten(2, (groups, -1)).any(3).any(1)
    left, _, above, _ = getattr(layer, "pad", (layer.padding[1], 0, layer.padding[0], 0))
    dilation = layer.dilation[0]
    out = np.zeros_like(reads)
    for group, source, i, j in np.argwhere(taps.numpy()):
        down, right = dilation * i - above, dilation * j - left  # where the tap reads
        rows = slice(max(0, -down), max(0, min(height, height - down)))
        cols = slice(max(0, -right), max(0, min(width, width - right)))
        from_rows = slice(rows.start + down, rows.stop + down)
        from_cols = slice(cols.start + right, cols.stop + right)
        if rows.start < rows.stop and cols.start < cols.stop:
            out[rows, cols, group] |= reads[from_rows, from_cols, source]
    return out
