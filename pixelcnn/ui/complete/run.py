"""The server half of the Complete page's sheet: completions while they are drawn.

Knows nothing of Streamlit. The browser asks for more with the number of the last answer it has;
every answer holds all that is drawn so far, so that a lost one does no harm.
"""

import math
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from pixelcnn.completion import (
    ClassPosterior,
    Completion,
    ParticleScan,
    Scan,
    begin_completion,
)
from pixelcnn.config import SamplingRule
from pixelcnn.models import Evidence, Model
from pixelcnn.orders import to_raster
from pixelcnn.sampling import Sampler, label_tensor, make_noise
from pixelcnn.ui.browser.wire import encode
from pixelcnn.ui.shared.history import History
from pixelcnn.ui.shared.jobs import Job
from pixelcnn.ui.shared.sketch import Sketch, channels_last

SECONDS_PER_ANSWER = 0.12
"""Time of the processor that one answer computes pixels for; short, so that the page stays
responsive."""
FEWEST_PARTICLES = 8
"""For each class, where several are completed."""


@dataclass(frozen=True)
class Request:
    """What is to be completed and how: with the drawing, it fixes every pixel."""

    checkpoint: str
    """Name of the checkpoint."""
    method: str
    """One of `pixelcnn.completion`."""
    num_images: int = 16
    """Completions that are shown."""
    num_particles: int = 64
    """Particles of the methods that have any."""
    tolerance: float = 0.0
    """How far a known level may be off, in levels; 0 unless the method is "particles"."""
    label: int | tuple[int, ...] | None = None
    """Class that is asked for, or one for each completion; None for any class."""
    inferred: bool = False
    """Whether the class of each completion is drawn from the posterior."""
    pins: tuple[tuple[int, int], ...] = ()
    """Completions, counted from 0, whose class is another, and that class."""
    seed: int = 0
    """Fixes all random numbers."""
    rule: SamplingRule = SamplingRule()
    """Temperature, top-k, top-p."""
    exactly: bool = True
    """Whether strokes drawn by hand are facts; else they are hints."""


def classes_done(posterior: ClassPosterior | None) -> int:
    """Count the classes that are computed; None is before the first."""
    return 0 if posterior is None else int(posterior.progress * len(posterior.log_evidence) + 1e-9)


