"""The two models: levels in, one distribution over the levels for every dimension out.

Shapes: B batch, C image channels, H rows, W columns, K levels, F features.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pixelcnn.config import ModelConfig
from pixelcnn.layers import (
    GatedBlock,
    HorizontalConv2d,
    MaskedConv2d,
    ResidualBlock,
    VerticalConv2d,
)

FREQUENCIES = (1, 2, 4)
"""Half-waves over the range of levels; sines and cosines let the first layer tell levels apart."""
FEATURES_PER_CHANNEL = 2 + 2 * len(FREQUENCIES)
"""Input features of one channel, see `AutoregressiveModel.encode`."""


class AutoregressiveModel(nn.Module):
    """What both models share: checks, input features, position, head."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        size, channels = config.num_features, config.num_channels
        # A position is not a pixel: adding it to the features keeps the order of prediction.
        self.row_bias = nn.Parameter(torch.zeros(1, size, config.height, 1))
        self.col_bias = nn.Parameter(torch.zeros(1, size, 1, config.width))
        self.head = nn.ModuleList(
            [
                MaskedConv2d(size, config.head_features, 1, "B", channels),
                MaskedConv2d(config.head_features, channels * config.num_levels, 1, "B", channels),
            ]
        )

    @property
    def num_parameters(self) -> int:
        """Number of trained numbers."""
        return sum(p.numel() for p in self.parameters())

    def encode(self, levels: Tensor) -> Tensor:
        """Turn levels into input features, each of its own pixel and channel only.

        Arguments:
            levels: int64 (B, C, H, W), values 0..K-1.

        Returns:
            (B, C * FEATURES_PER_CHANNEL, H, W): for each channel the level scaled to [-1, 1], 1 if
            it is exactly 0 (background, half of all pixels in Fashion-MNIST), sines and cosines.
        """
        scaled = levels.to(self.row_bias.dtype) * (2 / (self.config.num_levels - 1)) - 1
        features = [scaled, (levels == 0).to(scaled.dtype)]
        for frequency in FREQUENCIES:
            angle = math.pi * frequency * scaled
            features += [torch.sin(angle), torch.cos(angle)]
        return torch.stack(features, dim=2).flatten(1, 2)

    def forward(self, levels: Tensor, label: Tensor | None = None) -> Tensor:
        """Predict the distribution of every dimension from the ones before it, in one pass.

        Arguments:
            levels: int64 (B, C, H, W), values 0..K-1.
            label: int64 (B,), values 0..num_classes-1; `num_classes`, or None, means any class.

        Returns:
            Logits (B, K, C, H, W).

        Raises:
            ValueError: if a shape, type or value breaks the rules above.
        """
        self._check_levels(levels)
        label = self.label_or_any(label, levels.shape[0])
        return self.logits_from_features(self.encode(levels), label)

    def logits_from_features(self, features: Tensor, label: Tensor) -> Tensor:
        """Predict from the output of `encode`; differentiable, for the causality check.

        Arguments:
            features: (B, C * FEATURES_PER_CHANNEL, H, W).
            label: int64 (B,).

        Returns:
            Logits (B, K, C, H, W).
        """
        raise NotImplementedError  # pragma: no cover - each model has its own

    def label_or_any(self, label: Tensor | None, batch: int) -> Tensor:
        """Return the label, or "any class" for each image if it is None.

        Raises:
            ValueError: if the label's shape, type or value breaks the rules.
        """
        classes, device = self.config.num_classes, self.row_bias.device
        if label is None:
            return torch.full((batch,), classes, device=device)
        if classes == 0:
            raise ValueError("`label` must be None: this model was trained without labels.")
        if label.shape != (batch,) or label.dtype != torch.int64:
            raise ValueError(
                f"`label` (shape {tuple(label.shape)}, {label.dtype}) must be int64 ({batch},)."
            )
        low, high = int(label.min()), int(label.max())
        if low < 0 or high > classes:
            raise ValueError(
                f"`label` (values {low} to {high}) must lie in 0..{classes - 1}, "
                f"or be {classes} for any class."
            )
        return label

    def _check_levels(self, levels: Tensor) -> None:
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
    `pixelcnn.receptive_field`.

    References:
        van den Oord et al. 2016, arXiv 1601.06759, table 1 (right column) and figure 5.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        c = config
        inputs = c.num_channels * FEATURES_PER_CHANNEL
        self.first = MaskedConv2d(inputs, c.num_features, c.first_kernel_size, "A", c.num_channels)
        self.blocks = nn.ModuleList(
            ResidualBlock(
                c.num_features, c.kernel_size, c.num_channels, c.num_classes, d, c.dropout
            )
            for d in c.dilations
        )

    def logits_from_features(self, features: Tensor, label: Tensor) -> Tensor:
        """See `AutoregressiveModel.logits_from_features`."""
        x = self.first(features) + self.row_bias + self.col_bias  # (B, F, H, W)
        for block in self.blocks:
            x = block(x, label)
        return self._head_logits(x)


class GatedPixelCNN(AutoregressiveModel):
    """The gated model: a vertical stack for the rows above, a horizontal one for this row.

    Every past pixel inside its reach can influence the prediction: there is no blind spot.

    References:
        van den Oord et al. 2016, arXiv 1606.05328, section 2.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        c = config
        inputs = c.num_channels * FEATURES_PER_CHANNEL
        self.first_vertical = VerticalConv2d(inputs, c.num_features, c.first_kernel_size, "A")
        self.first_horizontal = HorizontalConv2d(
            inputs, c.num_features, c.first_kernel_size, "A", c.num_channels
        )
        self.blocks = nn.ModuleList(
            GatedBlock(c.num_features, c.kernel_size, c.num_channels, c.num_classes, d, c.dropout)
            for d in c.dilations
        )

    def logits_from_features(self, features: Tensor, label: Tensor) -> Tensor:
        """See `AutoregressiveModel.logits_from_features`."""
        position = self.row_bias + self.col_bias
        vertical = self.first_vertical(features) + position  # (B, F, H, W)
        horizontal = self.first_horizontal(features) + position
        skips = torch.zeros_like(horizontal)
        for block in self.blocks:
            vertical, horizontal, skip = block(vertical, horizontal, label)
            skips = skips + skip
        return self._head_logits(skips)


def build_model(config: ModelConfig) -> AutoregressiveModel:
    """Make a model with fresh weights from its configuration."""
    return {"classic": PixelCNN, "gated": GatedPixelCNN}[config.architecture](config)
