"""The two models: levels in, one distribution over the levels for every dimension out.

Shapes: B batch, C image channels, H rows, W columns, K levels, F features.
"""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pixelcnn.config import ModelConfig
from pixelcnn.models.convolutions import (
    GatedBlock,
    HorizontalConv2d,
    MaskedConv2d,
    ResidualBlock,
    VerticalConv2d,
)


class AutoregressiveModel(nn.Module, ABC):
    """What both models share: checks, input features, position, head."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        size, channels = config.num_features, config.num_channels
        # A position is not a pixel: adding it to the features keeps the order of prediction.
        self.row_bias = nn.Parameter(torch.zeros(config.num_orders, size, config.height, 1))
        self.col_bias = nn.Parameter(torch.zeros(config.num_orders, size, 1, config.width))
        self.head = nn.ModuleList(
            [
                MaskedConv2d(size, config.head_features, 1, "B", channels),
                MaskedConv2d(config.head_features, channels * config.num_levels, 1, "B", channels),
            ]
        )

    @property
    def num_parameters(self) -> int:
        """Number of weights."""
        return sum(p.numel() for p in self.parameters())

    def encode(self, levels: Tensor) -> Tensor:
        """Turn levels into input features, each of its own pixel and channel only.

        Arguments:
            levels: int64 (B, C, H, W), values 0..K-1.

        Returns:
            (B, C * E, H, W), E = `config.features_per_channel`: for each channel the level scaled
            to [-1, 1], 1 if it is exactly 0 (background, half of all pixels in Fashion-MNIST), and
            sines and cosines of rising frequency, by which the first layer tells levels apart.
        """
        scaled = levels.to(self.row_bias.dtype) * (2 / (self.config.num_levels - 1)) - 1
        features = [scaled, (levels == 0).to(scaled.dtype)]
        for octave in range(self.config.num_frequencies):
            angle = math.pi * 2**octave * scaled
            features += [torch.sin(angle), torch.cos(angle)]
        return torch.stack(features, dim=2).flatten(1, 2)

    def forward(
        self, levels: Tensor, label: Tensor | None = None, order: Tensor | None = None
    ) -> Tensor:
        """Predict the distribution of every dimension from the ones before it, in one pass.

        Arguments:
            levels: int64 (B, C, H, W), values 0..K-1; turned by `pixelcnn.orders.to_raster` if the
                order is not 0.
            label: int64 (B,), values 0..num_classes-1; `num_classes`, or None, means any class.
            order: int64 (B,), values 0..num_orders-1; None means order 0.

        Returns:
            Logits (B, K, C, H, W), turned like the levels.

        Raises:
            ValueError: if a shape, type or value breaks the rules above.
        """
        self.check_levels(levels)
        condition = self.condition(levels.shape[0], label, order)
        return self.logits_from_features(self.encode(levels), condition)

    def logits_from_features(self, features: Tensor, condition: Tensor) -> Tensor:
        """Predict from the output of `encode`; differentiable, for the causality check.

        Arguments:
            features: (B, C * E, H, W), as `encode` returns them.
            condition: int64 (B,), see `condition`.

        Returns:
            Logits (B, K, C, H, W).
        """
        return self._head_logits(self._blocks(features, condition))

    @abstractmethod
    def _blocks(self, features: Tensor, condition: Tensor) -> Tensor:
        """Compute what the head reads of every pixel: (B, F, H, W)."""

    def condition(
        self, batch: int, label: Tensor | None = None, order: Tensor | None = None
    ) -> Tensor:
        """Number the pair (order, label) of each image, the row of every condition table.

        Returns:
            int64 (B,), order * (num_classes + 1) + label.

        Raises:
            ValueError: if a shape, type or value breaks the rules of `forward`.
        """
        classes, orders = self.config.num_classes, self.config.num_orders
        device = self.row_bias.device
        if label is None:
            label = torch.full((batch,), classes, device=device)
        elif classes == 0:
            raise ValueError("`label` must be None: this model was trained without labels.")
        if order is None:
            order = torch.zeros(batch, dtype=torch.int64, device=device)
        or_any = f", or be {classes} for any class" if classes else ""
        _check_condition("label", label, batch, classes, f"0..{classes - 1}{or_any}")
        _check_condition("order", order, batch, orders - 1, f"0..{orders - 1}")
        return order * (classes + 1) + label

    def order(self, condition: Tensor) -> Tensor:
        """Give back the order of each image: int64 (B,)."""
        return condition // (self.config.num_classes + 1)

    def position_features(self, condition: Tensor) -> Tensor:
        """Give what the network is told of each pixel's place: (B, F, H, W)."""
        order = self.order(condition)
        return self.row_bias[order] + self.col_bias[order]

    def check_levels(self, levels: Tensor) -> None:
        """Check images before they are used.

        Raises:
            ValueError: if they are not int64 (B, C, H, W) with values 0..K-1 and B at least 1.
        """
        c = self.config
        expected = (c.num_channels, c.height, c.width)
        if levels.ndim != 4 or levels.shape[1:] != expected or levels.dtype != torch.int64:
            raise ValueError(
                f"`levels` (shape {tuple(levels.shape)}, {levels.dtype}) must be int64 "
                f"(B, {', '.join(map(str, expected))})."
            )
        if levels.shape[0] == 0:
            raise ValueError("`levels` must hold at least one image.")
        low, high = int(levels.min()), int(levels.max())
        if low < 0 or high >= c.num_levels:
            raise ValueError(
                f"`levels` (values {low} to {high}) must lie in 0..{c.num_levels - 1}."
            )

    def _head_logits(self, x: Tensor) -> Tensor:
        logits = self.head[1](F.relu(self.head[0](F.relu(x))))  # (B, C*K, H, W)
        return logits.unflatten(1, (self.config.num_channels, -1)).transpose(1, 2)


