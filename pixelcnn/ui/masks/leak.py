"""Section Why A then B: what mask B in the first layer would do."""

from collections.abc import Iterator

import streamlit as st

from pixelcnn.inspection.influence import Influence
from pixelcnn.models.convolutions import ConvolutionModel
from pixelcnn.ui.masks import computed, panels
from pixelcnn.ui.masks.ahead import Prepare
from pixelcnn.ui.masks.board import Board, Look, board
from pixelcnn.ui.masks.growth import LEGEND
from pixelcnn.ui.masks.shown import (
    Shown,
    has_masks,
    pixel_looked_at,
    pixel_of_link,
    place,
    write_pixel,
)
from pixelcnn.ui.shared.charts import distributions
from pixelcnn.ui.shared.links import bound
from pixelcnn.ui.shared.resources import LoadedModel


def show(model: LoadedModel, shown: Shown) -> None:
    """Draw the section."""
    config = model.model.config
    if not has_masks(model):
        return
    st.markdown(
        "The input of the first layer holds the very pixel that is to be predicted. Mask A hides "
        "it. All later layers read features that no longer know it, so mask B is safe there. "
        "What if the first layer had mask B too?"
    )
    wrong = bound(
        st.toggle,
        "Use mask B in the first layer (wrong)", key="wrong",
        help="A copy of the loaded model in which the centre of the first kernel is open.",
    )  # fmt: skip
    pixel = pixel_of_link("pixel", config)
    found = computed.leaks(model, wrong, shown, pixel)
    roles = computed.fields(model, wrong)[-1].roles(pixel)
    first = "B" if wrong else "A"
    left, right = st.columns([7, 5], gap="medium")
    with left:
        board(
            Board(
                panels=(
                    panels.mask_panel(
                        config.first_kernel_size, first, 1, f"First layer: mask {first}", 200
                    ),
                    panels.mask_panel(
                        config.kernel_size, "B", 1, "All later layers: mask B", 200
                    ),
                    panels.picture_panel(
                        shown.levels, config.num_levels, "What the prediction reads",
                        looks=panels.with_leaks(roles, found), captions=[shown.title], size=400,
                    ),
                ),
                words=panels.FIELD_WORDS | panels.ENTRY_WORDS,
                legend=(*LEGEND[:-1], Look.LEAK if wrong else Look.CURRENT),
                marks={"pixel": pixel},
                picks={"pixel": "Pixel"},
                hint="Click a pixel: its prediction is checked.",
            ),
            key="leak",
            on_pick=lambda name, chosen: write_pixel(name, chosen, config.width),
        )  # fmt: skip
    with right:
        _verdict(model, wrong)
        _own_level(model, shown, pixel, wrong)
    if wrong:
        _consequence(model)
    # All is drawn; what the switch needs is computed now, once, so that it answers at once.
    computed.fields(model, not wrong)
    computed.quick_check(model, not wrong)


def prepare() -> Prepare:
    """Give what computes this section's numbers for another model or picture."""
    pixel, wrong = pixel_looked_at(), bool(st.session_state.get("wrong"))

    def compute(model: LoadedModel, shown: Shown) -> Iterator[None]:
        if not isinstance(model.model, ConvolutionModel):
            return
        for switch in (wrong, not wrong):
            computed.fields(model, switch)
            for position in computed.checked(model):
                computed.check_at(model, switch, position)
                yield
        computed.leaks(model, wrong, shown, pixel(model.model.config))
        yield
        computed.logits(model, shown, wrong)
        yield
        _change_own_level(model, shown, pixel(model.model.config), wrong)

    return compute


def _verdict(model: LoadedModel, wrong: bool) -> None:
    report = computed.quick_check(model, wrong)
    if report.is_causal:
        st.success(f"**Causality check passed.** {report.text}", icon=":material/verified:")
    else:
        st.error(f"**Causality check failed.** {report.text}", icon=":material/gpp_bad:")


def _change_own_level(
    model: LoadedModel, shown: Shown, pixel: int, wrong: bool
) -> tuple[int, int, Influence]:
    """Give the level of a pixel, another one, and what the change does to its own prediction."""
    levels = model.model.config.num_levels
    level = shown.level_at(pixel)
    other = (level + levels // 2) % levels
    own = pixel * model.model.config.num_channels
    return level, other, computed.influence(model, shown, own, other, own, wrong)


def _own_level(model: LoadedModel, shown: Shown, pixel: int, wrong: bool) -> None:
    """Change the very pixel that is predicted, and look at its prediction."""
    config = model.model.config
    level, other, result = _change_own_level(model, shown, pixel, wrong)
    where = place(pixel, config) + (", red," if config.num_channels == 3 else "")
    st.markdown(f"The level at {where} is changed from {level} to {other}. Its own prediction:")
    st.plotly_chart(
        distributions.before_after(result.before, result.after, level), key="leak_chart",
        config={"displayModeBar": False},
    )  # fmt: skip
    if result.unchanged:
        st.markdown(f":green[**Not a bit changed:**] all {config.num_levels} logits are the same.")
    else:
        st.markdown(
            f":red[**It changed:**] {panels.percent(result.total_variation)} of the probability "
            "moved, because the prediction reads its own answer."
        )


def _consequence(model: LoadedModel) -> None:
    stack = f" of the {model.model.stack}" if model.model.stack else ""
    st.markdown(
        "**What would go wrong.** In training the true image is the input. With mask B the "
        "network reads each answer in its own input and learns to copy it: the loss falls far "
        "below what is possible, and nothing is learned about pictures. In generation the pixel "
        "is not there yet, so it copies whatever fills the empty place."
    )
    st.caption(
        f"In this copy the opened weights{stack} are whatever the mask hid: no training ever used "
        "them. Training with mask B would turn this chance leak into a copy of the answer."
    )
