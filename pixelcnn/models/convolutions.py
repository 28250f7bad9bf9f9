"""Convolutions that never see the future, and the blocks made of them.

Shapes: B batch, F features, H rows, W columns. Masks are applied in `forward` as
`weight * mask`: a forward pass changes nothing in the module.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pixelcnn.masks import MaskType, convolution_mask, horizontal_mask


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

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: int,
        mask_type: MaskType,
        num_channels: int = 1,
        dilation: int = 1,
    ) -> None:
        super().__init__(
            in_features,
            out_features,
            kernel_size,
            padding=dilation * (kernel_size // 2),
            dilation=dilation,
        )
        mask = convolution_mask(out_features, in_features, kernel_size, num_channels, mask_type)
        self.mask_type = mask_type
        self.register_buffer("mask", mask.to(self.weight.dtype), persistent=False)

    def masked_weight(self) -> Tensor:
        """Return the weight that acts, (out_features, in_features, k, k)."""
        return self.weight * self.mask

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in_features, H, W) to (B, out_features, H, W)."""
        return self._conv_forward(x, self.masked_weight(), self.bias)


class VerticalConv2d(nn.Conv2d):
    """Convolve over rows above, and with type B the current row too, all columns alike.

    In the vertical stack the features of row r know only pixels of rows above r: type A (the first
    layer) reads rows r-k//2 .. r-1, type B reads features of rows up to and including r. So the
    stack widens on both sides from its first layer on and no corner is lost: no blind spot.

    Arguments:
        in_features: input features.
        out_features: output features.
        kernel_size: k, odd; the kernel has k columns and k//2 (A) or k//2 + 1 (B) rows.
        mask_type: "A" for the first layer, "B" for all later ones.
        dilation: distance between two taps, in pixels.

    References:
        van den Oord et al. 2016, arXiv 1606.05328, section 2.2.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: int,
        mask_type: MaskType,
        dilation: int = 1,
    ) -> None:
        reach = kernel_size // 2
        rows = reach + int(mask_type == "B")
        super().__init__(in_features, out_features, (rows, kernel_size), dilation=dilation)
        self.mask_type = mask_type
        side = above = dilation * reach
        self.pad = (side, side, above, 0)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in_features, H, W) to (B, out_features, H, W)."""
        out = super().forward(F.pad(x, self.pad))  # type A: one row too many, it would see row H-1
        return out[:, :, : x.shape[2]]


class HorizontalConv2d(nn.Conv2d):
    """Convolve over the current row, to the left; type B includes the current position.

    Arguments:
        in_features: input features, a multiple of `num_channels`.
        out_features: output features, a multiple of `num_channels`.
        kernel_size: k, odd; the kernel is one row of k//2 + 1 columns.
        mask_type: "A" for the first layer, "B" for all later ones.
        num_channels: C, image channels.
        dilation: distance between two taps, in pixels.

    References:
        van den Oord et al. 2016, arXiv 1606.05328, section 2.2.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: int,
        mask_type: MaskType,
        num_channels: int = 1,
        dilation: int = 1,
    ) -> None:
        super().__init__(in_features, out_features, (1, kernel_size // 2 + 1), dilation=dilation)
        mask = horizontal_mask(out_features, in_features, kernel_size, num_channels, mask_type)
        self.mask_type = mask_type
        self.register_buffer("mask", mask.to(self.weight.dtype), persistent=False)
        self.pad = (dilation * (kernel_size // 2), 0, 0, 0)

    def masked_weight(self) -> Tensor:
        """Return the weight that acts, (out_features, in_features, 1, k // 2 + 1)."""
        return self.weight * self.mask

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in_features, H, W) to (B, out_features, H, W)."""
        return self._conv_forward(F.pad(x, self.pad), self.masked_weight(), self.bias)


def gated_activation(x: Tensor, num_channels: int = 1) -> Tensor:
    """Compute tanh(a) * sigmoid(b), where each channel group of x holds its a, then its b.

    Arguments:
        x: (B, 2F, H, W).
        num_channels: C, channel groups; a gate never mixes groups.

    Returns:
        (B, F, H, W).

    References:
        van den Oord et al. 2016, arXiv 1606.05328, equation 2.
    """
    parts = x.chunk(2 * num_channels, 1)  # in slices, which torch.compile turns into vector code
    pairs = zip(parts[::2], parts[1::2], strict=True)
    return torch.cat([torch.tanh(a) * torch.sigmoid(b) for a, b in pairs], 1)


class ResidualBlock(nn.Module):
    """Residual block of the classic PixelCNN: 1x1, masked k x k, 1x1, all of type B.

    References:
        van den Oord et al. 2016, arXiv 1601.06759, figure 5 (left) and section 3.3.
    """

    def __init__(
        self,
        num_features: int,
        kernel_size: int,
        num_channels: int,
        num_conditions: int,
        dilation: int,
        dropout: float,
    ) -> None:
        super().__init__()
        inner = max(1, num_features // (2 * num_channels)) * num_channels
        self.reduce = MaskedConv2d(num_features, inner, 1, "B", num_channels)
        self.conv = MaskedConv2d(inner, inner, kernel_size, "B", num_channels, dilation)
        self.expand = MaskedConv2d(inner, num_features, 1, "B", num_channels)
        self.condition_bias = condition_bias(num_conditions, inner)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Map (B, F, H, W) and condition (B,) to (B, F, H, W)."""
        inner = self.reduce(F.relu(x))
        inner = self.conv(F.relu(inner)) + self.condition_bias(condition)[:, :, None, None]
        return x + self.expand(self.dropout(F.relu(inner)))


