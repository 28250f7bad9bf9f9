"""Section Receptive field: how it grows layer by layer, and how much of it is used."""

import re
import reprlib
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import streamlit as st

from pixelcnn.inspection.receptive_field import LayerField, PixelRole
from pixelcnn.models import ARCHITECTURES, Model, ModelConfig, reshape_config
from pixelcnn.models.convolutions import ConvolutionConfig, ConvolutionModel
from pixelcnn.ui.masks import computed, panels
from pixelcnn.ui.masks.ahead import Prepare
from pixelcnn.ui.masks.board import Board, Frames, Look, board
from pixelcnn.ui.masks.shown import (
    ShownPicture,
    pixel_looked_at,
    pixel_of_link,
    place,
    write_pixel,
)
from pixelcnn.ui.shared.chart_view import offer_data
from pixelcnn.ui.shared.links import bound
from pixelcnn.ui.shared.literal import literal
from pixelcnn.ui.shared.resources import LoadedModel

LEGEND = (Look.SEEN, Look.BLIND_SPOT, Look.BEYOND_REACH, Look.FUTURE, Look.CURRENT)


def show(model: LoadedModel, shown: ShownPicture) -> None:
    """Draw the section."""
    config = model.model.config
    pixel = pixel_of_link("pixel", config)
    st.markdown(
        "One layer reads its kernel. The next reads what that one knew, and so on: the field "
        "grows. " + about_blind_spot(config)
    )
    both = both_fields(model)
    layers = both[next(iter(both))]
    layer = layer_of_link(len(layers))
    board(
        Board(
            panels=[
                panels.picture_panel(
                    shown.levels, config.num_levels, title,
                    looks=np.stack([field.roles(pixel) for field in fields]),
                    captions=[panels.field_caption(pixel, f.roles(pixel)) for f in fields],
                )
                for title, fields in both.items()
            ],
            words=panels.FIELD_WORDS,
            legend=LEGEND,
            marks={"pixel": pixel},
            picks={"pixel": "Pixel"},
            frames=replace(frames(layers), start=layer, is_told=True),
            hint="Click a pixel; play or drag the slider through the layers.",
        ),
        key="growth",
        on_pick=lambda name, chosen: write_pixel(name, chosen, config.width),
        on_frame=write_layer,
    )  # fmt: skip
    st.caption(
        f"{model.model.title}: from the weights of {literal(model.name)}. Any other: a net with "
        "the same "
        "kernels and dilations, from its masks alone. Shares are of the past of this pixel."
    )
    with st.expander("Numbers, layer by layer"):
        show_table(both, pixel)
        st.caption(
            f"The pixel is {place(pixel, config)}. Reach: rows up and columns to either side."
        )
        for name, fields in both.items():
            st.markdown(f"**{name}**. {all_pixels(fields[-1])}")
    st.divider()
    _effective(model, shown, pixel)


def about_blind_spot(config: ModelConfig) -> str:
    """Say what a step to the right costs in a single stack with the kernels of a model."""
    if not isinstance(config, ConvolutionConfig):
        return ""
    sizes = dict.fromkeys((config.first_kernel_size, config.kernel_size))
    across = max(sizes) // 2
    steps = "each step" if across == 1 else f"{across} steps"
    return (
        "In a single stack, as the **classic** model has it, with kernels of "
        f"{' and '.join(f'{k} x {k}' for k in sizes)} pixels, {steps} to the right cost"
        f"{'s' * (across == 1)} at least one row up. So pixels above and far to the right stay "
        "unseen: the **blind spot**. The **gated** model gives the rows above a stack of their "
        "own: then only what dilations skip stays unseen."
    )


def prepare() -> Prepare:
    """Give what computes this section's numbers for another model or picture."""
    pixel = pixel_looked_at()

    def compute(model: LoadedModel, shown: ShownPicture) -> Iterator[None]:
        both_fields(model)
        yield
        computed.effective(model, shown, pixel(model.model.config), 0)

    return compute


def both_fields(model: LoadedModel) -> dict[str, list[LayerField]]:
    """Give the growth of the loaded model, from its weights, beside that of its relatives.

    The relatives are the other architectures of masked convolutions, with the same kernels.
    """
    config = model.model.config
    if config.architecture not in convolutional():
        return {f"{model.model.title} (loaded)": computed.fields(model)}
    fields = {}
    for name, other in convolutional().items():
        if name == config.architecture:
            fields[f"{other.title} (loaded)"] = computed.fields(model)
        else:
            fields[other.title] = computed.fields_of_shape(reshape_config(config, name))
    return fields


def convolutional() -> dict[str, type[Model]]:
    """List the architectures of masked convolutions alone, the plainest first."""
    found = {
        name: model
        for name, model in ARCHITECTURES.items()
        if issubclass(model, ConvolutionModel)
        and model.begins_with is None
        and model.attention_maps is Model.attention_maps
    }
    return dict(sorted(found.items(), key=lambda item: bool(item[1].stack)))


