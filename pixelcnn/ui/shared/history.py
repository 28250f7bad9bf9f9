"""What is drawn, by which rules, with which levels forced: what a link must tell.

As text it names a course of drawing, see `pixelcnn.ui.generate.drawing`.
"""

import math
import re
from dataclasses import dataclass, field

from pixelcnn.config import SamplingRule
from pixelcnn.models import ModelConfig
from pixelcnn.sampling.noise import STREAMS

MAX_LENGTH = 40_000
"""Characters of a history in a link; more than a rule and a forced level at each of 784 pixels."""


@dataclass(frozen=True)
class Subject:
    """What is drawn: with a rule, it fixes every pixel."""

    checkpoint: str
    """Name of the checkpoint."""
    seed: int = 0
    """Fixes the noise of all images."""
    image: int = 0
    """Index of the first image."""
    num_images: int = 1
    """1 is a single picture, more is a sheet."""
    label: int | None = None
    """Class of all images; None for any class."""
    class_per_row: bool = False
    """Whether row r of a sheet shows class r, in turn."""

    def columns(self, num_classes: int) -> int:
        """Give the pictures in a row of the sheet; where rows show classes, all of them if it can.

        >>> Subject("a", num_images=64).columns(10)
        8
        >>> Subject("a", num_images=64, class_per_row=True).columns(10)
        7
        """
        columns = math.ceil(math.sqrt(self.num_images))
        if self.class_per_row and self.num_images >= num_classes:
            while math.ceil(self.num_images / columns) < num_classes:
                columns -= 1
        return columns

    def labels(self, num_classes: int) -> list[int] | None:
        """Give the class of each image."""
        if num_classes == 0:
            return None
        if self.class_per_row and self.num_images > 1:
            columns = self.columns(num_classes)
            return [(i // columns) % num_classes for i in range(self.num_images)]
        return None if self.label is None else [self.label] * self.num_images


@dataclass(frozen=True)
class History:
    """Rules by the position from which they act, and forced levels by position.

    Positions count dimensions, see `ModelConfig.coordinates`; in a grey picture these are pixels.
    """

    rules: tuple[tuple[int, SamplingRule], ...] = ((0, SamplingRule()),)
    """(start, rule), the first one starts at 0, starts rise."""
    forced: dict[int, int] = field(default_factory=dict)
    """Level by position."""
    stream: str = "samples"
    """Random numbers that draw the rest, one of `pixelcnn.sampling.noise.STREAMS`."""

    @property
    def last_rule(self) -> SamplingRule:
        """The rule in force at the end."""
        return self.rules[-1][1]

    def rule_at(self, position: int) -> SamplingRule:
        """Give the rule in force at a pixel."""
        return next(rule for start, rule in reversed(self.rules) if start <= position)

    def first_difference(self, other: "History") -> int | None:
        """Find the first pixel that the other history draws in another way; None for none."""
        if self.stream != other.stream:
            return 0
        starts = {start for start, _ in self.rules + other.rules}
        return next(
            (
                position
                for position in sorted(starts | self.forced.keys() | other.forced.keys())
                if self.rule_at(position) != other.rule_at(position)
                or self.forced.get(position) != other.forced.get(position)
            ),
            None,
        )

    def check_fits(self, config: ModelConfig) -> None:
        """Check that all pixels and levels exist in a model.

        Raises:
            ValueError: if one does not.
        """
        total, levels = config.num_dims, config.num_levels
        for position in [start for start, _ in self.rules] + list(self.forced):
            if not 0 <= position < total:
                raise ValueError(f"pixel {position} must lie in 0..{total - 1}")
        for level in self.forced.values():
            if not 0 <= level < levels:
                raise ValueError(f"level {level} must lie in 0..{levels - 1}")
        for _, rule in self.rules:
            if rule.top_k is not None and rule.top_k > levels:
                raise ValueError(f"top-k {rule.top_k} must lie in 1..{levels}")


def rule_text(rule: SamplingRule) -> str:
    """Describe a rule in a few words.

    >>> rule_text(SamplingRule())
    'temperature 1'
    >>> rule_text(SamplingRule(temperature=0.85, top_k=3, top_p=0.5))
    'temperature 0.85, top-k 3, top-p 0.5'
    """
    parts = [f"temperature {rule.temperature:g}"]
    if rule.top_k is not None:
        parts.append(f"top-k {rule.top_k}")
    if rule.top_p < 1:
        parts.append(f"top-p {rule.top_p:g}")
    return ", ".join(parts)


def to_text(history: History) -> str:
    """Write a history for a link.

    >>> rules = ((0, SamplingRule()), (341, SamplingRule(temperature=0.5, top_k=20)))
    >>> to_text(History(rules, {400: 255}))
    '0_1_0_1~341_0.5_20_1~f400_255'
    """
    parts = [f"{start}_{rule_to_text(rule)}" for start, rule in history.rules]
    parts += [f"f{p}_{v}" for p, v in sorted(history.forced.items())]
    return "~".join(parts if history.stream == "samples" else [*parts, history.stream])


def rule_to_text(rule: SamplingRule) -> str:
    """Write a rule for a link: temperature, top-k or 0, top-p.

    >>> rule_to_text(SamplingRule(temperature=0.5, top_k=20))
    '0.5_20_1'
    """
    numbers = (rule.temperature, rule.top_k or 0, rule.top_p)
    return "_".join(re.sub(r"\.0$", "", repr(number)) for number in numbers)


def from_text(text: str) -> History:
    """Read what `to_text` wrote.

    >>> from_text("0_1_0_1~f400_255").forced
    {400: 255}

    Raises:
        ValueError: if the text is too long or not of that form; names the part at fault.
    """
    if len(text) > MAX_LENGTH:
        raise ValueError(f"{len(text)} characters are more than {MAX_LENGTH}")
    rules: list[tuple[int, SamplingRule]] = []
    forced: dict[int, int] = {}
    stream = "samples"
    number = r"(\d{1,6}(?:\.\d{1,21})?(?:e-\d{1,3})?)"
    for part in text.split("~"):
        if match := re.fullmatch(r"f(\d{1,5})_(\d{1,3})", part):
            forced[int(match[1])] = int(match[2])
        elif match := re.fullmatch(rf"(\d{{1,5}})_{number}_(\d{{1,3}})_{number}", part):
            rule = SamplingRule(
                temperature=float(match[2]), top_k=int(match[3]) or None, top_p=float(match[4])
            )
            rules.append((int(match[1]), rule))
        elif part in STREAMS:
            stream = part
        else:
            raise ValueError(f"{part[:40]!r} is no rule and no forced level")
    starts = [start for start, _ in rules]
    if not starts or starts[0] != 0 or starts != sorted(set(starts)):
        raise ValueError(f"rules start at {starts}; they must start at 0 and rise")
    return History(tuple(rules), forced, stream)
