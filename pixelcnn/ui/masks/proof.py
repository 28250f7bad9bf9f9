"""Section Prove it: change one pixel and watch one prediction; try all pairs."""

from collections.abc import Iterator, Mapping
from typing import Any

import streamlit as st

from pixelcnn.evaluation.stored import percent
from pixelcnn.inspection.influence import Influence
from pixelcnn.inspection.receptive_field import PixelRole
from pixelcnn.ui.masks import all_pairs, computed, panels
from pixelcnn.ui.masks.board import Board, board
from pixelcnn.ui.masks.shown import (
    ShownPicture,
    choose_channel,
    pixel_of_link,
    place,
    read_pixel,
    show_change,
    write_pixel,
)
from pixelcnn.ui.shared.links import bound
from pixelcnn.ui.shared.resources import LoadedModel

WHY_UNCHANGED = {
    PixelRole.CURRENT: "It is the predicted pixel itself, and mask A hides it.",
    PixelRole.FUTURE: "It comes later in the order, and the masks hide it.",
    PixelRole.BLIND_SPOT: "It is past, but it lies in the blind spot.",
    PixelRole.BEYOND_REACH: "It is past, but out of the reach of the kernels.",
    PixelRole.SEEN: "The masks let it through, but on this picture it makes no difference.",
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
        channels = config.num_channels
        places = (st, st) if channels == 1 else st.columns(2)
        from_channel = choose_channel(channels, "Channel of i", "i_channel", places[0])
        to_channel = choose_channel(channels, "Channel of j", "j_channel", places[1])
        level = shown.level_at(changed, from_channel)
        new = _new_level(level, config.num_levels)
        hint = bound(
            st.toggle,
            "Show what j can read", key="show_field",
            help="The receptive field of j: what the masks allow. The trial shows what happens.",
        )  # fmt: skip
    roles = computed.fields(model.model)[-1].roles(predicted)
    other = shown.levels.clone()
    other[0, from_channel].view(-1)[changed] = new
    with left:
        board(
            Board(
                panels=(
                    panels.picture_panel(
                        other, config.num_levels, f"Picture with level {new} at i",
                        looks=roles if hint else None,
                        captions=[shown.title],
                    ),
                ),
                legend=panels.FIELD_LEGEND if hint else (),
                marks={"i": changed, "j": predicted},
                buttons={"i": "i: pixel to change", "j": "j: prediction to watch"},
                hint=f"i is {place(changed, config)}, j is {place(predicted, config)}. "
                "Click one, then the other; arrow keys move the chosen one.",
            ),
            key="pair",
            on_pick=lambda name, pixel: write_pixel(name, pixel, config.width),
        )  # fmt: skip
    i, j = changed * channels + from_channel, predicted * channels + to_channel
    result = computed.influence(model.model, shown, i, new, j)
    role = PixelRole(int(roles.flat[changed]))
    if role is PixelRole.CURRENT and i < j:
        role = PixelRole.SEEN  # an earlier channel of the same pixel
    with right:
        _verdict(result, role, f"Level {level} at i becomes {new}.")
        show_change(result, shown.level_at(predicted, to_channel), "pair_chart")
        st.caption("The prediction at j, before and after the change at i.")
    st.divider()
    all_pairs.show(model, shown)


def prepare(
    model: LoadedModel, shown: ShownPicture, looked_at: Mapping[str, Any]
) -> Iterator[None]:
    """Compute this section's numbers, see `ahead.Prepare`."""
    net, config = model.model, model.model.config
    computed.fields(net)
    yield
    computed.logits(net, shown)
    yield
    i = read_pixel(looked_at.get("i"), config, I_BEGINS)
    j = read_pixel(looked_at.get("j"), config, J_BEGINS)
    shift = looked_at.get("by", config.num_levels // 2)
    new = (shown.level_at(i) + shift) % config.num_levels
    computed.influence(net, shown, i * config.num_channels, new, j * config.num_channels)


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


def _verdict(result: Influence, role: PixelRole, what: str) -> None:
    """Tell what the trial found; `role` is that of i for the prediction at j."""
    if result.unchanged:
        st.success(
            f"**No: not a bit changed.** {what} All {len(result.before)} logits at j are the "
            f"same, bit for bit. {WHY_UNCHANGED[role]}",
            icon=":material/block:",
        )
        return
    must_not = role in (PixelRole.CURRENT, PixelRole.FUTURE)
    (st.error if must_not else st.info)(
        f"**Yes, i influences j.** {what} {percent(result.total_variation)} of "
        "the probability at j moves.",
        icon=":material/error:" if must_not else ":material/trending_flat:",
    )