def layer_of_link(count: int) -> int:
    """Read the layer from the URL, where 1 is the first; returns it from 0 on.

    The last one if there are not so many: another model was chosen since.
    """
    text = st.query_params.get("layer", str(count))
    if not re.fullmatch(r"[1-9]\d{0,3}", text):
        st.warning(
            f"`layer` (={literal(reprlib.repr(text))}) in the link must be a number from 1 to "
            f"{count}; shown is "
            "the last.",
            icon=":material/warning:",
        )
        return count - 1
    return min(int(text), count) - 1


def write_layer(layer: int) -> None:
    """Put a layer, counted from 0, into the URL."""
    st.query_params["layer"] = str(layer + 1)


def frames(fields: list[LayerField]) -> Frames:
    """Make one frame of each layer."""
    last = len(fields) - 1
    names = ["first layer", *(f"block {n} of {last}" for n in range(1, last + 1))]
    return Frames(
        count=len(fields),
        labels=[f"{name}: {f.name}" for name, f in zip(names, fields, strict=True)],
        start=last,
    )


def growth_table(both: dict[str, list[LayerField]], pixel: int) -> list[dict[str, str]]:
    """Write the numbers of every layer for one pixel, both models side by side."""
    rows = []
    for number, layers in enumerate(zip(*both.values(), strict=True)):
        row = {"Layer": "first" if number == 0 else f"block {number}", "Kernel": layers[0].name}
        row["Reach"] = str(layers[0].reach)
        for name, field in zip(both, layers, strict=True):
            roles = field.roles(pixel)
            short = _short(name)
            row[f"{short}: sees"] = panels.share(int((roles == PixelRole.SEEN).sum()), pixel)
            row[f"{short}: blind spot"] = panels.share(
                int((roles == PixelRole.BLIND_SPOT).sum()), pixel
            )
        rows.append(row)
    return rows


def growth_numbers(both: dict[str, list[LayerField]], pixel: int) -> dict[str, list[object]]:
    """Give the numbers of the table as columns, for a file; counts are of pixels."""
    layers = next(iter(both.values()))
    columns: dict[str, list[object]] = {
        "layer": list(range(len(layers))),
        "kernel": [field.name for field in layers],
        "reach": [field.reach for field in layers],
        "past": [pixel] * len(layers),
    }
    for name, fields in both.items():
        for kind, what in ((PixelRole.SEEN, "sees"), (PixelRole.BLIND_SPOT, "blind spot")):
            counts = [int((field.roles(pixel) == kind).sum()) for field in fields]
            columns[f"{_short(name)}: {what}"] = counts
    return columns


def show_table(both: dict[str, list[LayerField]], pixel: int) -> None:
    """Show the numbers of every layer, and offer them as a file."""
    st.table(growth_table(both, pixel))
    offer_data("receptive-field", growth_numbers(both, pixel), "growth_table")


def _short(name: str) -> str:
    return name.split(",")[0].split(" ")[0]


def all_pixels(field: LayerField) -> str:
    """Tell what all predictions together see."""
    totals = field.totals
    past = sum(
        totals[kind] for kind in (PixelRole.SEEN, PixelRole.BLIND_SPOT, PixelRole.BEYOND_REACH)
    )
    return (
        f"All pixels together: {panels.share(totals[PixelRole.SEEN], past)} of the past is seen, "
        f"{panels.share(totals[PixelRole.BLIND_SPOT], past)} lies in the blind spot, "
        f"{panels.share(totals[PixelRole.BEYOND_REACH], past)} is out of reach. "
        f"Reach: {field.reach} pixels up and to either side."
    )


def _effective(model: LoadedModel, shown: ShownPicture, pixel: int) -> None:
    config = model.model.config
    st.markdown("#### What it can read, and what it uses")
    st.markdown(
        "The masks say what a prediction *can* read. How strongly it *does* on this picture is "
        "measured by the gradient of the log-probability of the level that is there "
        "(Luo et al. 2016): the larger it is, the more a small change of that pixel would matter. "
        "*Prove it* makes a real change."
    )
    channel = 0
    if config.num_channels == 3:
        channel = "RGB".index(
            bound(
                st.segmented_control,
                "Channel", list("RGB"), default="R", required=True, key="channel",
            )
        )  # fmt: skip
    field = computed.fields(model)[-1]
    roles = field.roles(pixel)
    board(
        Board(
            panels=(
                panels.picture_panel(
                    shown.levels, config.num_levels, "Theoretical: what the masks let through",
                    looks=roles, captions=[panels.field_caption(pixel, roles)],
                ),
                panels.effective_panel(
                    computed.effective(model, shown, pixel, channel), pixel,
                    "Effective: size of the gradient, on this picture",
                ),
            ),
            words=panels.FIELD_WORDS,
            marks={"pixel": pixel},
            picks={"pixel": "Pixel"},
            hint=f"Both for the prediction at {place(pixel, config)} of the {shown.title}.",
        ),
        key="effective",
        on_pick=lambda name, chosen: write_pixel(name, chosen, config.width),
    )  # fmt: skip
