"""Section Why A then B: what mask B in the first layer does, shown on a net trained with it."""

from collections.abc import Iterator

import streamlit as st
import torch

from pixelcnn.data.pictures import sheet
from pixelcnn.evaluation.stored import StoredNumbers, StoredNumbersError, load_numbers, percent
from pixelcnn.evaluation.wrong_mask import PATH, WrongMask, canvases
from pixelcnn.inspection.influence import Influence
from pixelcnn.inspection.influence import influence as try_influence
from pixelcnn.models.convolutions import ConvolutionModel
from pixelcnn.storage import CheckpointError
from pixelcnn.ui.masks import computed, panels
from pixelcnn.ui.masks.ahead import Prepare
from pixelcnn.ui.masks.board import Board, Look, board
from pixelcnn.ui.masks.growth import LEGEND
from pixelcnn.ui.masks.shown import (
    ShownPicture,
    has_masks,
    pixel_looked_at,
    pixel_of_link,
    place,
    write_pixel,
)
from pixelcnn.ui.shared.charts import curves, distributions
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
    _trained(model, shown, pixel)
    # All is drawn; what the switch needs is computed now, once, so that it answers at once.
    computed.fields(model, not wrong)
    computed.quick_check(model, not wrong)


def prepare() -> Prepare:
    """Give what computes this section's numbers for another model or picture."""
    pixel, wrong = pixel_looked_at(), bool(st.session_state.get("wrong"))

    def compute(model: LoadedModel, shown: ShownPicture) -> Iterator[None]:
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
        st.success(
            f"**Causality check passed** for {report.positions_checked} of {report.num_dims} "
            f"predictions: their {report.future_pairs:,} derivatives with respect to their own "
            "level and later ones are exactly 0. *Prove it* tries all.",
            icon=":material/verified:",
        )
    else:
        st.error(f"**Causality check failed.** {report.text}", icon=":material/gpp_bad:")


def _change_own_level(
    model: LoadedModel, shown: ShownPicture, pixel: int, wrong: bool
) -> tuple[int, int, Influence]:
    """Give the level of a pixel, another one, and what the change does to its own prediction."""
    levels = model.model.config.num_levels
    level = shown.level_at(pixel)
    other = (level + levels // 2) % levels
    own = pixel * model.model.config.num_channels
    return level, other, computed.influence(model, shown, own, other, own, wrong)


def _own_level(model: LoadedModel, shown: ShownPicture, pixel: int, wrong: bool) -> None:
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
            f":red[**It changed**], by {percent(result.total_variation)} of the "
            "probability. No training ever used the weight that is open now; a net that learns "
            "with it makes the most of it, see below."
        )


def _trained(model: LoadedModel, shown: ShownPicture, pixel: int) -> None:
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
    c = model.model.config
    if (c.image_shape, c.num_levels) != (config.image_shape, config.num_levels):
        return
    level = shown.level_at(pixel)
    other = (level + c.num_levels // 2) % c.num_levels
    result = try_influence(
        net, shown.levels, None, changed=pixel, level=other, predicted=pixel
    )  # fmt: skip
    st.markdown(
        f"Its prediction at {place(pixel, c)}, when the level there is changed from {level} to "
        f"{other}: {percent(result.total_variation)} of the probability moves along."
    )
    st.plotly_chart(
        distributions.before_after(result.before, result.after, level), key="trained_chart",
        config={"displayModeBar": False},
    )  # fmt: skip
