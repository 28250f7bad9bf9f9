"""Evidence made up for training: what somebody might know of a picture, or draw of it by hand.

Shapes: B batch, C image channels, H rows, W columns. Everything is drawn from torch's generator of
the process, which `train_step` seeds.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from pixelcnn.evaluation.likelihoods import nll_nats
from pixelcnn.models import Evidence, Model
from pixelcnn.models.conditioned import Reading

CLASS_WEIGHT = 10.0
"""Nats of a wrong class beside those of the pixels, of which there are many."""
SHARE_OF_FACTS = 0.45
"""Share of pictures of which only known pixels are given; of as many, only hints."""
SHARE_WHOLE = 0.04
"""Share of all pictures with facts that are wholly known."""


def evidence_for(model: Model, levels: Tensor) -> list[Evidence]:
    """Make up what the model is given of these pictures: one entry, none if it reads no evidence.

    The evidence is where the levels are.
    """
    if not model.reads_evidence:
        return []
    evidence = draw_evidence(levels.cpu(), model.config.num_levels)
    return [Evidence(*(values.to(levels.device) for values in evidence))]


def unknown_nats(logits: Tensor, levels: Tensor, *evidence: Evidence) -> Tensor:
    """Add up -log p over the dimensions of each picture that are not known: (B,), nats.

    Arguments:
        logits: (B, K, C, H, W).
        levels: int64 (B, C, H, W).
        evidence: see `evidence_for`.
    """
    nats = nll_nats(logits.float(), levels)
    for given in evidence:
        nats = nats.masked_fill(given.known, 0)
    return nats.flatten(1).sum(1)


def training_nats(
    outputs: Tensor | tuple[Tensor | None, Reading],
    levels: Tensor,
    label: Tensor,
    *evidence: Evidence,
) -> tuple[Tensor, Tensor]:
    """Score what a network returned for pictures, and for the evidence if it reads any.

    An encoder is also taught to tell each unknown dimension by itself, and the class. The drawing
    is guided by the same features, which learn these scores earlier.

    Arguments:
        outputs: logits (B, K, C, H, W), and what an encoder read; None for logits not computed.
        levels: int64 (B, C, H, W).
        label: int64 (B,), the true classes.
        evidence: see `evidence_for`.

    Returns:
        Nats of each picture, (B,): of the drawing, or where none was computed of the encoder's own
        predictions. And the other scores added up; a class counts `CLASS_WEIGHT` times.
    """
    if not evidence:
        return unknown_nats(outputs, levels), levels.new_zeros((), dtype=torch.float32)
    logits, reading = outputs
    marginals = reading.marginals.unflatten(1, (levels.shape[1], -1)).transpose(1, 2)
    alone = unknown_nats(marginals, levels, *evidence)
    classes = alone.new_zeros(())
    if reading.class_logits.shape[1] > 1:
        guess = F.cross_entropy(reading.class_logits.float(), label, reduction="sum")
        classes = CLASS_WEIGHT * guess
    if logits is None:
        return alone, classes
    return unknown_nats(logits, levels, *evidence), classes + alone.sum()


def draw_evidence(levels: Tensor, num_levels: int) -> Evidence:
    """Make up fresh evidence for every picture.

    Arguments:
        levels: int64 (B, C, H, W), values 0..K-1.
        num_levels: K.

    Returns:
        Known pixels of the picture itself for some pictures, hints for others, or both. Levels of
        hints are those of the pen, not those of the picture.
    """
    batch, _, height, width = levels.shape
    known = torch.stack([known_pixels(height, width) for _ in range(batch)])[:, None]
    hints, ink = sketches(levels, num_levels)
    kind = torch.rand(batch, 1, 1, 1)
    known |= torch.rand(batch, 1, 1, 1) < SHARE_WHOLE  # nothing to draw: only to tell the class
    known &= (kind < SHARE_OF_FACTS) | (kind > 2 * SHARE_OF_FACTS)
    hints &= (kind >= SHARE_OF_FACTS) & ~known
    return Evidence(torch.where(hints, ink, levels), known, hints)


def known_pixels(height: int, width: int) -> Tensor:
    """Draw which pixels of a picture are known: bool (H, W), some but not all."""
    row, col = _rows_and_cols(height, width)
    kind = _one_of(7)
    if kind == 0:  # rows or columns up to a line
        side, size = (row, height) if _chance(0.6) else (col, width)
        known = side < _between(0.1, 0.9) * size
    elif kind == 1:  # what is left around a box, or the box
        known = _box(height, width)
    elif kind == 2:  # every n-th row or column
        known = (row if _chance(0.7) else col) % (2 + _one_of(3)) == 0
    elif kind == 3:  # pixels here and there
        known = torch.rand(height, width) < _between(0.02, 0.7)
    elif kind == 4:  # a half, cut at any angle
        known = _half_plane(height, width)
    else:  # where a brush went
        known = _brush(height, width, 1 + _one_of(3))
    if kind != 5 and _chance(0.5):
        known = ~known
    if not known.any() or known.all():
        return known_pixels(height, width) if height * width > 1 else known ^ known
    return known


def sketches(levels: Tensor, num_levels: int, *, whole: bool = False) -> tuple[Tensor, Tensor]:
    """Draw pictures by an unsteady hand: hints bool (B, 1, H, W), ink int64 (B, C, H, W).

    The hand draws outlines, silhouettes, inner edges, a part of them, or a stroke through what is
    bright; at another size, moved and turned; with a thin pen or a thick one; and astray at times.
    With `whole` it is an outline or a silhouette, and no part is left out.
    """
    batch, channels, height, width = levels.shape
    bright = _unsteady(levels.float().mean(1, keepdim=True) / (num_levels - 1))  # (B, 1, H, W)
    ink = torch.full_like(levels, num_levels - 1)
    drawn = []
    for i, picture in enumerate(bright):
        strokes = _sketch(picture[None], whole)[0, 0]
        if _chance(0.15):
            strokes |= _brush(height, width, 1) & (torch.rand(height, width) < 0.9)
        if not strokes.any():
            strokes = _brush(height, width, 1)
        if _chance(0.2):  # a pen of another level, near that of the picture or not
            here = levels[i][:, strokes].float().mean()
            level = here if _chance(0.7) else torch.rand(()) * (num_levels - 1)
            ink[i] = level.round().long().clamp(1, num_levels - 1)
        drawn.append(strokes)
    return torch.stack(drawn)[:, None], ink


def _sketch(bright: Tensor, whole: bool) -> Tensor:
    """Draw one picture (1, 1, H, W), values 0..1."""
    height, width = bright.shape[2:]
    inside = bright > _between(0.08, 0.5) * bright.max()
    kind = torch.rand(()) * (0.6 if whole else 1)
    if kind < 0.4:  # the outline
        strokes = inside & (_grow((~inside).float(), cross=True) > 0)
    elif kind < 0.6:  # all of it, or what is left of it when a pixel is taken off at each side
        core = _grow((~inside).float(), cross=True) == 0
        strokes = core if core.any() and _chance(0.5) else inside
    elif kind < 0.75:  # lines within, where it gets brighter or darker
        steps = F.pad(bright.diff(dim=2).abs(), (0, 0, 0, 1)) + F.pad(
            bright.diff(dim=3).abs(), (0, 1, 0, 0)
        )
        strokes = steps > max(float(steps.quantile(_between(0.8, 0.95))), 1e-3)
    else:  # strokes through it
        strokes = inside & _brush(height, width, 1 + _one_of(4), inside[0, 0])
    if not whole and _chance(0.45):  # only a part
        part = _half_plane if _chance(0.6) else _box
        strokes = strokes & part(height, width)
    if _chance(0.35):
        strokes = _grow(strokes.float(), cross=_chance(0.6)) > 0
    if _chance(0.2):  # gaps
        strokes = strokes & (torch.rand(strokes.shape) < _between(0.6, 0.95))
    return strokes


def _unsteady(pictures: Tensor) -> Tensor:
    """Move, turn, stretch and bend pictures (B, 1, H, W) at random, each a little."""
    batch, _, height, width = pictures.shape
    angle = (torch.randn(batch) * 0.08).clamp(-0.3, 0.3)
    scale = 1 + (torch.randn(2, batch) * 0.09).clamp(-0.25, 0.25)
    shift = torch.randn(2, batch) * 0.06  # of half a picture
    cos, sin = angle.cos(), angle.sin()
    rows = [
        torch.stack([scale[0] * cos, -sin, shift[0]], 1),
        torch.stack([sin, scale[1] * cos, shift[1]], 1),
    ]
    grid = F.affine_grid(torch.stack(rows, 1), list(pictures.shape), align_corners=False)
    bend = F.interpolate(torch.randn(batch, 2, 4, 4) * 0.05, size=(height, width), mode="bicubic")
    return F.grid_sample(pictures, grid + bend.permute(0, 2, 3, 1), align_corners=False)


def _brush(height: int, width: int, size: int, start_in: Tensor | None = None) -> Tensor:
    """Move a round brush about: bool (H, W)."""
    corner = torch.tensor([height - 1.0, width - 1.0])
    at = torch.rand(2) * corner
    if start_in is not None and start_in.any():
        places = start_in.nonzero()
        at = places[_one_of(len(places))].float()
    direction, bend = _between(0, 2 * math.pi), float(torch.randn(())) * 0.15
    path = []
    for _ in range(4 + _one_of(height + width)):
        path.append(at)
        at = at + torch.tensor([math.sin(direction), math.cos(direction)])
        outside = (at < 0) | (at > corner)
        if outside.any() or _chance(0.03):
            direction += _between(0.5, 1.5) * math.pi
            at = at.clamp(torch.zeros(2), corner)
        direction += bend + float(torch.randn(())) * 0.12
    place = torch.stack(_rows_and_cols(height, width), -1).view(-1, 2).float()
    gap = torch.cdist(place, torch.stack(path)).min(1).values
    return (gap <= size / 2).view(height, width)


def _half_plane(height: int, width: int) -> Tensor:
    row, col = _rows_and_cols(height, width)
    angle = _between(0, 2 * math.pi)
    y, x = (row + 0.5) / height - _between(0.3, 0.7), (col + 0.5) / width - _between(0.3, 0.7)
    return y * math.sin(angle) + x * math.cos(angle) > 0


def _box(height: int, width: int) -> Tensor:
    inside = torch.ones(height, width, dtype=torch.bool)
    for place, size in zip(_rows_and_cols(height, width), (height, width), strict=True):
        length = max(1.0, _between(0.25, 0.8) * size)
        first = _between(0, max(size - length, 0.0))
        inside &= (place >= first) & (place < first + length)
    return inside


def _rows_and_cols(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Give the row and the column of each pixel, int64 (H, W) both."""
    return torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")


def _grow(mask: Tensor, *, cross: bool) -> Tensor:
    """Thicken by a pixel to the sides, and with `cross` False to the corners too."""
    if cross:
        return torch.maximum(
            F.max_pool2d(mask, (3, 1), 1, (1, 0)), F.max_pool2d(mask, (1, 3), 1, (0, 1))
        )
    return F.max_pool2d(mask, 3, 1, 1)


def _between(low: float, high: float) -> float:
    return low + (high - low) * float(torch.rand(()))


def _one_of(count: int) -> int:
    return int(torch.randint(count, ()))


def _chance(probability: float) -> bool:
    return float(torch.rand(())) < probability
