"""The server half of the player: pictures while they are drawn, with their branches.

Knows nothing of Streamlit. The browser asks for pixels with `pull`; every answer is one message of
bytes, and asking twice for the same pixels gives the same answer.
"""

import ast
import inspect
import textwrap
import threading
import time
import uuid
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray

from pixelcnn.config import SamplingRule
from pixelcnn.models import AutoregressiveModel
from pixelcnn.pictures import Picture, pictures, png_bytes
from pixelcnn.sampling import CachedSampler, label_tensor, make_noise
from pixelcnn.sampling.cached import one_thread
from pixelcnn.sampling.naive import iter_naive
from pixelcnn.sampling.rules import entropy_bits, explain, surprise_bits
from pixelcnn.ui.history import History
from pixelcnn.ui.wire import encode

MAX_BRANCHES = 8
"""Branches kept of one picture; the oldest one that nobody looks at is dropped."""
SECONDS_PER_ANSWER = 0.12
"""Time in which one answer computes pixels; short, so that the page stays responsive."""


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

    @property
    def columns(self) -> int:
        """Pictures in a row of the sheet."""
        return int(np.ceil(np.sqrt(self.num_images)))

    def labels(self, num_classes: int) -> list[int] | None:
        """Give the class of each image."""
        if num_classes == 0:
            return None
        if self.class_per_row and self.num_images > 1:
            return [(i // self.columns) % num_classes for i in range(self.num_images)]
        return None if self.label is None else [self.label] * self.num_images


class Branch:
    """One course of drawing: a sampler, its history of rules, and everything it recorded."""

    def __init__(self, sampler: CachedSampler, history: History, text: str) -> None:
        c = sampler.config
        count, images = c.height * c.width, len(sampler.noise)
        self.run = uuid.uuid4().hex[:8]
        self.parent: str | None = None  # its run: the branch itself may be dropped
        self.start = 0
        self.text = text
        self.sampler = sampler
        self.history = history
        self.rewinds: list[int] = []
        self.level = np.zeros((count, images), np.uint8)
        self.uniform = np.ascontiguousarray(
            sampler.noise.reshape(images, count).T, dtype=np.float32
        )
        self.entropy_bits = np.zeros((count, images), np.float32)
        self.surprise_bits = np.zeros((count, images), np.float32)
        levels = c.num_levels if images == 1 else 0  # a sheet carries no distributions
        self.model_probabilities = np.zeros((count, levels), np.float32)
        self.rule_probabilities = np.zeros((count, levels), np.float32)
        self.was: dict[int, int] = {}

    @property
    def count(self) -> int:
        """Pixels drawn so far."""
        return self.sampler.position

    @property
    def total(self) -> int:
        """Pixels of the picture."""
        return len(self.level)

    @property
    def done(self) -> bool:
        """Whether the picture is finished."""
        return self.sampler.done

    def draw(self, max_pixels: int, seconds: float) -> None:
        """Draw at least one pixel, then more until a limit is reached."""
        until = time.perf_counter() + seconds
        end = min(self.total, self.count + max_pixels)
        with one_thread():
            while self.count < end:
                self._draw_one()
                if time.perf_counter() > until:
                    break

    def finish(self) -> None:
        """Draw all that is left."""
        self.draw(self.total, float("inf"))

    def rewind(self, position: int) -> None:
        """Forget everything from a position on."""
        self.sampler.rewind(position)
        self.history = self.history.before(position)
        self.rewinds.append(position)

    def fork(self, position: int, text: str) -> "Branch":
        """Make a branch that shares everything before a position."""
        branch = Branch(self.sampler.fork(), self.history.before(position), text)
        branch.sampler.rewind(position)
        branch.parent, branch.start = self.run, position
        branch.was = {p: v for p, v in self.was.items() if p < position}
        for name in (
            "level", "entropy_bits", "surprise_bits", "model_probabilities", "rule_probabilities"
        ):  # fmt: skip
            getattr(branch, name)[:position] = getattr(self, name)[:position]
        return branch

    def levels(self) -> torch.Tensor:
        """Return the pictures as levels (B, 1, H, W); pixels not drawn yet are 0."""
        c = self.sampler.config
        drawn = np.where(np.arange(self.total)[:, None] < self.count, self.level, 0)
        return torch.from_numpy(drawn.T.astype(np.int64)).view(-1, 1, c.height, c.width)

    def pictures(self) -> list[Picture]:
        """Return the pictures as display values."""
        return pictures(self.levels(), self.sampler.config.num_levels)

    def _draw_one(self) -> None:
        at = self.count
        rule = self.history.rule_at(at)
        forced = self.history.forced.get(at)
        level, logits = self.sampler.step(rule, forced)
        self.level[at] = level
        if len(level) > 1:
            self.entropy_bits[at] = entropy_bits(logits)
            self.surprise_bits[at] = surprise_bits(logits, level)
            return
        steps = explain(logits[0], rule, float(self.sampler.noise.reshape(-1)[at]))
        if forced is not None:
            self.was[at] = steps.level
        self.entropy_bits[at] = steps.entropy_bits
        self.surprise_bits[at] = surprise_bits(logits, level)
        self.model_probabilities[at] = steps.model_probabilities
        self.rule_probabilities[at] = steps.probabilities


class Drawing:
    """A picture or a sheet being drawn, with all its branches.

    Arguments:
        model: a grey model, in evaluation mode.
        dependency: `dependency_maps(model)` packed with `np.packbits(..., axis=1)`.
        subject: what is drawn.
        history: rules and forced levels from the first pixel on.
        captions: one text for each image.

    Raises:
        ValueError: if the subject or the history does not fit the model.
    """

    def __init__(
        self,
        model: AutoregressiveModel,
        dependency: NDArray[np.uint8],
        subject: Subject,
        history: History,
        captions: list[str],
    ) -> None:
        c = model.config
        if c.num_channels != 1:
            raise ValueError(
                f"The player shows grey pictures; this model has {c.num_channels} channels."
            )
        history.check_fits(c)
        noise = make_noise(
            c, num_images=subject.num_images, seed=subject.seed, first_image=subject.image
        )
        label = label_tensor(subject.labels(c.num_classes), subject.num_images)
        self.config = c
        self.subject = subject
        self.captions = captions
        self.dependency = dependency
        self.picture = uuid.uuid4().hex[:8]
        self.current = Branch(CachedSampler(model, noise, label), history, "first drawing")
        self.branches = [self.current]
        self.rule = history.last_rule
        """The rule that the viewer wants from now on."""
        self.ask = 0
        self.lock = threading.RLock()
        """Held while pixels are drawn: an export may finish the picture while it is played."""
        self._forks: dict[str, str] = {}
        self.turn = 0
        """How often the drawing turned into a new branch; the viewer follows when it grows."""

    def want(self, rule: SamplingRule) -> None:
        """Note a new rule; it acts from the pixel that the viewer is at, so he is asked for it."""
        if rule != self.rule:
            self.rule = rule
            self.ask += 1

    def answer_pull(
        self,
        run: str,
        revision: int,
        have: int,
        position: int,
        seen: int,
        speed: float,
        holds: str | None,
        turn: int,
    ) -> bytes:
        """Answer "I have so many pixels of this run": draw on if needed, and send what is missing.

        Arguments:
            run: branch that the viewer looks at.
            revision: how many times he knows it to have been rewound.
            have: pixels that he holds of it.
            position: pixels that he is shown.
            seen: the most that he was ever shown.
            speed: pixels per second that he plays.
            holds: name of the model whose receptive field he holds.
            turn: the newest turn into another branch that he has followed.
        """
        branch = self._branch(run)
        # He looks at a branch that is dropped, or the message about a new one did not reach him.
        if branch is None or turn < self.turn:
            return self.message(self.current, self.current.start, holds)
        if branch is not self.current:
            self.select(run)
        # What was drawn again since he last heard of it, he must get again.
        valid = min([branch.count, *branch.rewinds[max(revision, 0) :]])
        have = min(max(have, 0), valid)
        position = min(max(position, 0), valid)  # a player mounted anew is ahead of what it has
        if self.rule != branch.history.last_rule:
            branch = self._change_rule(branch, position, max(seen, position))
            have = min(have, branch.count)
        if have >= branch.count and not branch.done:
            branch.draw(max(16, int(speed * 0.5)), SECONDS_PER_ANSWER)
        return self.message(branch, have, holds)

    def answer_fork(
        self, run: str, position: int, level: int, request: str, holds: str | None
    ) -> bytes:
        """Force another level at a drawn pixel and go on from there in a new branch.

        A repeated request (the answer was lost) gives the branch that the first one made.

        Raises:
            ValueError: if the pixel is not drawn, or the level does not exist.
        """
        if (made := self._branch(self._forks.get(request, ""))) is not None:
            return self.message(made, made.start, holds)
        parent = self._branch(run) or self.current
        if not 0 <= position < parent.count:
            raise ValueError(
                f"`position` (={position}) must be a drawn pixel, 0..{parent.count - 1}."
            )
        if not 0 <= level < self.config.num_levels:
            raise ValueError(f"`level` (={level}) must lie in 0..{self.config.num_levels - 1}.")
        row, col = divmod(position, self.config.width)
        text = f"row {row}, column {col}: level {parent.level[position, 0]} → {level}"
        branch = parent.fork(position, text)
        branch.history = branch.history.with_rule(position, self.rule)
        branch.history = branch.history.with_forced(position, level)
        self._add(branch)
        self._forks[request] = branch.run
        branch.draw(16, SECONDS_PER_ANSWER)
        return self.message(branch, position, holds)

    def select(self, run: str) -> None:
        """Make a branch the current one; its last rule becomes the wanted one."""
        self.current = self._branch(run) or self.current
        self.rule = self.current.history.last_rule

    def message(self, branch: Branch, start: int, holds: str | None = None) -> bytes:
        """Encode what the player needs, with the pixels from `start` on."""
        c, done = self.config, branch.done
        single = self.subject.num_images == 1
        header = {
            "picture": self.picture,
            "run": branch.run,
            "parent": branch.parent,
            "fork": branch.start,
            "model": self.subject.checkpoint,
            "start": start,
            "count": branch.count - start,
            "total": branch.total,
            "revision": len(branch.rewinds),
            "rewinds": branch.rewinds,
            "height": c.height,
            "width": c.width,
            "num_levels": c.num_levels,
            "num_images": self.subject.num_images,
            "columns": self.subject.columns,
            "captions": self.captions,
            "rules": [{"start": at, **r.to_dict()} for at, r in branch.history.rules],
            "forced": [
                {"position": at, "level": level, "was": branch.was.get(at)}
                for at, level in branch.history.forced.items()
                if at < branch.count
            ],
            "branches": [
                {
                    "run": b.run,
                    "parent": b.parent,
                    "fork": b.start,
                    "text": b.text,
                }
                for b in self.branches
            ],
            "done": done,
            "total_bits": [float(v) for v in branch.surprise_bits.sum(0, dtype=np.float64)]
            if done
            else None,
            "png_bytes": [len(png_bytes(p)) for p in branch.pictures()] if done else None,
            "ask": self.ask,
            "turn": self.turn,
            "code": sampling_loop() if single else None,
            "autoplay": True,
        }
        part = slice(start, branch.count)
        sections = {
            "level": branch.level[part],
            "uniform": branch.uniform[part],
            "entropy_bits": branch.entropy_bits[part],
            "surprise_bits": branch.surprise_bits[part],
        }
        if single:
            sections["model_probs"] = branch.model_probabilities[part]
            sections["rule_probs"] = branch.rule_probabilities[part]
            if holds != self.subject.checkpoint:
                sections["dependency"] = self.dependency
        return encode(header, sections)

    def _change_rule(self, branch: Branch, position: int, seen: int) -> Branch:
        if position == branch.total:  # finished: draw it anew, the first one stays for comparison
            position = 0
        if seen > position:
            branch = branch.fork(position, "")
            self._add(branch)
        else:
            forced = branch.history.forced.get(position)
            if position < branch.count:
                branch.rewind(position)
            else:
                branch.history = branch.history.before(position)
            if forced is not None:  # asked for, but not seen yet
                branch.history = branch.history.with_forced(position, forced)
        branch.history = branch.history.with_rule(position, self.rule)
        if branch.parent and branch.start == position:
            branch.text = f"{_place(position, self.config.width)}: {rule_text(self.rule)}"
        return branch

    def _add(self, branch: Branch) -> None:
        self.branches.append(branch)
        self.current = branch
        self.turn += 1
        if len(self.branches) > MAX_BRANCHES:
            keep = (branch.run, branch.parent)
            oldest = next(b for b in self.branches if b.run not in keep)
            self.branches.remove(oldest)

    def _branch(self, run: str) -> Branch | None:
        return next((b for b in self.branches if b.run == run), None)


def rule_text(rule: SamplingRule) -> str:
    """Describe a rule in a few words.

    >>> rule_text(SamplingRule(temperature=0.5, top_k=20))
    'temperature 0.5, top-k 20'
    """
    parts = [f"temperature {rule.temperature:g}"]
    if rule.top_k is not None:
        parts.append(f"top-k {rule.top_k}")
    if rule.top_p < 1:
        parts.append(f"top-p {rule.top_p:g}")
    return ", ".join(parts)


def _place(position: int, width: int) -> str:
    row, col = divmod(position, width)
    return "from the start" if position == 0 else f"from row {row}, column {col}"


@cache
def sampling_loop() -> dict[str, list]:
    """Return the loop of `naive.py` as text, and which line does what.

    Read from the source, so that the page shows the code that runs in the tests.
    """
    source = textwrap.dedent(inspect.getsource(iter_naive))
    function = ast.parse(source).body[0]
    loop = next(node for node in function.body if isinstance(node, ast.For))
    wanted = {
        "row": "for row ",
        "col": "for col ",
        "forward": "logits = ",
        "rule": "probability = ",
        "noise": "u = ",
        "draw": "level = ",
        "store": "levels[",
    }
    lines = source.splitlines()[loop.lineno - 1 : loop.end_lineno]
    steps = []
    for what, beginning in wanted.items():
        (index,) = [i for i, line in enumerate(lines) if line.strip().startswith(beginning)]
        steps.append({"line": index, "what": what})
    return {"lines": textwrap.dedent("\n".join(lines)).splitlines(), "steps": steps}
