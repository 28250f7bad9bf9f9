"""How far each looks: the stored curves, and for one pixel the map of every member."""

from functools import lru_cache

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from torch import Tensor

from pixelcnn.evaluation.family import Member
from pixelcnn.inspection.influence import effective_receptive_field
from pixelcnn.inspection.receptive_field import PixelRole, layer_fields
from pixelcnn.models.convolutions import ConvolutionModel
from pixelcnn.sampling import sample
from pixelcnn.sampling.noise import LARGEST_SEED
from pixelcnn.storage import CheckpointError
from pixelcnn.ui.family.charts import influence_chart, lost_chart, maps_chart
from pixelcnn.ui.family.members import PRICE, Family, choose_family, measured
from pixelcnn.ui.shared.chart_view import show_chart
from pixelcnn.ui.shared.links import bound
from pixelcnn.ui.shared.literal import literal
from pixelcnn.ui.shared.resources import LoadedModel, load

Picture = tuple[LoadedModel, int]
"""Who drew it, and the seed."""
COLUMNS = 4
"""Maps beside each other."""
STEPS, PIXELS = "Along the sequence", "In the picture"


def show() -> None:
    """Show the curves, then the maps of a pixel."""
    family = choose_family(st, "looking_family")
    members = measured(family)
    if members:
        _show_curves(family, members)
    if family.dataset != PRICE:
        _show_maps(family)


def _show_curves(family: Family, members: dict[str, Member]) -> None:
    images = sorted({member.num_images for member in members.values()})
    what = "series" if family.dataset == PRICE else "pictures"
    left, right = st.columns(2, gap="medium")
    with left:
        st.markdown("#### One change, felt how far?")
        if _in_picture(family, members):
            far, where = None, "so many pixels away (by rows or columns, whichever is more)"
        else:
            far, where = family.far, f"so many steps later (the dotted line: {family.far})"
        st.caption(
            "One value of the past moves by half the range of levels. How much of the prediction "
            f"{where} moves with it: total variation, 0 to 1, on average."
        )
        show_chart(influence_chart(members, far), "influence")
    # Words at the top and chart at the bottom, beside the other chart.
    with right.container(height="stretch", vertical_alignment="distribute"):
        with st.container():
            st.markdown("#### What if the far past is hidden?")
            st.caption(
                "Each prediction sees the last n steps as they are; what lies before them comes "
                f"from another of the {what}, of the same class if there are classes. Bits/dim "
                "that this costs."
            )
        with st.container():
            show_chart(lost_chart(members, family.far), "lost")
    st.caption(
        f"Measured on {' to '.join(f'{n:,}' for n in images)} test {what} by "
        "`python -m pixelcnn measure family NAME`. Where a curve on the right lies at 0, the "
        "model makes nothing of what is farther back. Below 0, another past even helps it. "
        "Where a curve on the left ends, there is no influence at all."
    )


def _in_picture(family: Family, members: dict[str, Member]) -> bool:
    """Let the visitor choose the distance, if there are two and both were measured."""
    if family.dataset == PRICE or not all(m.influence_in_picture for m in members.values()):
        return False
    chosen = bound(
        st.segmented_control,
        "Distance", [STEPS, PIXELS], default=STEPS, required=True, key="distance",
        label_visibility="collapsed",
    )  # fmt: skip
    return chosen == PIXELS


def _show_maps(family: Family) -> None:
    st.markdown("#### One prediction, one map for each model")
    config = next(iter(family.members.values())).config
    left, middle, right = st.columns(3)
    row, col = (
        bound(column.slider, name, 0, size - 1, size // 2, key=key)
        for column, name, size, key in (
            (left, "Row", config.height, "look_row"),
            (middle, "Column", config.width, "look_col"),
        )
    )
    seed = bound(right.number_input, "Seed of the picture", 0, LARGEST_SEED, key="look_seed")
    pixel = row * config.width + col
    if pixel == 0:
        st.info("The first pixel has no past. Choose another one.", icon=":material/info:")
        return
    drawer = next(iter(family.names))
    try:
        shown = {title: load(name) for title, name in family.names.items()}
    except CheckpointError as error:
        st.error(f"This checkpoint cannot be used. {literal(error)}", icon=":material/error:")
        return
    picture = shown[drawer], int(seed)
    influence = {title: _influence(model, picture, pixel) for title, model in shown.items()}
    st.caption(
        f"Influence: how strongly each earlier pixel acts on the prediction at row {row}, column "
        f"{col}, by its gradient, on a picture that {drawer} drew. Empty: exactly none."
    )
    st.plotly_chart(
        maps_chart(influence, pixel, COLUMNS), key="influence_maps",
        config={"displayModeBar": False}, alt="Influence on one prediction, a map for each model",
    )  # fmt: skip
    for title, model in shown.items():
        looks = _attention(model, picture, pixel)
        if looks:
            with st.expander(f"{literal(title)}: what each head of attention looked at"):
                st.plotly_chart(
                    maps_chart(looks, pixel, COLUMNS), key=f"attention-{title}",
                    config={"displayModeBar": False}, alt=f"Attention of {title}",
                )  # fmt: skip
    fields = {
        title: found
        for title, model in shown.items()
        if (found := _field(model, pixel)) is not None
    }
    if fields:
        with st.expander("Convolutions: what they can read at all"):
            st.plotly_chart(
                maps_chart({title: field for title, (field, _) in fields.items()}, pixel, COLUMNS),
                key="fields", config={"displayModeBar": False}, alt="Receptive fields",
            )  # fmt: skip
            for title, (field, blind) in fields.items():
                st.caption(
                    f"{literal(title)}: {int(field.sum())} of {pixel} earlier pixels, {blind} in "
                    "its blind spot. The Masks page shows how the field grows."
                )


@lru_cache(8)
def _picture(model: LoadedModel, seed: int) -> Tensor:
    return sample(model.model, num_images=1, seed=seed)


@lru_cache(128)
def _influence(model: LoadedModel, picture: Picture, pixel: int) -> NDArray[np.float32]:
    return effective_receptive_field(model.model, _picture(*picture), None, pixel)


@lru_cache(128)
def _attention(model: LoadedModel, picture: Picture, pixel: int) -> dict[str, NDArray[np.float32]]:
    """Give the map of every head, by its name; empty for a model without attention."""
    maps = model.model.attention(_picture(*picture), pixel)[:, 0]  # (layers, heads, H, W)
    return {
        f"layer {layer}, head {head}": values.float().numpy()
        for layer, heads in enumerate(maps, 1)
        for head, values in enumerate(heads, 1)
    }


@lru_cache(128)
def _field(model: LoadedModel, pixel: int) -> tuple[NDArray[np.float32], int] | None:
    """Give what a convolutional model can read, and how many pixels its blind spot has."""
    if not isinstance(model.model, ConvolutionModel):
        return None
    roles = layer_fields(model.model)[-1].roles(pixel)
    seen = (roles == PixelRole.SEEN).astype(np.float32)
    return seen, int((roles == PixelRole.BLIND_SPOT).sum())
