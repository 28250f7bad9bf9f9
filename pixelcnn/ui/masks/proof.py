"""Section Prove it: change one pixel and watch one prediction; try all pairs."""

from collections.abc import Iterator

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from pixelcnn.evaluation.stored import percent
from pixelcnn.inspection.influence import Influence
from pixelcnn.inspection.receptive_field import PixelRole
from pixelcnn.ui.masks import all_pairs, computed, panels
from pixelcnn.ui.masks.ahead import Prepare
from pixelcnn.ui.masks.board import Board, board
from pixelcnn.ui.masks.growth import LEGEND
from pixelcnn.ui.masks.shown import (
    ShownPicture,
    pixel_looked_at,
    pixel_of_link,
    place,
    write_pixel,
)
from pixelcnn.ui.shared.charts import distributions
from pixelcnn.ui.shared.links import bound
from pixelcnn.ui.shared.resources import LoadedModel

WHY_UNCHANGED = {
    PixelRole.CURRENT: "It is the predicted pixel itself, and mask A hides it.",
    PixelRole.FUTURE: "It comes later in the order, and the masks hide it.",
    PixelRole.BLIND_SPOT: "It is past, but it lies in the blind spot.",
    PixelRole.BEYOND_REACH: "It is past, but out of the reach of the kernels.",
}

I_BEGINS, J_BEGINS = (0.35, 0.5), (0.5, 0.55)
"""Where i and j are at first, as shares of height and width."""


def show(model: LoadedModel, shown: ShownPicture) -> None:
    """Draw the section."""
    config = model.model.config
    changed = pixel_of_link("i", config, I_BEGINS)
    predicted = pixel_of_link("j", config, J_BEGINS)
    st.markdown(
        "Does pixel *i* influence the prediction at pixel *j*? Choose both. The network runs "
        "twice: with the picture as it is, and with another level at *i*."
    )
    left, right = st.columns([6, 6], gap="medium")
    with right:
        from_channel, to_channel = _channels(config.num_channels)
        level = shown.level_at(changed, from_channel)
        new = _new_level(level, config.num_levels)
        hint = bound(
            st.toggle,
            "Show what j can read", key="show_field",
            help="The receptive field of j: what the masks allow. The trial shows what happens.",
        )  # fmt: skip
    other = shown.levels.clone()
    other[0, from_channel].view(-1)[changed] = new
    with left:
        board(
            Board(
                panels=(
                    panels.picture_panel(
                        other, config.num_levels, f"Picture with level {new} at i",
                        looks=_roles(model, predicted) if hint else None,
                        captions=[shown.title],
                    ),
                ),
                words=panels.FIELD_WORDS,
                legend=LEGEND if hint else (),
                marks={"i": changed, "j": predicted},
                picks={"i": "i: pixel to change", "j": "j: prediction to watch"},
                hint=f"i is {place(changed, config)}, j is {place(predicted, config)}. "
                "Click one, then the other; arrow keys move the chosen one.",
            ),
            key="pair",
            on_pick=lambda name, pixel: write_pixel(name, pixel, config.width),
        )  # fmt: skip
    channels = config.num_channels
    i, j = changed * channels + from_channel, predicted * channels + to_channel
    result = computed.influence(model, shown, i, new, j)
    with right:
        _verdict(model, result, i, j, level, new)
        st.plotly_chart(
            distributions.before_after(
                result.before, result.after, shown.level_at(predicted, to_channel)
            ),
            key="pair_chart",
            config={"displayModeBar": False},
        )
        st.caption("The prediction at j, before and after the change at i.")
    st.divider()
    all_pairs.show(model, shown)


def prepare() -> Prepare:
    """Give what computes this section's numbers for another model or picture."""
    i_looked_at, j_looked_at = pixel_looked_at("i", I_BEGINS), pixel_looked_at("j", J_BEGINS)
    shift = st.session_state.get("by")

    def compute(model: LoadedModel, shown: ShownPicture) -> Iterator[None]:
        config = model.model.config
        i, j = (p(config) for p in (i_looked_at, j_looked_at))
        new = (shown.level_at(i) + (shift or config.num_levels // 2)) % config.num_levels
        computed.fields(model)
        yield
        computed.logits(model, shown)
        yield
        channels = config.num_channels
        computed.influence(model, shown, i * channels, new, j * channels)

    return compute


def _roles(model: LoadedModel, predicted: int) -> NDArray[np.uint8]:
    return computed.fields(model)[-1].roles(predicted)


def _channels(count: int) -> tuple[int, int]:
    """Let the visitor choose the channels, where there is a choice."""
    if count == 1:
        return 0, 0
    columns = st.columns(2)
    names = [
        bound(
            column.segmented_control,
            text,
            list("RGB"),
            default="R",
            required=True,
            key=key,
        )
        for column, text, key in zip(
            columns, ("Channel of i", "Channel of j"), ("i_channel", "j_channel"), strict=True
        )
    ]
    return "RGB".index(names[0]), "RGB".index(names[1])


def _new_level(level: int, num_levels: int) -> int:
    """Let the visitor choose the level that pixel i gets."""
    shift = bound(
        st.slider,
        "Change the level at i by", 1, num_levels - 1, num_levels // 2, key="by",
        help="Levels go round: one past the highest is 0.",
    ) if num_levels > 2 else 1  # fmt: skip
    new = (level + shift) % num_levels
    st.caption(f"Level {level} becomes {new}.")
    return new


def _verdict(
    model: LoadedModel,
    result: Influence,
    changed: int,
    predicted: int,
    level: int,
    new: int,
) -> None:
    """Tell what the trial found; `changed` and `predicted` are dimensions."""
    config = model.model.config
    role = PixelRole(
        int(_roles(model, predicted // config.num_channels).flat[changed // config.num_channels])
    )
    if role is PixelRole.CURRENT and changed < predicted:
        role = PixelRole.SEEN  # an earlier channel of the same pixel
    what = f"Level {level} at i becomes {new}."
    if not result.unchanged:
        must_not = changed >= predicted
        (st.error if must_not else st.info)(
            f"**Yes, i influences j.** {what} {percent(result.total_variation)} of "
            "the probability at j moves.",
            icon=":material/error:" if must_not else ":material/trending_flat:",
        )
        return
    why = WHY_UNCHANGED.get(
        role, "The masks let it through, but on this picture it makes no difference."
    )
    st.success(
        f"**No: not a bit changed.** {what} All {config.num_levels} logits at j are the same, "
        f"bit for bit. {why}",
        icon=":material/block:",
    )
