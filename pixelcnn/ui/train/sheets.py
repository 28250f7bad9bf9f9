"""Pictures of checkpoints under one noise, drawn in the background. Knows no Streamlit."""

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from pixelcnn.config import SamplingRule
from pixelcnn.data.pictures import Picture, pictures
from pixelcnn.sampling import Sampler, make_noise
from pixelcnn.storage import load_checkpoint

KEPT = 400
FORGOTTEN_AFTER = 5.0
"""Seconds after which a sheet that nobody asks for any more is not begun."""


@dataclass(frozen=True)
class Request:
    """What a sheet depends on."""

    path: Path
    """Checkpoint."""
    modified_ns: int
    """When it was written: the latest checkpoint of a run changes."""
    num_images: int
    """Pictures; picture i has class i modulo the number of classes."""
    temperature: float = 1.0
    """See `SamplingRule`."""
    seed: int = 0
    """Fixes the noise."""

    @classmethod
    def of(
        cls, path: Path, num_images: int, *, temperature: float = 1.0, seed: int = 0
    ) -> "Request":
        """Ask for a checkpoint as it is now.

        Raises:
            OSError: if it is not there.
        """
        return cls(path, path.stat().st_mtime_ns, num_images, temperature, seed)


@dataclass
class Sheet:
    """Pictures that are drawn, or will be."""

    pictures: list[Picture] | None = None
    """None until all are drawn."""
    images_seen: int = 0
    """Training progress of the checkpoint that drew them."""
    problem: str | None = None
    """Why they cannot be drawn."""
    done: float = 0.0
    """Share of the drawing that is over."""
    asked_at: float = field(default_factory=time.monotonic)
    """When somebody last wanted it."""

    @property
    def is_over(self) -> bool:
        """Whether there is something to show."""
        return self.pictures is not None or self.problem is not None


class Sheets:
    """Draws sheets one after the other, the one asked for last first, and keeps them."""

    def __init__(self) -> None:
        self._sheets: OrderedDict[Request, Sheet] = OrderedDict()
        self._lock = threading.Lock()
        self._wanted = threading.Event()
        threading.Thread(target=self._work, daemon=True, name="sheets").start()

    def get(self, request: Request) -> Sheet:
        """Return a sheet at once, finished or not; ask again to see how far it is."""
        with self._lock:
            sheet = self._sheets.setdefault(request, Sheet())
            sheet.asked_at = time.monotonic()
            self._sheets.move_to_end(request)
            while len(self._sheets) > KEPT:
                self._sheets.popitem(last=False)
        if not sheet.is_over:
            self._wanted.set()
        return sheet

    def newest(self, request: Request) -> tuple[Sheet | None, Sheet]:
        """Follow a checkpoint that is saved again and again, perhaps before it is drawn.

        What has been begun is drawn to its end before the newest state of the file is begun.

        Returns:
            The last finished sheet of this file, if any, and the sheet to wait for.
        """
        with self._lock:
            alike = [
                (other, sheet)
                for other, sheet in self._sheets.items()
                if replace(other, modified_ns=request.modified_ns) == request
            ]
        finished = [sheet for _, sheet in alike if sheet.pictures is not None]
        begun = [other for other, sheet in alike if sheet.done and not sheet.is_over]
        return finished[-1] if finished else None, self.get(begun[-1] if begun else request)

    def _next(self) -> tuple[Request, Sheet] | None:
        with self._lock:
            self._wanted.clear()
            now = time.monotonic()
            for request, sheet in reversed(self._sheets.items()):
                if not sheet.is_over and now - sheet.asked_at < FORGOTTEN_AFTER:
                    return request, sheet
        return None

    def _work(self) -> None:
        while True:
            found = self._next()
            if found is None:
                self._wanted.wait()
                continue
            request, sheet = found
            try:
                draw(request, sheet)
            except Exception as error:  # the thread must live on; the page shows what it was
                sheet.problem = str(error) or type(error).__name__


def draw(request: Request, sheet: Sheet) -> None:
    """Draw the pictures of a request into a sheet.

    Raises:
        CheckpointError: if the checkpoint cannot be used.
    """
    model, info = load_checkpoint(request.path)
    config = info.config
    noise = make_noise(config, num_images=request.num_images, seed=request.seed)
    label = None
    if config.num_classes:
        label = torch.arange(request.num_images) % config.num_classes
    sampler = Sampler(model, noise, label)
    rule = SamplingRule(temperature=request.temperature)
    while not sampler.done:
        sampler.step(rule)
        sheet.done = sampler.position / config.num_dims
    sheet.images_seen = info.images_seen
    sheet.pictures = pictures(torch.from_numpy(sampler.levels), config.num_levels)
