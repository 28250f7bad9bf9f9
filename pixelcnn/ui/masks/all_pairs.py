"""The check of all pairs of pixels on the Masks page: button, progress, counts, picture."""

from functools import lru_cache

import numpy as np
import streamlit as st

from pixelcnn.data.pictures import Picture
from pixelcnn.inspection.influence import PairCheck, check_pairs
from pixelcnn.inspection.receptive_field import past_coverage
from pixelcnn.ui.masks import computed, panels
from pixelcnn.ui.masks.shown import ShownPicture
from pixelcnn.ui.shared.long_work import result_of
from pixelcnn.ui.shared.resources import LoadedModel

COLOURS = np.array(
    [(224, 227, 233), (45, 130, 255), (245, 125, 20), (225, 20, 45)], dtype=np.uint8
)
"""Future unchanged, past changed, past unchanged, future changed."""


def show(model: LoadedModel, shown: ShownPicture) -> None:
    """Draw the part below the single pair."""
    total = model.model.config.num_dims
    st.markdown("#### All pairs")
    st.markdown(
        f"One after the other each of the {total:,} levels of this picture is changed, by half "
        "the range, and every prediction is compared with the one before, bit for bit: "
        f"{total * total:,} pairs."
    )
    check = result_of(
        ("pairs", model.name, model.modified_ns, shown.key),
        lambda: check_pairs(model.model, shown.levels, shown.label),
        slot="pairs",
        button="Check all pairs",
        what="Checking all pairs",
    )
    if check is None:
        return
    left, right = st.columns([7, 5], gap="medium")
    with left:
        _counts(model, check)
    with right:
        painted = matrix_picture(check)
        st.image(painted, output_format="PNG", width="stretch", alt="Every pair, as told below")
        st.caption(
            "Every pair: one row for each prediction j, one column for each changed pixel i. "
            "Blue: it changed. Orange: past, but no change. Grey: future, no change. Red: a leak."
        )


def _counts(model: LoadedModel, check: PairCheck) -> None:
    verdict = f"**{check.future_changed:,}** of {check.future_pairs:,} pairs"
    if check.future_changed == 0:
        st.success(
            f"Zero dependence on the future: {verdict} with *i* at *j* or later changed a bit of "
            "the prediction.",
            icon=":material/verified:",
        )
    else:
        st.error(f"NOT CAUSAL: {verdict} changed.", icon=":material/gpp_bad:")
    st.metric(
        "Share of the past that is seen",
        panels.share(check.past_changed, check.past_pairs),
        help="Pairs with i before j whose prediction changed, measured on this picture.",
    )
    counted = f"{check.past_changed:,} of {check.past_pairs:,} pairs with *i* before *j* changed. "
    if model.model.config.num_channels == 1:  # else the maps are of pixels, the pairs of channels
        maps = computed.fields(model.model)[-1].maps()
        outside = int((check.matrix() & ~maps).sum())
        counted += (
            f"The masks let {past_coverage(maps)[0]:,} through; outside of these {outside:,} "
            "changed. "
        )
    st.markdown(
        f"{counted}An influence too small for this one change of level to show is counted as none."
    )


@lru_cache(8)
def matrix_picture(check: PairCheck, largest: int = 1024) -> Picture:
    """Paint every pair: rows are predictions, columns are changed dimensions.

    Where there are more than `largest` dimensions a dot stands for a square of pairs: a leak among
    them makes it red, else a past pair without a change makes it orange.

    Returns:
        uint8 (n, n, 3), n = N or, of more than `largest`, about that.
    """
    total = len(check.packed)
    step = -(-total // largest)
    order = np.arange(total)
    edges = np.arange(0, total, step)
    rows = []
    for start in edges:  # one row of dots at a time: all pairs of a large picture are many
        changed = np.unpackbits(check.packed[start : start + step], axis=1, count=total)
        is_past = order[start : start + step, None] < order
        code = np.where(is_past, 2 - changed, 3 * changed)  # in rising order of what matters
        rows.append(np.maximum.reduceat(code.max(0), edges))
    return COLOURS[np.stack(rows, axis=1)]