@dataclass
class Part:
    """Completions drawn together: all, with particles those of one class, or a pinned one."""

    scan: Scan
    images: list[int]
    """Which completions of the run they are."""
    result: Completion | None = None

    def __post_init__(self) -> None:
        self._work = self._iter_work()

    def step(self) -> None:
        """Do a piece of the work: draw a pixel, or what is a few times as long."""
        next(self._work)

    def _iter_work(self) -> Iterator[None]:
        while not self.scan.done:
            self.scan.step()
            yield
        self.result = yield from self.scan.iter_completion()
        yield

    def levels(self) -> NDArray[np.int64]:
        """The completions, (n, C, H, W); of particles not chosen yet some from every group."""
        if self.result is not None:
            return self.result.levels[0].numpy()
        levels = self.scan.levels.numpy()
        if isinstance(self.scan, ParticleScan):
            groups = self.scan.num_groups
            image = np.arange(len(self.images))
            size = len(levels) // groups
            return levels[image % groups * size + image // groups % size]
        return levels


class CompletionRun:
    """Completions of one drawing while they are drawn.

    Arguments:
        model: in evaluation mode.
        sketch: the drawing.
        request: how it is to be completed.
        class_names: name of each class.
        posterior: for an inferred class; the completions begin when it is done.
        quiet: whether the browser stays where it is, and does not go to the sheet.

    Raises:
        ValueError: if the drawing or the request does not fit the model.
    """

    def __init__(
        self,
        model: Model,
        sketch: Sketch,
        request: Request,
        class_names: tuple[str, ...] = (),
        posterior: Job | None = None,
        quiet: bool = False,
    ) -> None:
        self.model, self.config = model, model.config
        self.sketch, self.request, self.class_names = sketch, request, class_names
        self.quiet = quiet
        self.posterior = posterior
        """The newest work on the probability of each class; None if there is none."""
        self.evidence = sketch.evidence(request.exactly)
        self.known = self.evidence.known[0, 0].numpy()
        """Pixels that stay as they are, (H, W)."""
        self.hints = self.evidence.hints[0, 0].numpy()
        """Pixels that were drawn by hand and are no facts, (H, W)."""
        self.run = uuid.uuid4().hex[:8]
        self.serial = 0
        self._looks: list[tuple[str, float]] | None = None
        self.lock = threading.RLock()
        """Held while pixels are drawn and sent: an export may finish what is played."""
        self.other_estimate: tuple[str, float] | None = None
        """What another method said of the same drawing: its name, and log2 p(known)."""
        self._with_particles = request.method in ("particles", "weighed")
        one = not isinstance(request.label, Sequence)
        self._asked = [request.label] * request.num_images if one else list(request.label)
        self._parts = [] if posterior else self._divide()
        self._pinned = {pin: self._pinned_part(*pin) for pin in map(tuple, request.pins)}
        scan = self._parts[0].scan if self._parts else self._scan([None], [0])
        self.order = scan.order
        """Raster order of the scan."""
        self.steps = scan.num_steps
        """Dimensions that the scan goes through."""
        pixel = to_raster(torch.arange(self.known.size).view(self.known.shape), self.order)
        self.pixels = pixel.flatten().numpy().repeat(self.config.num_channels)[: self.steps]
        """The pixel that each step of the scan belongs to."""
        self.first = int((~self.known.flatten()[self.pixels]).argmax())
        """The first step that draws a pixel."""

    @property
    def parts(self) -> list[Part]:
        """What is drawn: a pinned completion twice, the last one counts. Empty without classes."""
        return [*self._parts, *self._pinned.values()] if self._parts else []

    @property
    def labels(self) -> list[int | None]:
        """Class of each completion; None for any class, or if it is not known yet."""
        pinned = dict(self.request.pins)
        return [pinned.get(image, label) for image, label in enumerate(self._asked)]

    @property
    def count(self) -> int:
        """Steps done."""
        return min((part.scan.position for part in self.parts), default=0)

    @property
    def done(self) -> bool:
        """Whether all pixels are drawn and summed up."""
        return bool(self.parts) and all(part.result is not None for part in self.parts)

    @property
    def columns(self) -> int:
        """Completions in a row of the sheet."""
        return math.ceil(math.sqrt(self.request.num_images))

    def class_name(self, image: int) -> str | None:
        """Name the class that a completion was asked for; None for any class."""
        label = self.labels[image]
        return None if label is None else self.class_names[label]

    def pin(self, pins: tuple[tuple[int, int], ...]) -> None:
        """Change which completions have a class of their own; only these are drawn, at once."""
        with self.lock:
            self.request = replace(self.request, pins=pins)
            self._pinned = {p: self._pinned.get(p) or self._pinned_part(*p) for p in pins}
            for part in self._pinned.values():
                while self._parts and part.result is None:
                    part.step()
            self._looks = None

    def draw(self, seconds: float) -> None:
        """Do at least a piece of the work, then more until the time is over.

        Raises:
            ValueError: if the posterior that the classes depend on cannot be computed.
        """
        with self.lock:
            until = time.thread_time() + seconds
            if not self.parts:
                self.posterior.wait(seconds)
                self._begin_classes()
            while self.parts and not self.done:
                waiting = [part for part in self.parts if part.result is None]
                min(waiting, key=lambda part: part.scan.position).step()
                if time.thread_time() > until:
                    break

    def answer_pull(self, run: str, serial: int) -> None:
        """Draw on, unless the browser has still to get what the newest message holds."""
        if run == self.run and serial >= self.serial:
            self.draw(SECONDS_PER_ANSWER)

    def levels(self) -> NDArray[np.int64]:
        """The completions shown, (n, C, H, W); of unknown pixels not drawn yet 0."""
        given = np.where(self.known, self.sketch.level, 0).astype(np.int64)[None]
        levels = given.repeat(self.request.num_images, 0)
        for part in self.parts:
            levels[part.images] = part.levels()
        return levels

    def results(self, name: str) -> NDArray[np.float64]:
        """Give a value of every finished completion: a field of `Completion`, (n,)."""
        values = np.empty(self.request.num_images)
        for part in self.parts:
            values[part.images] = getattr(part.result, name)[0].numpy()
        return values

    def bits(self) -> list[float] | None:
        """Give -log2 of the model's probability of each completion, (n,); None until done."""
        return (-self.results("log_prob") / math.log(2)).tolist() if self.done else None

    def sizes_and_ancestors(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Give effective sample size and distinct ancestors after each step; else empty."""
        scans = self._particle_scans
        count = min((len(scan.sizes) for scan in scans), default=0)
        sizes = sum((np.array(scan.sizes[:count]) for scan in scans), np.zeros(count))
        ancestors = (np.array(scan.ancestors[:count]) for scan in scans)
        return sizes, sum(ancestors, np.zeros(count, np.int64))

    @property
    def num_particles(self) -> int:
        """Particles in all; 0 without any."""
        return sum(len(scan.noise) for scan in self._particle_scans)

    @property
    def _particle_scans(self) -> list[ParticleScan]:
        return [part.scan for part in self.parts if isinstance(part.scan, ParticleScan)]

    def history(self, image: int) -> History:
        """Say how the Generate page draws a finished completion: with which levels forced.

        Where its random numbers lead from the known pixels to the same completion there too,
        those are all that is forced; else every pixel is.
        """
        c = self.config
        wanted = channels_last(self.levels()[image]).ravel()
        noise = make_noise(
            c, num_images=1, seed=self.request.seed, first_image=image, stream="completions"
        )
        sampler = Sampler(self.model, noise, label_tensor(self.labels[image], 1))
        known = self.known.ravel().repeat(c.num_channels)
        for level, fixed in zip(wanted, known, strict=True):
            sampler.step(self.request.rule, level if fixed else None)
        same = np.array_equal(channels_last(sampler.levels[0]).ravel(), wanted)
        forced = np.flatnonzero(known) if same else range(wanted.size)
        levels = {int(at): int(wanted[at]) for at in forced}
        return History(((0, self.request.rule),), levels, "completions")

    def looks_like(self) -> list[tuple[str, float]] | None:
        """Name the class of each finished completion, and how probable it is in percent.

        It is the class that was asked for, else the most probable one, as the encoder learned it;
        None until all is done, or if the model has no encoder.
        """
        if not self.done or not self.model.reads_evidence or not self.class_names:
            return None
        if self._looks is None:
            levels = torch.from_numpy(self.levels())
            known = torch.ones_like(levels[:, :1], dtype=torch.bool)
            percent = 100 * self.model.class_probabilities(Evidence(levels, known, ~known))
            self._looks = []
            for one, asked in zip(percent, self.labels, strict=True):
                label = int(one.argmax()) if asked is None else asked
                self._looks.append((self.class_names[label], float(one[label])))
        return self._looks

    def message(self) -> bytes:
        """Encode all that is drawn so far; hold the lock meanwhile."""
        c = self.config
        self.serial += 1
        levels = self.levels()
        sizes, ancestors = self.sizes_and_ancestors()
        header = {
            "run": self.run,
            "serial": self.serial,
            "count": self.count,
            "steps": self.steps,
            "first": self.first,
            "height": c.height,
            "width": c.width,
            "channels": c.num_channels,
            "num_levels": c.num_levels,
            "columns": self.columns,
            "captions": [self.class_name(i) or "" for i in range(self.request.num_images)],
            "class_names": self.class_names,
            "pins": dict(self.request.pins),
            "looks": self.looks_like(),
            "bits": self.bits(),
            "particles": self.num_particles,
            "waiting": self._waiting(),
            "quiet": self.quiet,
            "learned": self.request.method == "learned",
            "done": self.done,
        }
        sections = {
            "level": channels_last(levels).reshape(-1).astype(np.uint8),
            "scan": self.pixels.astype(np.uint16),
            "known": self.known.reshape(-1).astype(np.uint8),
            "hints": self.hints.reshape(-1).astype(np.uint8),
            "mean": channels_last(levels.mean(0)).reshape(-1).astype(np.float32),
            "deviation": levels.std(0).max(0).reshape(-1).astype(np.float32),
            "ess": sizes.astype(np.float32),
            "ancestors": ancestors.astype(np.uint16),
        }
        return encode(header, sections)

    def _waiting(self) -> str:
        if self.parts or self.posterior is None:
            return ""
        count, job = self.config.num_classes, self.posterior
        return f"guessing the class: {classes_done(job.latest)} of {count}{job.time_left}"

    def _begin_classes(self) -> None:
        job = self.posterior
        goes_on = job.keep()
        if job.done < 1 and not goes_on:
            raise ValueError(job.error or "The posterior over the classes was stopped.")
        if job.done == 1:
            self._asked = job.latest.draw(self.request.num_images, self.request.seed)
            self._parts = self._divide()

    def _divide(self) -> list[Part]:
        """Divide the completions, without what is pinned, into those that are drawn together."""
        images = range(self.request.num_images)
        if not self._with_particles:
            return [Part(self._scan(self._asked, images), list(images))]
        return [
            Part(self._scan([label], same), same)
            for label in dict.fromkeys(self._asked)
            for same in [[i for i in images if self._asked[i] == label]]
        ]

    def _pinned_part(self, image: int, label: int) -> Part:
        # With particles each has its own seed, or two of one class would be the same picture.
        seed = self.request.seed + (1 + image) * self._with_particles
        return Part(self._scan([label], [image], seed), [image])

    def _scan(
        self, labels: Sequence[int | None], images: Sequence[int], seed: int | None = None
    ) -> Scan:
        request, count = self.request, len(images)
        share = round(request.num_particles * count / request.num_images)
        fewer = max(FEWEST_PARTICLES, count, share)
        return begin_completion(
            self.model,
            *self.evidence,
            method=request.method,
            num_images=count,
            seed=request.seed if seed is None else seed,
            rule=request.rule,
            label=labels if len(set(labels)) > 1 else labels[0],
            first_image=0 if self._with_particles else images[0],
            num_particles=fewer if count < request.num_images else request.num_particles,
            tolerance=request.tolerance,
        )