class GatedBlock(nn.Module):
    """One step of both stacks with gates, residual and skip connection.

    The horizontal stack reads the vertical one, never the reverse. Unlike figure 2 of the paper
    the vertical stack has a residual connection too, which trains faster here. Nothing reads the
    stacks after the last block, so that one has its skip only.

    References:
        van den Oord et al. 2016, arXiv 1606.05328, figure 2 and equation 4.
    """

    def __init__(
        self,
        num_features: int,
        kernel_size: int,
        num_channels: int,
        num_conditions: int,
        dilation: int,
        dropout: float,
        is_last: bool,
    ) -> None:
        super().__init__()
        self.num_channels = num_channels
        self.is_last = is_last
        self.vertical = VerticalConv2d(
            num_features, 2 * num_features, kernel_size, "B", dilation=dilation
        )
        self.vertical_to_horizontal = nn.Conv2d(2 * num_features, 2 * num_features, 1)
        self.horizontal = HorizontalConv2d(
            num_features, 2 * num_features, kernel_size, "B", num_channels, dilation
        )
        self.skip = MaskedConv2d(num_features, num_features, 1, "B", num_channels)
        if not is_last:
            self.residual = MaskedConv2d(num_features, num_features, 1, "B", num_channels)
            self.vertical_condition_bias = condition_bias(num_conditions, 2 * num_features)
        self.horizontal_condition_bias = condition_bias(num_conditions, 2 * num_features)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, vertical: Tensor, horizontal: Tensor, condition: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Map both stacks (B, F, H, W) and condition (B,) to vertical, horizontal, skip."""
        above = self.vertical(vertical)  # (B, 2F, H, W)
        left = self.horizontal(horizontal) + self.vertical_to_horizontal(above)
        gated = gated_activation(
            left + self.horizontal_condition_bias(condition)[:, :, None, None], self.num_channels
        )
        gated = self.dropout(gated)
        skip = self.skip(gated)
        if self.is_last:
            return vertical, horizontal, skip
        horizontal = horizontal + self.residual(gated)
        gated = gated_activation(
            above + self.vertical_condition_bias(condition)[:, :, None, None], self.num_channels
        )
        return vertical + gated, horizontal, skip


def condition_bias(num_conditions: int, num_features: int) -> nn.Embedding:
    """Make the table of biases that a condition (a class and a raster order) adds.

    References:
        van den Oord et al. 2016, arXiv 1606.05328, equation 4: V^T h, with h one-hot.
    """
    table = nn.Embedding(num_conditions, num_features)
    nn.init.zeros_(table.weight)
    return table
