"""Hidden kinds of picture, told apart by the levels drawn so far: latent classes of a mixture.

Shapes: B batch, H rows, W columns, N = H * W pixels in raster order, K levels, J kinds, S sides of
the picture, see `pixelcnn.orders.side_of`; pictures are turned so that theirs is the top. "Drawn
on" means: of another level than 0, the background.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

AROUND = 4
"""Kinds of places in a row: the pixel above drawn on or not, the one to the left or not."""

LEAST = 1e-30
"""Probability that every kind keeps: with numbers near the smallest ones, processors are slow."""


class Kinds(nn.Module):
    """Judge by Bayes' rule of which kind a picture is, and make that kind's levels more probable.

    The logit of level k at pixel p grows by strength * log(sum over j of P(j) r_j(k, place of p)).
    r_j(k, place) tells how many times as often as in all pictures level k is at such a place in
    those of kind j; P(j), the posterior, is proportional to prior_j times the product of
    r_j(level of q, place of q) over all pixels q before p that are drawn on. A place is a row,
    counted from the first that is drawn on, with whether the pixels above and to the left are.
    Only pixels that are drawn on are counted, and r of level 0 is 1. Each side has kinds of its
    own. They are fitted before training (`pixelcnn.training.kinds`), which then changes the
    strength alone.

    Arguments:
        num_kinds: J.
        num_levels: K.
        height: H.
        num_sides: S.

    References:
        Lazarsfeld and Henry 1968, "Latent Structure Analysis"; Dempster, Laird and Rubin 1977,
        "Maximum Likelihood from Incomplete Data via the EM Algorithm", section 4.3 (mixtures).
    """

    def __init__(self, num_kinds: int, num_levels: int, height: int, num_sides: int = 1) -> None:
        super().__init__()
        self.table = _fixed(num_sides * height * AROUND, num_levels, num_kinds)
        """log r."""
        self.prior = _fixed(num_sides * num_kinds)
        """Logits."""
        self.strength = nn.Parameter(torch.tensor([0.5]))

    @torch.compiler.disable
    def forward(self, scaled: Tensor, side: Tensor) -> Tensor:
        """Give what is added to the logits.

        Arguments:
            scaled: (B, H, W), the levels scaled to [-1, 1]. What a level tells of the kind has no
                derivative; it is given that of a product with it, for the causality check. What it
                tells of places has none, and is only tried out, by tests and `check_pairs`.
            side: int64 (B,), 0 to S - 1.

        Returns:
            (B, K, H, W).
        """
        levels = self._levels(scaled)
        place, posterior = self._places(levels, side), self.posterior(scaled, side)
        batch, height, width = levels.shape
        rows = posterior.view(batch * height, width, -1)
        first = (place // AROUND)[:, :, 0].flatten()  # all pixels of a row are as far down
        # In training all rows as far down at once. Else row by row, so that what comes later
        # changes no sum by a single bit. In this order a part of the table is read once.
        numbers, in_order = first.sort()
        sizes = torch.ones_like(numbers)
        if self.training:
            numbers, sizes = numbers.unique_consecutive(return_counts=True)
        ratios = self.table.exp().unflatten(0, (-1, AROUND)).flatten(1, 2)  # (S * H, ., J)
        mixed = rows.new_empty(batch * height, width, self.table.shape[1])
        around, cols = (place % AROUND).flatten(0, 1), torch.arange(width, device=place.device)
        for number, part in zip(numbers.tolist(), in_order.split(sizes.tolist()), strict=True):
            all_around = F.linear(rows[part], ratios[number]).unflatten(2, (AROUND, -1))
            images = torch.arange(len(part), device=place.device)[:, None]
            mixed[part] = all_around[images, cols, around[part]].to(mixed.dtype)
        added = self.strength * mixed.log()
        return added.view(batch, height, width, -1).permute(0, 3, 1, 2)

    def posterior(self, scaled: Tensor, side: Tensor) -> Tensor:
        """Give the probability of every kind before each pixel.

        Arguments:
            scaled: as `forward` takes it.
            side: likewise.

        Returns:
            (B, H, W, J).
        """
        levels = self._levels(scaled)
        rows = rows_of_table(self.table, self._places(levels, side), levels)
        evidence = F.embedding(rows, self.table.flatten(0, 1))
        drawn = (levels > 0) * (1 + (scaled - scaled.detach()))
        evidence = (evidence * drawn[..., None]).flatten(1, 2)
        before = F.pad(evidence.cumsum(1)[:, :-1], (0, 0, 1, 0))
        prior = self.prior.view(-1, 1, self.table.shape[2])[side]
        return (prior + before).softmax(2).clamp(LEAST).unflatten(1, levels.shape[1:])

    def _places(self, levels: Tensor, side: Tensor) -> Tensor:
        return places(levels) + (side * levels.shape[1] * AROUND)[:, None, None]

    def _levels(self, scaled: Tensor) -> Tensor:
        return ((scaled.detach() + 1) * ((self.table.shape[1] - 1) / 2)).round().long()


def _fixed(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.zeros(shape), requires_grad=False)


def rows_of_table(table: Tensor, place: Tensor, levels: Tensor) -> Tensor:
    """Number the pairs of a place and a level, in the order of a table (places, K, J)."""
    return place * table.shape[1] + levels


def places(levels: Tensor) -> Tensor:
    """Number the place of every pixel by what comes before it: 0 to AROUND * H - 1.

    Arguments:
        levels: int64 (B, H, W).

    Returns:
        int64 (B, H, W).
    """
    drawn = levels > 0
    above, left = F.pad(drawn, (0, 0, 1, 0))[:, :-1], F.pad(drawn, (1, 0))[:, :, :-1]
    down = (drawn.any(2).cumsum(1) > 0).cumsum(1)  # 1 in the first row that is drawn on
    return (down - 1).clamp(min=0)[:, :, None] * AROUND + 2 * above + left
