"""Pictures to score that are drawn by hand, or held by the Generate page and the Complete page."""

import time
from collections.abc import Generator

import streamlit as st
import torch
from torch import Tensor

from pixelcnn.data.datasets import class_names
from pixelcnn.models import ModelConfig
from pixelcnn.ui.complete import desk, results
from pixelcnn.ui.complete.run import CompletionRun
from pixelcnn.ui.generate.drawing import Drawing
from pixelcnn.ui.measure.chosen import Chosen
from pixelcnn.ui.shared.long_work import result_of
from pixelcnn.ui.shared.resources import LoadedModel
from pixelcnn.ui.shared.sketch import MAX_SIDE

SECONDS = 0.1
"""Time that a picture is drawn on before its page may have it."""


def drawn(model: LoadedModel) -> Chosen | None:
    """Let the visitor draw by hand: the drawing is that of the Complete page."""
    c = model.model.config
    if c.num_channels != 1 or max(c.height, c.width) > MAX_SIDE:
        st.info(
            f"The canvas is for grey pictures of at most {MAX_SIDE} x {MAX_SIDE} pixels.",
            icon=":material/palette:",
        )
        return None
    desk.prepare(c)
    desk.show_canvas()
    sketch = desk.current()
    st.caption(
        "Scored after every stroke. It is the drawing of the Complete page; what is unknown there "
        "counts as black."
    )
    if not sketch.known.any():
        return None
    return Chosen(sketch.levels[0], "drawn by hand")


def of_generate(model: LoadedModel) -> Chosen | None:
    """Take a picture of the Generate page; one that is not finished is drawn to its end."""
    drawing: Drawing | None = st.session_state.get("drawing")
    if drawing is None:
        st.info(
            "Nothing has been drawn yet. Open the Generate page, let it draw, and come back.",
            icon=":material/animation:",
        )
        return None
    if not _fits(model, drawing.config, "Generate"):
        return None
    course = drawing.current

    def finish() -> Generator[float, None, bool]:
        yield from course.iter_finish()
        return True

    if not course.done and not result_of(
        ("finish", drawing.picture, course.name),
        finish,
        slot="finish-drawing",
        button=None,
        what="Drawing the picture to its end",
    ):
        return None
    levels = course.levels()
    image = _choose(len(levels))
    caption = drawing.captions[image]
    names = class_names(model.info.dataset, model.model.config.num_classes)
    return Chosen(
        levels[image],
        f"the Generate page, drawn by {drawing.subject.checkpoint}: {caption}",
        names.index(caption) if caption in names else None,
    )


def of_complete(model: LoadedModel) -> Chosen | None:
    """Take a completion of the Complete page; those not finished are drawn to their end."""
    run = results.current()
    if run is None:
        st.info(
            "Nothing has been completed yet. Open the Complete page, draw, press Complete, and "
            "come back.",
            icon=":material/draw:",
        )
        return None
    if not _fits(model, run.config, "Complete"):
        return None
    levels = result_of(
        ("completions", run.run),
        lambda: _finish_completions(run),
        slot="finish-completions",
        button=None,
        what="Drawing the completions to their end",
    )
    if levels is None:
        return None
    image = _choose(len(levels))
    return Chosen(levels[image], f"completion {image}, by {run.wish.checkpoint}")


def _finish_completions(run: CompletionRun) -> Generator[float, None, Tensor]:
    while True:
        with run.lock:
            if run.done:
                return torch.from_numpy(run.levels()[:, None]).long()
            run.draw(SECONDS)
        yield run.count / max(run.steps, 1)
        time.sleep(0.001)


def _choose(count: int) -> int:
    if count == 1:
        return 0
    last = count - 1
    return int(st.number_input("Picture", 0, last, key="sheet_picture", bind="query-params"))


def _fits(model: LoadedModel, other: ModelConfig, page: str) -> bool:
    c = model.model.config
    needs, has = (
        (f"{x.height} x {x.width} pixels, {x.num_channels} channels and {x.num_levels} levels")
        for x in (c, other)
    )
    if needs != has:
        st.warning(
            f"The picture on the {page} page has {has}; {model.name} needs {needs}.",
            icon=":material/warning:",
        )
    return needs == has
