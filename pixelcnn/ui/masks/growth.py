"""Section Receptive field: how it grows layer by layer, and how much of it is used."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import streamlit as st

from pixelcnn.inspection.receptive_field import LayerField, PixelRole
from pixelcnn.models import ARCHITECTURES, Model, ModelConfig, reshape_config
from pixelcnn.models.convolutions import ConvolutionConfig, ConvolutionModel
from pixelcnn.ui.masks import computed, panels
from pixelcnn.ui.masks.board import Board, Frames
from pixelcnn.ui.masks.shown import (
    ShownPicture,
    choose_channel,
    pixel_board,
    pixel_of_link,
    place,
    read_pixel,
    warn_of_link,
)
from pixelcnn.ui.shared.chart_view import offer_data
from pixelcnn.ui.shared.literal import literal
from pixelcnn.ui.shared.resources import LoadedModel


def show(model: LoadedModel, shown: ShownPicture) -> None:
    """Draw the section."""
    config = model.model.config
    pixel = pixel_of_link("pixel", config)
    st.markdown(
        "One layer reads its kernel. The next reads what that one knew, and so on: the field "
        "grows. " + about_blind_spot(config)
    )
    both = both_fields(model)
    layers = next(iter(both.values()))
    layer = layer_of_link(len(layers))
    pixel_board(
        Board(
            panels=[
                panels.field_panel(shown.levels, config.num_levels, title, fields, pixel)
                for title, fields in both.items()
            ],
            legend=panels.FIELD_LEGEND,
            frames=replace(frames(layers), start=layer, is_told=True),
            hint="Click a pixel; play or drag the slider through the layers.",
        ),
        pixel,
        key="growth",
        on_frame=write_layer,
    )
    st.caption(
        f"{model.model.title}: from the weights of {literal(model.name)}. Any other: a net with "
        "the same kernels and dilations, from its masks alone. Shares are of the past of this "
        "pixel."
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


def prepare(
    model: LoadedModel, shown: ShownPicture, looked_at: Mapping[str, Any]
) -> Iterator[None]:
    """Compute this section's numbers, see `ahead.Prepare`."""
    config = model.model.config
    both_fields(model)
    yield
    pixel = read_pixel(looked_at.get("pixel"), config)
    computed.effective(model.model, shown, pixel * config.num_channels)


def both_fields(model: LoadedModel) -> dict[str, list[LayerField]]:
    """Give the growth of the loaded model, from its weights, beside that of its relatives.

    The relatives are the other architectures of masked convolutions, with the same kernels.
    """
    config = model.model.config
    if config.architecture not in convolutional():
        return {f"{model.model.title} (loaded)": computed.fields(model.model)}
    fields = {}
    for name, other in convolutional().items():
        if name == config.architecture:
            fields[f"{other.title} (loaded)"] = computed.fields(model.model)
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
        warn_of_link("layer", text, f"be a number from 1 to {count}", "the last")
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


def show_table(both: dict[str, list[LayerField]], pixel: int) -> None:
    """Show the numbers of every layer for one pixel, and offer them as a file."""
    numbers = growth_numbers(both, pixel)
    st.table(growth_table(numbers))
    offer_data("receptive-field", numbers, "growth_table")


def growth_numbers(both: dict[str, list[LayerField]], pixel: int) -> dict[str, list[Any]]:
    """Tabulate the layers for one pixel, all models side by side; counts are of pixels."""
    layers = next(iter(both.values()))
    columns: dict[str, list[Any]] = {
        "layer": list(range(len(layers))),
        "kernel": [field.name for field in layers],
        "reach": [field.reach for field in layers],
        "past": [pixel] * len(layers),
    }
    for title, fields in both.items():
        for kind, what in ((PixelRole.SEEN, "sees"), (PixelRole.BLIND_SPOT, "blind spot")):
            counts = [int((field.roles(pixel) == kind).sum()) for field in fields]
            columns[f"{title.split()[0]}: {what}"] = counts
    return columns


def growth_table(numbers: dict[str, list[Any]]) -> dict[str, list[str]]:
    """Write these columns for the screen: shares of the past instead of counts."""
    layer, kernel, reach, past, *counts = numbers
    return {
        "Layer": [f"block {n}" if n else "first" for n in numbers[layer]],
        "Kernel": numbers[kernel],
        "Reach": [str(pixels) for pixels in numbers[reach]],
        **{name: list(map(panels.share, numbers[name], numbers[past])) for name in counts},
    }


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
    channel = choose_channel(config.num_channels, "Channel", "channel")
    used = computed.effective(model.model, shown, pixel * config.num_channels + channel)
    pixel_board(
        Board(
            panels=(
                panels.field_panel(
                    shown.levels, config.num_levels, "Theoretical: what the masks let through",
                    computed.fields(model.model)[-1:], pixel,
                ),
                panels.effective_panel(
                    used, pixel, "Effective: size of the gradient, on this picture"
                ),
            ),
            hint=f"Both for the prediction at {place(pixel, config)} of the {shown.title}.",
        ),
        pixel,
        key="effective",
    )  # fmt: skip
