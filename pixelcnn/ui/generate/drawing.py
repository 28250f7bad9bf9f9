"""The server half of the player: pictures while they are drawn.

Knows nothing of Streamlit. A *course* of drawing is named by its history, which fixes every pixel:
"0_1_0_1~341_0.5_20_1~f400_255" is temperature 1 from pixel 0, temperature 0.5 with top-k 20 from
pixel 341, and level 255 forced at pixel 400 (see `pixelcnn.ui.shared.history`). Pixels are only
ever appended to a course. Another rule or a forced level at pixel p is another course, which
shares all pixels before p. Where a model draws colours, read "channel of a pixel" for "pixel".

The browser decides which course it shows. It says its name and how many of its pixels it holds,
and gets those that it lacks:

    visitor             browser                                        server

    opens the page                                                     begins a course
                        <-- picture, course "0_1_0_1", pixels 0..15 --
                        -- ask: course "0_1_0_1", I hold 16 --------->  draws for 0.1 s
                        <----------------------- pixels 16..500 ------
                        plays, steps and scrubs by itself; asks while
                        it holds fewer than 400 pixels more than shown
    moves a slider      ---- the page runs again -------------------->
                        <-- rule "0.5_0_1" (of the sliders) ----------
    at pixel 40         shows "0_1_0_1~40_0.5_0_1", beginning with the
                        40 pixels that both courses share
                        -- ask: "0_1_0_1~40_0.5_0_1", I hold 40 ----->  forks, rewinds, draws
                        <----------------------- pixels 40..520 ------
    forces level 9      shows "...~f30_9", beginning with 30 pixels
    at pixel 30         -- ask: "...~f30_9", I hold 30 -------------->  forks, rewinds, draws
                        <----------------------- pixels 30..510 ------
    goes back to the    shows it; the rule heard last is another
    first course        -- ask: "0_1_0_1", I hold 784,
                           I heard of rule "0.5_0_1" ---------------->  moves the sliders
                        <-- rule "1_0_1" -----------------------------
    clicks a picture    -- ask: ..., open 4 ------------------------->  sets the other controls
    of a sheet          <-- picture, course "0_1_0_1", pixels 0..15 --
                        goes to the end: the sheet was finished, too

A new rule acts when the sliders have rested for a moment, so that ten steps of one are one change.

An ask tells all that its answer depends on, and changes nothing that was drawn. So it may be lost,
repeated or overtaken; it is repeated after half a second until the answer is there. What belongs
to another picture is ignored, on both sides.
"""

import threading
import uuid
from functools import partial

import numpy as np
from numpy.typing import NDArray

from pixelcnn.config import SamplingRule
from pixelcnn.data.pictures import CHANNEL_NAMES, png_bytes
from pixelcnn.models import Model
from pixelcnn.sampling import Sampler, label_tensor, make_noise
from pixelcnn.ui.browser.wire import encode
from pixelcnn.ui.generate.code_panel import sampling_loop
from pixelcnn.ui.generate.course import Course
from pixelcnn.ui.shared.history import History, Subject, rule_to_text, to_text

MAX_COURSES = 8
"""Courses kept of one picture; one that is asked for again later is drawn again."""


class Drawing:
    """A picture or a sheet being drawn, with its courses.

    Arguments:
        model: in evaluation mode.
        dependency: `dependency_maps(model)` packed with `np.packbits(..., axis=1)`.
        subject: what is drawn.
        history: of the first course.
        captions: one text for each image.
        pin: the player shows the finished picture first, at this pixel, or -1: at none that is
            pinned. None: the picture is drawn as one watches.

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
        pin: int | None = None,
    ) -> None:
        c = model.config
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
        self.columns = subject.columns(c.num_classes)
        """Pictures in a row of the sheet."""
        self.dependency = dependency
        self.pin = pin
        self.picture = uuid.uuid4().hex[:8]
        self.rule = history.last_rule
        """What the sliders said when the page ran last."""
        self._sampler = partial(Sampler, model, noise, label)  # one at rest takes megabytes
        self._courses: dict[str, Course] = {}
        self._lock = threading.Lock()
        self.current = self.course(history)
        """The course that the visitor looks at."""

    def course(self, history: History) -> Course:
        """Give the course with this history; a new one shares the pixels of those that are kept.

        Raises:
            ValueError: if a pixel or level of the history does not exist.
        """
        history.check_fits(self.config)
        name = to_text(history)
        with self._lock:
            course = self._courses.pop(name, None) or self._begin(history)
            self._courses[name] = course  # the newest comes last
            if len(self._courses) > MAX_COURSES:
                del self._courses[next(iter(self._courses))]
        return course

    def answer(self, course: Course, have: int) -> bytes:
        """Answer "I hold so many pixels of this course": draw on if needed, send the missing."""
        self.current = course
        if have >= course.count:
            course.draw()
        return self.message(have)

    def message(self, have: int) -> bytes:
        """Encode what somebody lacks who holds so many pixels of the current course."""
        c, course = self.config, self.current
        count = course.count  # another thread may draw on
        start = min(max(have, 0), count)
        single = self.subject.num_images == 1
        header = {
            "picture": self.picture,
            "course": course.name,
            "start": start,
            "count": count - start,
            "total": course.total,
            "rule": rule_to_text(self.rule),
            "height": c.height,
            "width": c.width,
            "channels": CHANNEL_NAMES[c.num_channels],
            "num_levels": c.num_levels,
            "columns": self.columns,
            "captions": self.captions,
            "forced": [
                {"position": at, "level": level, "was": course.was.get(at)}
                for at, level in course.history.forced.items()
                if at < count
            ],
            "png_bytes": [len(png_bytes(picture)) for picture in course.pictures()]
            if count == course.total
            else None,
            "pin": self.pin,
            "code": sampling_loop() if single else None,
        }
        sections = {name: array[start:count] for name, array in course.arrays().items()}
        if all(rule == SamplingRule() for _, rule in course.history.rules):
            sections.pop("rule_probabilities", None)  # they are those of the model
        if single and start == 0:
            sections["dependency"] = self.dependency
        return encode(header, sections)

    def _begin(self, history: History) -> Course:
        kept = max(self._courses.values(), key=lambda c: c.shared_with(history), default=None)
        if kept is None or kept.shared_with(history) == 0:
            return Course(self._sampler(), history)
        return kept.fork(history)
