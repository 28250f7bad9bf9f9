"""A head that makes levels probable which earlier pixels have: a pointer into the past.

Shapes: B batch, N = H * W pixels in raster order, T targets and S sources among them, K levels.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

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

    def weights(self, hidden: Tensor, scaled: Tensor, pixel: int) -> Tensor:
        """Give exp(s(p, q)) of one pixel p and all q; 0 where nothing is copied from.

        Arguments:
            hidden: as `forward` takes it.
            scaled: as `forward` takes it.
            pixel: p in raster order.

        Returns:
            (B, H, W).
        """
        levels = self._levels(scaled)
        source = torch.arange(levels[0].numel(), device=levels.device).expand(len(levels), -1)
        target = torch.full_like(source[:, :1], pixel)
        weights = self._weights(hidden, levels, target, source)
        return weights.view_as(scaled)

    def _forward(self, hidden: Tensor, scaled: Tensor) -> Tensor:
        levels = self._levels(scaled)
        ink, every = (levels > 0).flatten(1), torch.ones_like(levels, dtype=torch.bool).flatten(1)
        # In training only pairs that count; the lists are filled up with -1 and H * W.
        target = _indices(near_ink(levels).flatten(1) if self.training else every, -1)
        source = _indices(ink if self.training else every, levels[0].numel())
        with torch.autocast(hidden.device.type, enabled=False):
            weight = self._weights(hidden, levels, target, source)
            weight = weight * _at(1 + (scaled - scaled.detach()).flatten(1), source)[:, None]
            level = _at(levels.flatten(1), source)[:, None].expand_as(weight)
            more = weight.new_zeros(*target.shape, self.num_levels).scatter_add(2, level, weight)
        index = target.clamp(min=0)[:, :, None].expand_as(more)
        out = more.new_zeros(*ink.shape, self.num_levels).scatter_add(1, index, more.log1p())
        return out.mT.unflatten(2, levels.shape[1:])

    def _levels(self, scaled: Tensor) -> Tensor:
        return ((scaled.detach() + 1) * ((self.num_levels - 1) / 2)).round().long()

    def _weights(self, hidden: Tensor, levels: Tensor, target: Tensor, source: Tensor) -> Tensor:
        """Weigh some pairs: exp(s(p, q)), or 0 where nothing is copied; (B, T, S)."""
        near, ink = near_ink(levels).flatten(1), (levels > 0).flatten(1)
        hidden = hidden.flatten(2).mT.to(self.bias.dtype)  # (B, N, hidden)
        query = _at(self.query(hidden), target) / self.query.out_features**0.5
        offset = query @ self.offset.flatten(0, 1).T  # (B, T, H * (2W - 1))
        score = self.bias + query @ _at(self.key(hidden), source).mT
        score = score + offset.gather(2, self._offsets(target, source))
        counts = source[:, None] < target[:, :, None]
        counts = counts & _at(near, target)[:, :, None] & _at(ink, source)[:, None]
        return torch.where(counts, score.clamp(max=MAX_SCORE).exp(), 0)

    def _offsets(self, target: Tensor, source: Tensor) -> Tensor:
        """Number the offset of every pair as the rows of `offset` are; (B, T, S).

        Those of sources that come later do not matter: they are not counted.
        """
        height, columns, _ = self.offset.shape
        width = (columns + 1) // 2
        to, back = (p // width * columns - p % width for p in (target, source))
        number = (to + width - 1)[:, :, None] - back[:, None]
        return number.clamp(0, height * columns - 1)


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