class PixelCNN(AutoregressiveModel):
    """The classic model: a type A convolution, residual blocks of type B, a 1x1 head.

    Its kernels leave a blind spot above and to the right of the current pixel, see
    `pixelcnn.inspection.receptive_field`.

    References:
        van den Oord et al. 2016, arXiv 1601.06759, table 1 (right column) and figure 5.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        c = config
        inputs = c.num_channels * c.features_per_channel
        self.first = MaskedConv2d(inputs, c.num_features, c.first_kernel_size, "A", c.num_channels)
        self.blocks = nn.ModuleList(
            ResidualBlock(
                c.num_features, c.kernel_size, c.num_channels, c.num_conditions, d, c.dropout
            )
            for d in c.dilations
        )

    def _blocks(self, features: Tensor, condition: Tensor) -> Tensor:
        x = self.first(features) + self.position_features(condition)  # (B, F, H, W)
        for block in self.blocks:
            x = block(x, condition)
        return x


class GatedPixelCNN(AutoregressiveModel):
    """The gated model: a vertical stack for the rows above, a horizontal one for this row.

    Every past pixel inside its reach can influence the prediction: there is no blind spot.

    References:
        van den Oord et al. 2016, arXiv 1606.05328, section 2.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        c = config
        inputs = c.num_channels * c.features_per_channel
        self.first_vertical = VerticalConv2d(inputs, c.num_features, c.first_kernel_size, "A")
        self.first_horizontal = HorizontalConv2d(
            inputs, c.num_features, c.first_kernel_size, "A", c.num_channels
        )
        self.blocks = nn.ModuleList(
            GatedBlock(
                c.num_features,
                c.kernel_size,
                c.num_channels,
                c.num_conditions,
                dilation,
                c.dropout,
                is_last=number == c.num_blocks,
            )
            for number, dilation in enumerate(c.dilations, 1)
        )

    def _blocks(self, features: Tensor, condition: Tensor) -> Tensor:
        position = self.position_features(condition)
        vertical = self.first_vertical(features) + position  # (B, F, H, W)
        horizontal = self.first_horizontal(features) + position
        skips = torch.zeros_like(horizontal)
        for block in self.blocks:
            vertical, horizontal, skip = block(vertical, horizontal, condition)
            skips = skips + skip
        return skips


def _check_condition(name: str, values: Tensor, batch: int, last: int, rule: str) -> None:
    if values.shape != (batch,) or values.dtype != torch.int64:
        raise ValueError(
            f"`{name}` (shape {tuple(values.shape)}, {values.dtype}) must be int64 ({batch},)."
        )
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > last:
        raise ValueError(f"`{name}` (values {low} to {high}) must lie in {rule}.")


def build_model(config: ModelConfig) -> AutoregressiveModel:
    """Make a model with fresh weights from its configuration."""
    return {"classic": PixelCNN, "gated": GatedPixelCNN}[config.architecture](config)
