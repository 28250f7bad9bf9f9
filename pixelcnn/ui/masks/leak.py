"""Section Why A then B: what mask B in the first layer does, shown on a net trained with it."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import streamlit as st
import torch

from pixelcnn.data.pictures import sheet
from pixelcnn.evaluation.stored import StoredNumbers, StoredNumbersError, load_numbers, percent
from pixelcnn.evaluation.wrong_mask import PATH, WrongMask, canvases
from pixelcnn.inspection.influence import Influence, influence
from pixelcnn.models import Model, ModelConfig
from pixelcnn.models.convolutions import ConvolutionModel
from pixelcnn.storage import CheckpointError
from pixelcnn.ui.masks import computed, panels
from pixelcnn.ui.masks.board import Board, Look
from pixelcnn.ui.masks.shown import (
    ShownPicture,
    has_masks,
    pixel_board,
    pixel_of_link,
    place,
    read_pixel,
    show_change,
)
from pixelcnn.ui.shared.charts import curves
from pixelcnn.ui.shared.links import bound
from pixelcnn.ui.shared.literal import literal
from pixelcnn.ui.shared.resources import LoadedModel


def show(model: LoadedModel, shown: ShownPicture) -> None:
    """Draw the section."""
    config = model.model.config
    if not has_masks(model):
        return
    st.markdown(
        "The first layer reads the picture, and in it the very pixel that is to be predicted. "
        "Mask A hides it. All later layers read what the first one computed, which does not know "
        "that pixel, so mask B is safe there. What if the first layer had mask B too? Try it on "
        "the loaded model, then see what became of a net that was *trained* so, below."
    )
    wrong = bound(
        st.toggle,
        "Use mask B in the first layer (wrong)", key="wrong",
        help="A copy of the loaded model in which the centre of the first kernel is open.",
    )  # fmt: skip
    pixel = pixel_of_link("pixel", config)
    net = _chosen(model, wrong)
    found = computed.leaks(net, shown, pixel * config.num_channels)
    roles = computed.fields(net)[-1].roles(pixel)
    first = "B" if wrong else "A"
    left, right = st.columns([7, 5], gap="medium")
    with left:
        pixel_board(
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
                        looks=np.where(found, Look.LEAK, roles), captions=[shown.title], size=400,
                    ),
                ),
                legend=(*panels.FIELD_LEGEND[:-1], Look.LEAK if wrong else Look.CURRENT),
                hint="Click a pixel: its prediction is checked.",
            ),
            pixel,
            key="leak",
        )  # fmt: skip
    with right:
        _verdict(net)
        _own_level(net, shown, pixel)
    _trained(config, shown, pixel)
    # All is drawn; what the switch needs is computed now, once, so that it answers at once.
    other = _chosen(model, not wrong)
    computed.fields(other)
    computed.quick_check(other)


def prepare(
    model: LoadedModel, shown: ShownPicture, looked_at: Mapping[str, Any]
) -> Iterator[None]:
    """Compute this section's numbers, see `ahead.Prepare`."""
    if not isinstance(model.model, ConvolutionModel):
        return
    for wrong in (False, True):
        computed.fields(_chosen(model, wrong))
        computed.quick_check(_chosen(model, wrong))
        yield
    net = _chosen(model, looked_at.get("wrong", False))
    pixel = read_pixel(looked_at.get("pixel"), net.config)
    computed.leaks(net, shown, pixel * net.config.num_channels)
    yield
    computed.logits(net, shown)
    yield
    _change_own_level(net, shown, pixel)


def _chosen(model: LoadedModel, wrong: bool) -> Model:
    """Return the loaded model, or its copy with mask B in the first layer."""
    return computed.leaking_copy(model.model) if wrong else model.model


def _verdict(net: Model) -> None:
    report = computed.quick_check(net)
    if report.is_causal:
        st.success(
            f"**Causality check passed** for {report.positions_checked} of {report.num_dims} "
            f"predictions: their {report.future_pairs:,} derivatives with respect to their own "
            "level and later ones are exactly 0. *Prove it* tries all.",
            icon=":material/verified:",
        )
    else:
        st.error(f"**Causality check failed.** {report.text}", icon=":material/gpp_bad:")


