"""The server half of the player: pictures while they are drawn, with their branches.

Knows nothing of Streamlit. The browser asks for pixels with `pull`; every answer is one message of
bytes, and asking twice for the same pixels gives the same answer.
"""

import threading
import uuid
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pixelcnn.config import SamplingRule
from pixelcnn.data.pictures import png_bytes
from pixelcnn.models import Model
from pixelcnn.sampling import Sampler, label_tensor, make_noise
from pixelcnn.ui.browser.wire import encode
from pixelcnn.ui.generate.branch import Branch
from pixelcnn.ui.generate.code_panel import sampling_loop
from pixelcnn.ui.shared.history import History

MAX_BRANCHES = 8
"""Branches kept of one picture; of those between the first and the newest, the oldest goes."""
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
        model: Model,
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
            c,
            num_images=subject.num_images,
            seed=subject.seed,
            first_image=subject.image,
            stream=history.stream,
        )
        label = label_tensor(subject.labels(c.num_classes), subject.num_images)
        self.config = c
        self.subject = subject
        self.captions = captions
        self.dependency = dependency
        self.picture = uuid.uuid4().hex[:8]
        self.current = Branch(Sampler(model, noise, label), history, "first drawing")
        self.branches = [self.current]
        self.rule = history.last_rule
        """The rule that the viewer wants from now on."""
        self.ask = 0
        self.lock = threading.RLock()
        """Held while pixels are drawn: an export may finish the picture while it is played."""
        self._forks: dict[str, str] = {}
        self.pin: int | None = None
        """The pixel that the player shows first, on the finished picture; None for none."""
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

        A repeated request (the answer was lost) gives the branch that the first one made. A branch
        that is dropped cannot be forked: the answer is then the current one.

        Raises:
            ValueError: if this is a sheet, the pixel is not drawn, or the level does not exist.
        """
        if (made := self._branch(self._forks.get(request, ""))) is not None:
            return self.message(made, made.start, holds, request)
        if self.subject.num_images > 1:
            raise ValueError(
                "A level is forced in a single picture; "
                f"this is a sheet of {self.subject.num_images}."
            )
        parent = self._branch(run)
        if parent is None:
            return self.message(self.current, self.current.start, holds, request)
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
        return self.message(branch, position, holds, request)

    def select(self, run: str) -> None:
        """Make a branch the current one; its last rule becomes the wanted one."""
        self.current = self._branch(run) or self.current
        self.rule = self.current.history.last_rule

    def message(
        self,
        branch: Branch,
        start: int,
        holds: str | None = None,
        fork_request: str | None = None,
    ) -> bytes:
        """Encode what the player needs, with the pixels from `start` on.

        `fork_request` is the request to fork that this answers, whether or not a branch was made.
        """
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
            "pin": self.pin,
            "fork_request": fork_request,
            "code": sampling_loop() if single else None,
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
            oldest = next(b for b in self.branches[1:] if b.run not in keep)
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
