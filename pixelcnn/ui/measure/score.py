"""Score a picture: what it costs, where, and what each class would say."""

import streamlit as st

from pixelcnn.evaluation.scores import (
    ClassScores,
    Score,
    code_bits,
    iter_score_classes,
    score_image,
)
from pixelcnn.evaluation.stored import percent
from pixelcnn.orders import ORDER_NAMES
from pixelcnn.ui.browser.messages import encode_score
from pixelcnn.ui.measure.live import content_of
from pixelcnn.ui.measure.maps import maps
from pixelcnn.ui.measure.sources import ScoredPicture, choose_picture
from pixelcnn.ui.shared.chart_view import offer_data, show_chart
from pixelcnn.ui.shared.charts.distributions import distribution_chart
from pixelcnn.ui.shared.charts.measured import classes_chart, codes_chart, score_columns
from pixelcnn.ui.shared.controls import choose_class
from pixelcnn.ui.shared.jobs import JOBS
from pixelcnn.ui.shared.links import bound
from pixelcnn.ui.shared.literal import literal
from pixelcnn.ui.shared.long_work import result_of
from pixelcnn.ui.shared.resources import LoadedModel

MAPS = "maps"


def show(model: LoadedModel) -> None:
    """Choose a picture, then show what the model says about it."""
    st.caption(
        "A model that predicts well needs few bits: a picture costs the sum of -log₂ of the "
        "probability of every level in it. Hover the maps or the curve; click a pixel for its "
        "distribution."
    )
    with st.container(border=True):
        chosen = choose_picture(model)
    if chosen is None:
        return
    label, order = _told(model)
    with st.spinner("Scoring …", show_time=False):
        score = _score(model, chosen, label, order)
    codes = code_bits(chosen.levels, model.model.config.num_levels)
    st.markdown(
        f"**{literal(chosen.caption)}** · {score.bits_per_dim:.3f} bits/dim at "
        f"{model.model.config.num_levels} levels · **{score.total_bits:,.0f} bits** in all, "
        f"{percent(score.total_bits / codes['PNG'], 0)} of its PNG, "
        "but whoever decodes them needs the model too"
    )
    _pixels(model, score)
    _codes(score, codes)
    if model.model.config.num_classes:
        _classes(model, chosen, order)


def _told(model: LoadedModel) -> tuple[int | None, int]:
    """Ask which class the model is given, and in which order it reads."""
    c = model.model.config
    left, right = st.columns(2)
    about = "The class that the model is given while it scores. Below are all of them."
    label = choose_class(model.class_names, left, "Class given to the model", "told", about)
    order = 0
    if c.num_orders > 1:
        order = ORDER_NAMES.index(
            bound(right.selectbox, "Reading order", ORDER_NAMES, key="order")
        )
    return label, order


def _score(model: LoadedModel, chosen: ScoredPicture, label: int | None, order: int) -> Score:
    key = ("score", content_of(model), chosen.content, label, order)
    score = JOBS.results.get(key)
    if score is None:
        score = score_image(model.model, chosen.levels, label, order)
        JOBS.results.put(key, score)
    return score


def _codes(score: Score, codes: dict[str, float]) -> None:
    st.markdown("#### Compared with other codes")
    left, right = st.columns([3, 2])
    with left:
        show_chart(codes_chart(score.total_bits, codes), "codes")
    right.caption(
        "With an arithmetic coder the model could store the picture in its bits, rounded up. PNG "
        "and gzip are whole files, headers included; they know nothing of clothes or digits. The "
        "uniform code spends the same on every pixel."
    )


@st.fragment(key="pixels")
def _pixels(model: LoadedModel, score: Score) -> None:
    """The maps and the distribution at the chosen pixel; a click reruns only this."""
    c = model.model.config
    count = c.height * c.width
    default = int(score.surprise_bits.argmax())
    pixel = _pixel_of_link(count, default)
    message = encode_score(score, c, pixel)

    def on_select() -> None:
        if MAPS not in st.session_state:
            return  # the click came in one message with a change of page
        value = st.session_state[MAPS]["select"]
        if value and 0 <= int(value["pixel"]) < count:
            st.query_params["pixel"] = str(int(value["pixel"]))

    with st.container(key="maps-frame"):
        maps(message, key=MAPS, on_select=on_select)
    offer_data("bits-per-pixel", score_columns(score), "bits")
    row, col = divmod(pixel, c.width)
    st.markdown(f"#### What was predicted at row {row}, column {col}")
    show_chart(distribution_chart(score, row, col), "distribution")


def _pixel_of_link(count: int, default: int) -> int:
    """Read the chosen pixel from the address; without one, the most surprising is taken."""
    text = st.query_params.get("pixel", "")
    # The length first: Python refuses to read thousands of digits.
    known = text.isascii() and text.isdigit() and len(text) < 8 and int(text) < count
    return int(text) if known else default


def _classes(model: LoadedModel, chosen: ScoredPicture, order: int) -> None:
    st.markdown("#### What would each class say?")
    scores: ClassScores | None = result_of(
        ("classes", content_of(model), chosen.content, order),
        lambda: iter_score_classes(model.model, chosen.levels, order),
        slot="classes",
        button=None,
        what="Asking every class",
    )
    if scores is None:
        return
    names = model.class_names
    best = int(scores.posterior.argmax())
    verdict = ""
    if chosen.label is not None:
        verdict = (
            " (**right**)" if best == chosen.label else f" (it is {literal(names[chosen.label])})"
        )
    st.markdown(
        f"The picture is most probable as **{literal(names[best])}**{verdict}, with a posterior "
        f"of {percent(scores.posterior[best])} if all classes are equally likely before. Told no "
        f"class, the model needs {scores.any_class_bits:,.1f} bits."
    )
    show_chart(classes_chart(scores, names, chosen.label), "classes")
    st.caption(
        "By Bayes' rule a model that draws is also a classifier: p(class | picture) is "
        "proportional to p(picture | class). One bit less means twice as likely."
    )
