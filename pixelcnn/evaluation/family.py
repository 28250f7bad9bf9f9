"""Members of a family, models of several kinds: how far each looks, and what it costs.

Shapes: B images, N dimensions in the order of prediction, K levels.
"""

import statistics
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Annotated

import numpy as np
import torch
from pydantic import Field, TypeAdapter
from pydantic.dataclasses import dataclass
from torch import Tensor

from pixelcnn.config import STRICT, Share, fault_of
from pixelcnn.evaluation.likelihoods import nll_nats, surprise_bits
from pixelcnn.evaluation.stored import Count, NotNegative, StoredNumbersError, percent
from pixelcnn.files import read_file
from pixelcnn.inspection.influence import logits, one_thread
from pixelcnn.inspection.receptive_field import as_images, dependency_maps, in_order, past_coverage
from pixelcnn.models import Model
from pixelcnn.sampling import sample
from pixelcnn.storage import CHECKPOINT_DIR, CheckpointInfo

PLACES = 98
"""Places of an image, evenly spread, at which a level is changed or the past is cut off."""
TOGETHER = 7
"""Images in one pass."""
TIMED = 5
"""Measurements of a time; the median counts."""
TRAINED_TOGETHER = 16
"""Images of the batch whose training is timed."""
ROUNDING = 1e-6
"""Influence below which it is that of rounding, not of the level, and counts as none."""
EQUAL = 0.005
"""Bits/dim below which a difference is not clear."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Member:
    """What was measured of one member. Seconds are those of one core, busy with nothing else."""

    dataset: str
    """Key of the data set that it learned."""
    architecture: str
    """Name in `pixelcnn.models.ARCHITECTURES`."""
    num_parameters: Count
    images_seen: Count
    validation_bits_per_dim: NotNegative | None
    """As the checkpoint says; None if it says nothing."""
    past_seen: Share
    """Share of all pairs (prediction, earlier pixel) inside the receptive field."""
    training_seconds: NotNegative
    """For one image, forward and backward, of a batch of `TRAINED_TOGETHER`."""
    drawing_seconds: NotNegative
    """For one picture drawn alone with the stepper."""
    naive_seconds: NotNegative
    """For one picture drawn with a pass of the whole network for every dimension: N times one
    pass."""
    num_images: Annotated[int, Field(ge=1)]
    """Test images of which the following are means."""
    bits_per_dim: NotNegative
    influence: list[Share]
    """Total variation of a prediction when the level d dimensions before it moves by half the
    range; the first of N - 1 entries is that of d = 1."""
    influence_in_picture: list[Share] = Field(default=[])
    """The same, d pixels away in the picture, see `measure_range`; the first of max(H, W) - 1
    entries is that of d = 1. Empty in files from before this was measured."""
    bits_lost: list[float]
    """Bits/dim more that the images cost if each prediction is told only of the n dimensions
    before it; the first of N - 1 entries is that of n = 0. What lies farther back is that of
    another image."""

    @property
    def score(self) -> float:
        """Bits/dim on the validation images, else on those that were measured."""
        bits = self.validation_bits_per_dim
        return self.bits_per_dim if bits is None else bits

    def influence_beyond(self, distance: int) -> float:
        """Give the share of the influence, summed over distances, from farther than a distance."""
        return sum(self.influence[distance:]) / max(sum(self.influence), 1e-12)


def measure_member(
    model: Model, info: CheckpointInfo, levels: Tensor, label: Tensor | None, others: Tensor
) -> Generator[float, None, Member]:
    """Measure a member; yields the share that is done.

    Arguments:
        model: a model in evaluation mode.
        info: what its checkpoint says.
        levels: uint8 (B, C, H, W), test images.
        label: int64 (B,), or None to give no class.
        others: uint8 (B, C, H, W), of each image another one of its class, to hide its past with.
    """
    c = model.config
    seen, past = past_coverage(dependency_maps(model))
    with one_thread():
        training = _seconds(lambda: _train(model, levels, label))
        drawing = _seconds(lambda: sample(model, num_images=1))
        one_pass = _seconds(lambda: logits(model, levels[:1].long(), None))
    influence, in_picture, bits_lost, bits = yield from measure_range(model, levels, label, others)
    return Member(
        dataset=info.dataset or "",
        architecture=c.architecture,
        num_parameters=model.num_parameters,
        images_seen=info.images_seen,
        validation_bits_per_dim=info.bits_per_dim.get("validation"),
        past_seen=seen / max(past, 1),
        training_seconds=training / TRAINED_TOGETHER,
        drawing_seconds=drawing,
        naive_seconds=c.num_dims * one_pass,
        num_images=len(levels),
        bits_per_dim=bits,
        influence=_rounded(influence),
        influence_in_picture=_rounded(in_picture),
        bits_lost=_rounded(bits_lost),
    )


def measure_range(
    model: Model, levels: Tensor, label: Tensor | None, others: Tensor
) -> Generator[float, None, tuple[Tensor, Tensor, Tensor, float]]:
    """Measure how far a model looks, along the order of prediction and in the picture.

    At each of `PLACES` of an image, one pass with a level changed and one with another past up to
    there say something about every prediction that follows, at its own distance. In the picture
    two pixels are max(rows, columns) apart: the kernels are squares, so this is the distance that
    they reach, and all eight neighbours are 1 apart. Channels of one pixel, 0 apart, are left out.
    Arguments and yields are those of `measure_member`.

    Returns:
        Influence along the order (N - 1,) and in the picture (max(H, W) - 1,), and bits lost
        (N - 1,), all float64, see `Member`; and bits/dim.
    """
    c = model.config
    total, half = c.num_dims, c.num_levels // 2
    every = torch.arange(total)
    pixels = every // c.num_channels
    rows, cols = pixels // c.width, pixels % c.width
    step = max(1, (total - 1) // PLACES)
    influence, lost, pairs = torch.zeros(3, total - 1, dtype=torch.float64)  # by distance - 1
    in_picture, pairs_in_picture = torch.zeros(2, max(c.height, c.width), dtype=torch.float64)
    bits = 0.0
    for number in range(len(levels)):
        its_label = None if label is None else int(label[number])
        own, other = (
            x[number].long().permute(1, 2, 0).reshape(1, -1) for x in (levels, others)
        )  # (1, N)
        truth = as_images(own, c)
        known = logits(model, truth, its_label)
        before = in_order(known).softmax(2)
        before_bits = in_order(surprise_bits(known, truth)[:, None])[0, :, 0]  # (N,)
        bits += float(before_bits.mean()) / len(levels)
        places = torch.arange(number % step, total - 1, step)
        for part in places.split(TOGETHER):
            at = torch.arange(len(part)), part
            changed = own.repeat(len(part), 1)
            changed[at] = (changed[at] + half) % c.num_levels
            after = in_order(logits(model, as_images(changed, c), its_label)).softmax(2)
            moved = (after - before).abs().sum(2) / 2  # (n, N)
            hidden = torch.where(every <= part[:, None], other, own)
            told = logits(model, as_images(hidden, c), its_label)
            extra = in_order(surprise_bits(told, truth.expand(len(part), -1, -1, -1))[:, None])
            extra = extra[..., 0] - before_bits
            for row, place in enumerate(part.tolist()):
                later, distances = slice(place + 1, None), slice(total - place - 1)
                influence[distances] += moved[row, later]
                lost[distances] += extra[row, later]
                pairs[distances] += 1
                apart = torch.maximum(
                    (rows[later] - rows[place]).abs(), (cols[later] - cols[place]).abs()
                )
                in_picture.index_add_(0, apart, moved[row, later].double())
                pairs_in_picture += torch.bincount(apart, minlength=len(in_picture))
            yield (number + float(part[-1] + 1) / total) / len(levels)
    # Of N predictions, only those after the first n + 1 have anything beyond n to be hidden.
    pairs, pairs_in_picture = pairs.clamp(min=1), pairs_in_picture.clamp(min=1)
    lost = lost / pairs * (total - every[1:]) / total
    influence, in_picture = (
        torch.where(mean < ROUNDING, 0.0, mean.clamp(max=1))
        for mean in (influence / pairs, in_picture / pairs_in_picture)
    )
    return influence, in_picture[1:], lost, bits


def _rounded(values: Tensor) -> list[float]:
    return [float(f"{value:.4g}") for value in values.tolist()]


def another_of_each_class(label: Tensor, count: int) -> Tensor:
    """Choose, for each of the first images, the next one of the same class: int64 (count,).

    >>> another_of_each_class(torch.tensor([0, 1, 1, 0, 2]), 4).tolist()
    [3, 2, 1, 0]
    """
    found = []
    for number in range(count):
        same = (label == label[number]).nonzero().flatten()
        at = int((same == number).nonzero())
        found.append(int(same[(at + 1) % len(same)]))
    return torch.tensor(found)


def _train(model: Model, levels: Tensor, label: Tensor | None) -> None:
    """Go forward and backward once; the weights stay as they are."""
    chosen = torch.arange(TRAINED_TOGETHER) % len(levels)
    images, labels = levels[chosen].long(), None if label is None else label[chosen]
    with torch.enable_grad():
        copies = {k: v.detach().clone().requires_grad_(True) for k, v in model.named_parameters()}
        predicted = torch.func.functional_call(model, copies, (images, labels))
        nll_nats(predicted, images).mean().backward()


def _seconds(work: Callable[[], object]) -> float:
    """Time a work: the median of the time that the processor spent on it."""
    times = []
    for _ in range(TIMED):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return statistics.median(times)


CURVES_PATH = CHECKPOINT_DIR / "curves.json"
Curves = Mapping[str, Sequence[tuple[Count, NotNegative]]]
"""Images seen and validation bits/dim on the way through each training, by a name."""
_CURVES = TypeAdapter(Curves)


def read_curves() -> Curves:
    """Read the curves of the shipped models, by checkpoint.

    Raises:
        StoredNumbersError: if the file is damaged.
    """
    try:
        return _CURVES.validate_json(read_file(CURVES_PATH, 2**20))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise StoredNumbersError(f"{CURVES_PATH}: is damaged ({fault_of(error)}).") from error


def after_same_cpu_time(
    members: Mapping[str, Member], curves: Curves
) -> tuple[float, dict[str, float]]:
    """Give what each member needed when the fastest had finished, in CPU time of its own.

    Arguments:
        members: by title.
        curves: of some of them, by title.

    Returns:
        The CPU seconds that the fastest took, and bits/dim after them by title: linear between two
        points of the curve. Who has no curve, or one that begins later, is left out.
    """
    seconds = min(m.training_seconds * m.images_seen for m in members.values())
    found = {}
    for title, member in members.items():
        curve = curves.get(title, [])
        times = [member.training_seconds * images for images, _ in curve]
        if times and times[0] <= seconds <= times[-1]:
            found[title] = float(np.interp(seconds, times, [bits for _, bits in curve]))
    return seconds, found


def name_leaders(members: Mapping[str, Member], seconds: float, bits: Mapping[str, float]) -> str:
    """Say in one sentence who leads after the same images, and who after the same CPU time.

    Arguments:
        members: by title; all have seen as many images.
        seconds: of the same CPU time, see `after_same_cpu_time`.
        bits: bits/dim after it, by title.
    """
    sentence = f"After the same images, {_lead({t: m.score for t, m in members.items()})}"
    if len(bits) > 1:
        sentence += f"; after the same CPU time, {seconds / 60:.1f} minutes each, {_lead(bits)}"
        if len(bits) < len(members):
            sentence += f" among the {len(bits)} models with a value"
    return sentence + "."


def _lead(bits: Mapping[str, float]) -> str:
    """Name the best, and all that are not clearly worse."""
    best = min(bits.values())
    first = [title for title in sorted(bits, key=bits.get) if bits[title] - best < EQUAL]
    lead = "leads" if len(first) == 1 else "share the lead"
    return f"{' and '.join(first)} {lead} ({best:.3f} bits/dim)"


CLAIM = "GPT is better than PixelCNN, because it understands long ranges better."
CONVOLUTIONS = ("classic", "gated")


def answer_claim(members: Sequence[Member], row: int) -> list[str]:
    """Answer `CLAIM` in three sentences, from the numbers; none if either kind is missing.

    Arguments:
        members: of one data set.
        row: dimensions from which on a distance counts as far; a row of a picture.
    """
    gpt = [m for m in members if m.architecture == "transformer"]
    cnn = [m for m in members if m.architecture in CONVOLUTIONS]
    if not gpt or not cnn:
        return []
    gpt, cnn = min(gpt, key=lambda m: m.score), min(cnn, key=lambda m: m.score)
    names = {id(gpt): "the transformer", id(cnn): f"the {cnn.architecture} PixelCNN"}
    gap = cnn.score - gpt.score
    first = (
        f"After {gpt.images_seen:,} images {names[id(gpt)]} needs {gpt.score:.3f} bits/dim and "
        f"{names[id(cnn)]} {cnn.score:.3f}"
    )
    if cnn.images_seen != gpt.images_seen:
        first += f" (after {cnn.images_seen:,} images)"
    if abs(gap) < EQUAL:
        first += ", so here neither is clearly better."
    else:
        first += f", so here {names[id(gpt if gap > 0 else cnn)]} is better, by {abs(gap):.3f}."
    far = [m.influence_beyond(row) for m in (gpt, cnn)]
    second = (
        f"Of all influence on its predictions, {percent(far[0], 0)} comes from more than {row} "
        f"steps back in the transformer, and {percent(far[1], 0)} in the PixelCNN."
    )
    lost = [max(m.bits_lost[min(row, len(m.bits_lost) - 1)], 0.0) for m in (gpt, cnn)]
    third = (
        f"Hide all that lies more than {row} steps back, and the transformer needs "
        f"{lost[0]:.3f} bits/dim more, the PixelCNN {lost[1]:.3f}: "
    )
    uses_more = lost[0] - lost[1] >= EQUAL
    if uses_more and gap >= EQUAL:
        third += "the claim holds here, as far as these numbers go."
    elif uses_more:
        third += "the transformer does use the far past more, but it is not better for it here."
    elif gap >= EQUAL:
        third += "the transformer is better here, but not because it uses the far past more."
    else:
        third += "the claim does not hold here."
    return [first, second, third]
