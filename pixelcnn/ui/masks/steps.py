"""The live pictures of the guided path: one function for each step."""

import numpy as np
import streamlit as st
import torch

from pixelcnn.evaluation.likelihoods import surprise_bits
from pixelcnn.evaluation.stored import percent
from pixelcnn.ui.masks import computed, panels
from pixelcnn.ui.masks.board import Board, Frames, Look, Panel, board
from pixelcnn.ui.masks.kernels import sliding_board
from pixelcnn.ui.masks.shown import ShownPicture, has_masks, pixel_board, pixel_of_link, place
from pixelcnn.ui.shared.charts import distributions
from pixelcnn.ui.shared.links import bound
from pixelcnn.ui.shared.literal import literal
from pixelcnn.ui.shared.resources import LoadedModel

HINT = "Click a pixel, or move with the arrow keys."


def sequence(model: LoadedModel, shown: ShownPicture) -> None:
    """Step 1: the picture in its order."""
    config = model.model.config
    total = config.height * config.width
    in_order = shown.levels[0].permute(1, 2, 0).flatten()  # channels within a pixel
    first = in_order[config.num_channels * (total // 2) :][:12].tolist()
    board(
        Board(
            panels=(
                panels.picture_panel(
                    shown.levels, config.num_levels, "The picture, in the order of drawing",
                    captions=[shown.title], reveal=True, is_choosable=False, size=520,
                ),
            ),
            frames=Frames(count=total + 1, start=total // 2, per_second=60),
            hint=f"From the middle on the sequence reads {', '.join(map(str, first))}, …",
        ),
        key="step_board",
    )  # fmt: skip


def one_distribution(model: LoadedModel, shown: ShownPicture) -> None:
    """Step 2: the distribution at a pixel."""
    config = model.model.config
    pixel = pixel_of_link("pixel", config)
    looks = np.zeros((config.height, config.width), np.uint8)
    looks.flat[pixel + 1 :] = Look.FUTURE
    left, right = st.columns([5, 6], gap="medium")
    with left:
        before = panels.picture_panel(
            shown.levels, config.num_levels, "The pixels before it", looks=looks,
            captions=[shown.title],
        )  # fmt: skip
        pixel_board(Board([before], hint=HINT), pixel, key="step_board")
    which = "" if config.num_channels == 1 else ", of its red channel,"
    probabilities = (
        computed.logits(model.model, shown)[0, :, 0].flatten(1)[:, pixel].double().softmax(0)
    )
    level = shown.level_at(pixel)
    with right:
        st.plotly_chart(
            distributions.distribution(probabilities.numpy()[:, None], [level]), key="step_chart",
            config={"displayModeBar": False},
        )  # fmt: skip
        st.markdown(
            f"At {place(pixel, config)} the level{which} that is there, {level}, had a "
            f"probability of {percent(float(probabilities[level]))}; the most probable "
            f"level is {int(probabilities.argmax())}."
        )


def product(model: LoadedModel, shown: ShownPicture) -> None:
    """Step 3: surprise at every pixel, and its sum."""
    config = model.model.config
    pixel = pixel_of_link("pixel", config)
    logits = computed.logits(model.model, shown)
    bits = surprise_bits(logits.double(), shown.levels)[0].sum(0).numpy()  # (H, W)
    so_far = float(bits.ravel()[: pixel + 1].sum())
    here, total = float(bits.flat[pixel]), float(bits.sum())
    one, two, three = st.columns(3)
    one.metric("This pixel", f"{here:.2f} bits", help="−log₂ of the probability of its level.")
    two.metric("The sequence up to it", f"{so_far:,.0f} bits")
    three.metric("The whole picture", f"{total:,.0f} bits")
    most = max(8.0, float(np.ceil(bits.max())))
    picture = panels.picture_panel(
        shown.levels, config.num_levels, "Picture", captions=[shown.title]
    )
    surprise = Panel(
        "Surprise at every pixel",
        config.height, config.width, shades=bits / most, values=bits, unit="bits:",
        bar=[(0.0, "0"), (0.5, f"{most / 2:g}"), (1.0, f"{most:g} bits")],
        captions=[
            f"Its probability is 2 to the power of −{total:,.0f}: one in a number of about "
            f"{total * np.log10(2):,.0f} digits."
        ],
        is_choosable=True,
    )  # fmt: skip
    pixel_board(Board([picture, surprise], hint=HINT), pixel, key="step_board")


def masks(model: LoadedModel, shown: ShownPicture) -> None:
    """Step 4: both masks of the loaded model over the picture."""
    config = model.model.config
    if not has_masks(model):
        return
    sliding_board(
        (
            panels.mask_panel(config.first_kernel_size, "A", 1),
            panels.mask_panel(config.kernel_size, "B", config.dilations[0]),
        ),
        panels.picture_panel(
            shown.levels, config.num_levels, "What the kernel may read", captions=[shown.title]
        ),
        pixel_of_link("pixel", config),
        hint="Point at an entry of a mask; drag the kernel over the picture.",
        key="step_board",
    )


def residual(model: LoadedModel, shown: ShownPicture) -> None:
    """Step 5: one feature before a block, what the block adds, and the sum."""
    config = model.model.config
    if not has_masks(model):
        return
    count = model.model.num_residual_blocks
    if count == 0:
        st.info(
            "The result of this model's single block goes straight to the head: there is nothing "
            "that a block adds to. Choose another model.",
            icon=":material/info:",
        )
        return
    left, right, _ = st.columns([3, 3, 4])
    # A model with fewer blocks or features: the number becomes the last one.
    for key, last in (("block", count), ("map", config.num_features - 1)):
        if st.session_state.get(key, 0) > last:
            st.session_state[key] = last
    block = bound(left.number_input, "Block", 1, count, key="block")
    before, added = computed.block_features(model.model, shown, block - 1)
    feature = bound(
        right.number_input,
        "Feature", 0, config.num_features - 1, key="map",
        help="One of the features that every pixel has.",
    )  # fmt: skip
    maps = {
        "What the block receives": before[feature],
        "+ what it adds": added[feature],
        "= what it passes on": (before + added)[feature],
    }
    stack = f", in the {model.model.stack}" if model.model.stack else ""
    largest = max(float(values.abs().max()) for values in maps.values()) or 1.0
    board(
        Board(
            panels=[
                Panel(
                    title, config.height, config.width,
                    shades=values.numpy() / largest, two_sides=True, values=values.numpy(),
                    bar=panels.weight_bar(largest, True), size=300,
                )
                for title, values in maps.items()
            ],
            hint=f"Feature {feature} of {config.num_features} around block {block} of "
            f"{config.num_blocks}{stack}, for the {shown.title}.",
        ),
        key="step_board",
    )  # fmt: skip


def training(model: LoadedModel, shown: ShownPicture) -> None:
    """Step 6: all predictions in one pass, beside a drawing pixel by pixel."""
    config = model.model.config
    total = config.height * config.width
    expected = expected_levels(computed.logits(model.model, shown))
    drawn = computed.drawn(model, shown)
    board(
        Board(
            panels=(
                panels.picture_panel(
                    expected, config.num_levels, "One pass over the whole picture",
                    captions=[f"Expected level of every pixel. The input is the {shown.title}."],
                    is_choosable=False,
                ),
                panels.picture_panel(
                    drawn, config.num_levels, "One pixel at a time",
                    captions=[f"A sample, {config.num_dims:,} steps."], reveal=True,
                    is_choosable=False,
                ),
            ),
            frames=Frames(count=total + 1, start=total // 2, per_second=120),
            hint="Press Play: the first picture is there at once, the second one is not.",
        ),
        key="step_board",
    )  # fmt: skip


def expected_levels(logits: torch.Tensor) -> torch.Tensor:
    """Average the levels by their probabilities, rounded: int64 (B, C, H, W)."""
    levels = torch.arange(logits.shape[1], dtype=torch.float64)
    mean = torch.einsum("bkchw,k->bchw", logits.double().softmax(1), levels)
    return mean.round().long()


def relatives(model: LoadedModel, shown: ShownPicture) -> None:
    """Step 7: the field of the loaded model, and the way to its relatives."""
    config = model.model.config
    pixel = pixel_of_link("pixel", config)
    left, right = st.columns([5, 6], gap="medium")
    with left:
        field = panels.field_panel(
            shown.levels, config.num_levels, "What this model reads",
            computed.fields(model.model)[-1:], pixel,
        )  # fmt: skip
        content = Board([field], hint=HINT)
        pixel_board(content, pixel, key="step_board")
    with right:
        st.markdown(
            "On the next page all of them forecast a price, draw side by side, and are measured: "
            "how far each looks, what it costs, and who is better."
        )
        st.page_link("pages/family.py", label="Meet the family", icon=":material/family_history:")
        count = len(model.class_names)
        told = f", and can be told which of {count} classes to draw" if count else ""
        st.caption(
            f"Shown for {place(pixel, config)}. {literal(model.name)} has "
            f"{model.model.num_parameters:,} parameters{told}. "
            "Van den Oord et al. 2016 (1601.06759) also have LSTMs that take a whole row at once "
            f"({config.height} steps) or a whole diagonal ({config.height + config.width - 1})."
        )
