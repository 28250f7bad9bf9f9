"""The classic PixelCNN: one stack of masked convolutions, trained in one pass, drawn by rows.

Shapes: B batch, F features, H rows, W columns.
"""

from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from pixelcnn.config import settings
from pixelcnn.models.base import Array, Stepper, register
from pixelcnn.models.convolutions import (
    ConvolutionConfig,
    ConvolutionModel,
    MaskedConv2d,
    condition_bias,
    spread,
)
from pixelcnn.models.rows import RowStepper, pointwise, taps


@settings
class ClassicConfig(ConvolutionConfig):
    """Settings of the classic model."""

    architecture: ClassVar[str] = "classic"


class ResidualBlock(nn.Module):
    """Residual block of the classic PixelCNN: 1x1, masked k x k, 1x1, all of type B.

    References:
        van den Oord et al. 2016, arXiv 1601.06759, figure 5 (left) and section 3.3.
    """

    def __init__(self, config: ClassicConfig, dilation: int) -> None:
        super().__init__()
        size, channels = config.num_features, config.num_channels
        inner = max(1, size // (2 * channels)) * channels
        self.reduce = MaskedConv2d(size, inner, 1, "B", channels)
        self.conv = MaskedConv2d(inner, inner, config.kernel_size, "B", channels, dilation)
        self.expand = MaskedConv2d(inner, size, 1, "B", channels)
        self.condition_bias = condition_bias(config.num_conditions, inner)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Map (B, F, H, W) and condition (B,) to (B, F, H, W)."""
        inner = self.reduce(F.relu(x))
        inner = self.conv(F.relu(inner)) + self.condition_bias(condition)[:, :, None, None]
        return x + self.expand(self.dropout(F.relu(inner)))


@register
class PixelCNN(ConvolutionModel):
    """The classic model: a type A convolution, residual blocks of type B, a 1x1 head.

    Its kernels leave a blind spot above and to the right of the current pixel, see
    `pixelcnn.inspection.receptive_field`.

    References:
        van den Oord et al. 2016, arXiv 1601.06759, table 1 (right column) and figure 5.
    """

    Config = ClassicConfig
    title = "Classic PixelCNN"
    about = "One stack, quicker, with the blind spot that the Masks page shows."

    def __init__(self, config: ClassicConfig) -> None:
        super().__init__(config)
        c = config
        inputs = c.num_channels * c.features_per_channel
        self.first = MaskedConv2d(inputs, c.num_features, c.first_kernel_size, "A", c.num_channels)
        self.blocks = nn.ModuleList(ResidualBlock(c, dilation) for dilation in c.dilations)

    @property
    def first_convolution(self) -> MaskedConv2d:
        """The first layer."""
        return self.first

    def logits_from_features(self, features: Tensor, condition: Tensor) -> Tensor:
        """Predict from the output of `encode`: (B, K, C, H, W)."""
        return self.logits_from_head(self.residual_stream(features, condition)[-1])

    def residual_stream(self, features: Tensor, condition: Tensor) -> list[Tensor]:
        """Give the features before each block, and after the last."""
        stream = [self.first(features) + self.position_features(condition)]  # (B, F, H, W)
        for block in self.blocks:
            stream.append(block(stream[-1], condition))
        return stream

    def reads(self) -> Iterator[NDArray[np.uint8]]:
        """Compose the masks."""
        reads = spread(self.first, self.every_dim())
        yield reads
        for block in self.blocks:
            inner = spread(block.conv, spread(block.reduce, reads))
            reads = reads | spread(block.expand, inner)
            yield reads

    @torch.inference_mode()
    def stepper(self, condition: Tensor) -> Stepper:
        """Draw row by row and pixel by pixel."""
        return ClassicStepper(self, condition)


class ClassicStepper(RowStepper):
    """`PixelCNN`, row by row and pixel by pixel."""

    kept = ("inner",)

    def __init__(self, model: PixelCNN, condition: Tensor) -> None:
        super().__init__(model, condition)
        c = self.config
        self.first_above, self.first_left = _split(model.first.masked_weight())
        self.first_bias = model.first.bias.numpy()
        self.blocks, self.inner = [], []
        for block, dilation in zip(model.blocks, c.dilations, strict=True):
            above, left = _split(block.conv.masked_weight())
            bias = block.conv.bias + block.condition_bias(self.different)  # (conditions, inner)
            self.blocks.append(
                (pointwise(block.reduce), above, left, bias.numpy(), pointwise(block.expand))
            )
            self.inner.append(self.map(block.conv.in_channels, dilation * (c.kernel_size // 2)))

    def begin_row(self, row: int) -> None:
        """Compute what the upper rows of every kernel read, for a whole row."""
        c = self.config
        k = c.first_kernel_size
        above = self.input.above(row, k // 2, k, 1, own_row=False)
        position = self.position_features[row].take(self.case, 1) + self.first_bias
        self.position_in_row = self.per_column(above @ self.first_above) + position
        k = c.kernel_size
        self.from_above = []
        for cache, dilation, block in zip(self.inner, c.dilations, self.blocks, strict=True):
            _, weight, _, bias, _ = block
            above = cache.above(row, k // 2, k, dilation, own_row=False)
            self.from_above.append(self.per_column(above @ weight) + bias.take(self.case, 0))

    def pixel(self, row: int, col: int) -> Array:
        """Run all layers for one position; returns the features (B, F)."""
        c = self.config
        x = self.input.left(row, col, c.first_kernel_size // 2 + 1, 1) @ self.first_left
        x += self.position_in_row[col]
        columns = c.kernel_size // 2 + 1
        for i, dilation in enumerate(c.dilations):
            (reduce, reduce_bias), _, left, _, (expand, expand_bias) = self.blocks[i]
            cache = self.inner[i]
            inner = np.maximum(x, 0) @ reduce
            inner += reduce_bias
            cache.put(row, col, np.maximum(inner, 0))
            inner = cache.left(row, col, columns, dilation) @ left
            inner += self.from_above[i][col]
            x += np.maximum(inner, 0, out=inner) @ expand
            x += expand_bias
        return x


def _split(weight: Tensor) -> tuple[Array, Array]:
    """Split a square kernel into its rows above and its row up to the centre."""
    centre = weight.shape[-1] // 2
    return taps(weight[:, :, :centre]), taps(weight[:, :, centre : centre + 1, : centre + 1])
