"""Pictures to score that are drawn by hand, or held by the Generate page and the Complete page."""

import streamlit as st

from pixelcnn.models import ModelConfig
from pixelcnn.ui.measure.chosen import ScoredPicture
from pixelcnn.ui.shared import session_sketch
from pixelcnn.ui.shared.links import bound
from pixelcnn.ui.shared.literal import literal
from pixelcnn.ui.shared.long_work import result_of
from pixelcnn.ui.shared.made import COMPLETE, GENERATE, left_by
from pixelcnn.ui.shared.resources import LoadedModel
from pixelcnn.ui.shared.sketch import MAX_SIDE


def drawn(model: LoadedModel) -> ScoredPicture | None:
    """Let the visitor draw by hand: the drawing is that of the Complete page."""
    c = model.model.config
    if max(c.height, c.width) > MAX_SIDE:
        st.info(
            f"The canvas is for pictures of at most {MAX_SIDE} x {MAX_SIDE} pixels.",
            icon=":material/palette:",
        )
        return None
    session_sketch.prepare(c)
    session_sketch.show_canvas()
    sketch = session_sketch.current()
    st.caption(
        "Scored after every stroke. It is the drawing of the Complete page; what is unknown there "
        "counts as black."
    )
    if not sketch.known.any():
        return None
    return ScoredPicture(sketch.levels[0], "drawn by hand")


def of_generate(model: LoadedModel) -> ScoredPicture | None:
    """Take a picture of the Generate page."""
    missing = "Nothing has been drawn yet. Open the Generate page, let it draw, and come back."
    return _of(GENERATE, model, missing, ":material/animation:")


def of_complete(model: LoadedModel) -> ScoredPicture | None:
    """Take a completion of the Complete page."""
    missing = (
        "Nothing has been completed yet. Open the Complete page, draw, press Complete, and come "
        "back."
    )
    return _of(COMPLETE, model, missing, ":material/draw:")


def _of(page: str, model: LoadedModel, missing: str, icon: str) -> ScoredPicture | None:
    """Take a picture that a page has left; what is not finished is drawn to its end."""
    made = left_by(page)
    if made is None:
        st.info(missing, icon=icon)
        return None
    if not _fits(model, made.config, page):
        return None
    levels = result_of(
        ("made", page, made.key()),
        made.finish,
        slot="finish",
        button=None,
        what="Drawing to the end",
    )
    if levels is None:
        return None
    image = _choose(len(levels))
    names = model.class_names
    name = made.classes[image]
    label = names.index(name) if name in names else None
    return ScoredPicture(levels[image], made.captions[image], label)


def _choose(count: int) -> int:
    if count == 1:
        return 0
    last = count - 1
    return int(bound(st.number_input, "Picture", 0, last, key="sheet_picture"))


def _fits(model: LoadedModel, other: ModelConfig, page: str) -> bool:
    c = model.model.config
    needs, has = (
        (f"{x.height} x {x.width} pixels, {x.num_channels} channels and {x.num_levels} levels")
        for x in (c, other)
    )
    if needs != has:
        st.warning(
            f"The picture on the {page} page has {has}; {literal(model.name)} needs {needs}.",
            icon=":material/warning:",
        )
    return needs == has