def _change_own_level(net: Model, shown: ShownPicture, pixel: int) -> tuple[int, int, Influence]:
    """Give the level of a pixel, another one, and what the change does to its own prediction."""
    levels = net.config.num_levels
    level = shown.level_at(pixel)
    other = (level + levels // 2) % levels
    own = pixel * net.config.num_channels
    return level, other, computed.influence(net, shown, own, other, own)


def _own_level(net: Model, shown: ShownPicture, pixel: int) -> None:
    """Change the very pixel that is predicted, and look at its prediction."""
    config = net.config
    level, other, result = _change_own_level(net, shown, pixel)
    where = place(pixel, config) + (", red," if config.num_channels == 3 else "")
    st.markdown(f"The level at {where} is changed from {level} to {other}. Its own prediction:")
    show_change(result, level, "leak_chart")
    if result.unchanged:
        st.markdown(f":green[**Not a bit changed:**] all {config.num_levels} logits are the same.")
    else:
        st.markdown(
            f":red[**It changed**], by {percent(result.total_variation)} of the "
            "probability. No training ever used the weight that is open now; a net that learns "
            "with it makes the most of it, see below."
        )


def _trained(loaded: ModelConfig, shown: ShownPicture, pixel: int) -> None:
    """Show what became of a net that was trained with mask B in its first layer."""
    st.divider()
    st.markdown("#### Trained with the wrong mask")
    try:
        stored: StoredNumbers[WrongMask] | None = load_numbers(PATH, WrongMask)
        net = computed.trained_wrong()
    except (StoredNumbersError, CheckpointError) as error:
        st.error(
            f"The net with the wrong mask cannot be shown. {literal(error)}",
            icon=":material/error:",
        )
        return
    if stored is None:
        st.info("Its numbers are missing: `python benchmarks/wrong_mask.py` makes them.")
        return
    numbers, config = stored.values, net.config
    left, right = st.columns([7, 5], gap="medium")
    with left:
        st.markdown(
            f"Two small nets learned from the same {numbers.images_seen[-1]:,} pictures of "
            "clothes. Only the mask of the first layer differs. In training the true picture is "
            "the input: with mask B each answer stands in it, and the net learns to copy. With "
            f"mask A it ends at {numbers.right[-1]:.2f} bits/dim, with mask B at "
            f"**{numbers.wrong[-1]:.2f}**, as if it foresaw every picture."
        )
        st.plotly_chart(
            curves.wrong_mask(numbers.images_seen, numbers.right, numbers.wrong),
            key="wrong_curve", config={"displayModeBar": False},
            alt="Training bits/dim with mask A and with mask B",
        )  # fmt: skip
    with right:
        before, drawn = canvases(config), torch.tensor(numbers.drawn)[:, None]
        copied = float((before == drawn)[1].double().mean())
        st.markdown(
            "It has learned nothing about clothes. When it draws, the answer is not there yet, so "
            f"it copies what stands in the empty place: black stays black, and of noise "
            f"{percent(copied, 0)} of the pixels stay as they are."
        )
        pairs = torch.stack([before, drawn], dim=1).flatten(0, 1)
        st.image(
            sheet(pairs, config.num_levels, columns=2, scale=4),
            caption="Left: what stood there. Right: what the net drew over it, pixel by pixel.",
            alt="Black and noise, and what the net with the wrong mask drew over them",
        )
    if (loaded.image_shape, loaded.num_levels) != (config.image_shape, config.num_levels):
        return
    level = shown.level_at(pixel)
    other = (level + config.num_levels // 2) % config.num_levels
    result = influence(net, shown.levels, None, changed=pixel, level=other, predicted=pixel)
    st.markdown(
        f"Its prediction at {place(pixel, config)}, when the level there is changed from {level} "
        f"to {other}: {percent(result.total_variation)} of the probability moves along."
    )
    show_change(result, level, "trained_chart")
