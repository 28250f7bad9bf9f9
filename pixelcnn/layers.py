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


COPY_REACH = 2
"""Rows and columns within which a past pixel must not be background for a level to be copied."""
MAX_SCORE = 20.0
"""Of an earlier pixel, so that no sum of weights overflows."""


class CopyHead(nn.Module):
    """Make levels more probable that earlier pixels have: a pointer into the past.

    The logit of level k at pixel p grows by log(1 + sum of exp(s(p, q)) over all earlier pixels q
    of level k), where s(p, q) = query(p) . (key(q) + offset(q - p)) / sqrt(F) + bias. Level 0, the
    background, is never copied, and nothing is where no pixel near by in the past has another.

    Arguments:
        hidden: features of the head that queries and keys are made of.
        num_features: F, of queries and keys.
        num_levels: K.
        height: H.
        width: W.

    References:
        Merity et al. 2016, arXiv 1609.07843, section 2 (a pointer beside a softmax); Shaw et al.
        2018, arXiv 1803.02155, equation 4 (offsets).
    """

    def __init__(
        self, hidden: int, num_features: int, num_levels: int, height: int, width: int
    ) -> None:
        super().__init__()
        self.num_levels = num_levels
        self.query = nn.Linear(hidden, num_features)
        self.key = nn.Linear(hidden, num_features)
        self.offset = nn.Parameter(0.1 * torch.randn(height, 2 * width - 1, num_features))
        self.bias = nn.Parameter(torch.tensor([-4.0]))

    @torch.compiler.disable
    def forward(self, hidden: Tensor, scaled: Tensor) -> Tensor:
        """Give what is added to the logits.

        Arguments:
            hidden: (B, hidden, H, W); those of a pixel know the pixels before it.
            scaled: (B, H, W), the levels scaled to [-1, 1]. Which level is copied has no
                derivative; that it is that of this pixel is given the derivative of a product with
                it, so that the causality check sees it.

        Returns:
            (B, K, H, W).
        """
        if self.training:
            return self._forward(hidden, scaled)
        # Image by image and all pairs, so that what comes later changes no sum by a single bit.
        images = zip(hidden.split(1), scaled.split(1), strict=True)
        return torch.cat([self._forward(*image) for image in images])

    def _forward(self, hidden: Tensor, scaled: Tensor) -> Tensor:
        width = scaled.shape[2]
        scaled = scaled.flatten(1)
        levels = ((scaled.detach() + 1) * ((self.num_levels - 1) / 2)).round().long()  # (B, N)
        near, ink = near_ink(levels.unflatten(1, (-1, width))).flatten(1), levels > 0
        every = torch.ones_like(ink)
        # In training only pairs that count; the lists are filled up with -1 and H * W.
        target = _indices(near if self.training else every, -1)  # (B, T)
        source = _indices(ink if self.training else every, levels.shape[1])  # (B, S)
        hidden = hidden.flatten(2).transpose(1, 2).to(self.bias.dtype)  # (B, N, hidden)
        with torch.autocast(hidden.device.type, enabled=False):
            query = _at(self.query(hidden), target) / self.query.out_features**0.5
            offset = query @ self.offset.flatten(0, 1).T  # (B, T, H * (2W - 1))
            score = self.bias + query @ _at(self.key(hidden), source).mT
            score = score + offset.gather(2, self._offsets(target[:, :, None], source[:, None]))
            counts = source[:, None] < target[:, :, None]
            counts = counts & _at(near, target)[:, :, None] & _at(ink, source)[:, None]
            weight = torch.where(counts, score.clamp(max=MAX_SCORE).exp(), 0)
            weight = weight * _at(1 + (scaled - scaled.detach()), source)[:, None]
            level = _at(levels, source)[:, None].expand_as(weight)
            more = weight.new_zeros(*target.shape, self.num_levels).scatter_add(2, level, weight)
        index = target.clamp(min=0)[:, :, None].expand_as(more)
        out = more.new_zeros(*levels.shape, self.num_levels).scatter_add(1, index, more.log1p())
        return out.mT.unflatten(2, (-1, width))

    def _offsets(self, target: Tensor, source: Tensor) -> Tensor:
        """Number the offset from every target to every source, as the rows of `offset` are."""
        height, columns, _ = self.offset.shape
        width = (columns + 1) // 2
        rows = (target // width - source // width).clamp(0, height - 1)
        return rows * columns + source % width - target % width + width - 1


def near_ink(levels: Tensor) -> Tensor:
    """Tell where a level may be copied: a past pixel is not 0, `COPY_REACH` away or nearer.

    Arguments:
        levels: int64 (B, H, W).

    Returns:
        bool (B, H, W).
    """
    _, height, width = levels.shape
    r = COPY_REACH
    ink = F.pad((levels > 0).float(), (r, r, r, 0))  # (B, H + r, W + 2r)
    above = F.max_pool2d(ink, (r, 2 * r + 1), 1)[:, :height]
    left = F.max_pool2d(ink[:, r:], (1, r), 1)[:, :, :width]
    return torch.maximum(above, left) > 0


def _indices(chosen: Tensor, fill: int) -> Tensor:
    """List where each row is true: int64 (B, longest)."""
    rows = [row.nonzero()[:, 0] for row in chosen]
    return nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=fill)


def _at(values: Tensor, index: Tensor) -> Tensor:
    """Take values (B, N, ...) at indices (B, n), whatever where they are filled up."""
    index = index.clamp(0, values.shape[1] - 1)
    return values[torch.arange(len(values), device=index.device)[:, None], index]
