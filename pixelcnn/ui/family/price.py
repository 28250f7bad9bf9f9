"""A price, week after week: what autoregressive means, before any picture."""

import functools
import math

import streamlit as st
import torch
from torch import Tensor

from pixelcnn.completion.forecast import Forecast, forecast
from pixelcnn.data.datasets import load_dataset
from pixelcnn.ui.family.fan import encode_forecast, fan
from pixelcnn.ui.family.members import HOW, PRICE, Family, families
from pixelcnn.ui.shared import controls, resources
from pixelcnn.ui.shared.links import bound
from pixelcnn.ui.shared.literal import literal, markdown_table

FUTURES = 100
LAST = 1999
"""Number of the last series of the test split."""


def show() -> None:
    """Ask for member, series and past; draw the fan, and say how each member scores."""
    family = next((f for f in families() if f.dataset == PRICE), None)
    if family is None:
        st.info(f"There is no model of a price yet. {HOW}", icon=":material/info:")
        return
    st.markdown(
        "What will a price do next? **Autoregressive** means: from all values so far, predict a "
        "distribution for the next one. Draw from it, take the drawn value as known, go on. Each "
        "run through is one possible future. **This price is made up**: it falls at the harvest, "
        "rises until the next, and wanders; no market stands behind it."
    )
    titles = list(family.names)
    first = titles.index("GRU") if "GRU" in titles else 0
    one, two, three, four = st.columns([3, 2, 3, 4], vertical_alignment="bottom")
    if st.session_state.get("price_model") not in titles:
        st.session_state.pop("price_model", None)
    title = bound(one.selectbox, "Model", titles, first, key="price_model")
    name = family.names[title]
    number = bound(
        two.number_input,
        "Series", 0, LAST, key="series",
        help="One of 2,000 series that no model has learned.",
    )  # fmt: skip
    with three:
        seed = controls.choose_seed("price_seed", "seed and settings give the same futures")
    last = family.members[name].config.width - 1
    if "price_past" in st.session_state:
        st.session_state["price_past"] = min(st.session_state["price_past"], last)
    past = bound(
        four.slider,
        "Weeks that are known", 1, last, min(60, last), key="price_past",
        help="Where the past ends; or drag the line in the chart.",
    )  # fmt: skip
    series = _series(number, family.members[name].config.num_levels)
    model = resources.load_or_stop(name, st.empty())
    drawn = _forecast(name, model.modified_ns, number, past, seed)
    fan(encode_forecast(drawn, series.numpy()), key="fan", on_past=_take_past)
    st.caption(
        "At the right stands what the model expects of one week: the next, or the one under the "
        "pointer. The first unknown week has one distribution; later ones depend on what was "
        f"drawn before, so the mean over the {FUTURES} futures is shown."
    )
    _show_scores(family)


def _take_past() -> None:
    """Let the slider follow the line that was dragged."""
    if (past := st.session_state["fan"]["past"]) is not None:
        st.session_state["price_past"] = int(past)


@functools.cache
def _series(number: int, num_levels: int) -> Tensor:
    """Give one series of the test split: int64 (W,)."""
    levels, _ = load_dataset(PRICE, "test", num_levels=num_levels)
    return levels[number, 0, 0].long()


@st.cache_data(max_entries=64, show_spinner=False)
def _forecast(name: str, modified_ns: int, number: int, past: int, seed: int) -> Forecast:
    model = resources.load(name).model
    series = _series(number, model.config.num_levels)
    torch.set_num_threads(1)
    return forecast(model, series, past, num_futures=FUTURES, seed=seed)


def _show_scores(family: Family) -> None:
    """Say what each member needs for a value of a series that it has not learned."""
    scores = {
        title: family.members[name].bits_per_dim["validation"]
        for title, name in family.names.items()
        if "validation" in family.members[name].bits_per_dim
    }
    if not scores:
        return
    st.markdown("#### How well does each predict?")
    rows = []
    ranked = sorted(scores, key=scores.get)
    for title in ranked:
        count = resources.num_parameters(family.members[family.names[title]].config)
        rows.append((literal(title), f"**{scores[title]:.3f}**", f"{count:,}"))
    levels = next(iter(family.members.values())).config.num_levels
    rows.append((f"a guess: all {levels} levels alike", f"{math.log2(levels):.3f}", "0"))
    st.markdown(markdown_table(("Model", "Bits per value", "Parameters"), rows))
    gap = f" Best and worst are {scores[ranked[-1]] - scores[ranked[0]]:.3f} bits apart."
    st.caption(
        "Bits that the next value costs on average, given those before it, over series that were "
        "held back in training; lower is better. One bit less: the right value was twice as "
        f"probable.{gap} To these models a series is a picture of one row."
    )
