"""Section Build your own: the field, the blind spot and the size of a net set up here."""

import re

import streamlit as st

from pixelcnn.commands.train import command_line
from pixelcnn.config import TrainConfig
from pixelcnn.data.datasets import DATASETS
from pixelcnn.inspection.receptive_field import PixelRole
from pixelcnn.models import ModelConfig, architecture
from pixelcnn.training.runs import RunConfig
from pixelcnn.ui.masks import computed, panels
from pixelcnn.ui.masks.board import Board
from pixelcnn.ui.masks.growth import all_pixels, convolutional, frames, show_table
from pixelcnn.ui.masks.kernels import SIZES
from pixelcnn.ui.masks.shown import ShownPicture, pixel_board, pixel_of_link, place
from pixelcnn.ui.shared.links import bound
from pixelcnn.ui.shared.literal import literal
from pixelcnn.ui.shared.resources import LoadedModel, num_parameters

PATTERNS = ("1", "1, 2", "1, 2, 4", "1, 2, 4, 8")
OWN_LIST = "own list"
MAX_FEATURES = 96
"""More would take longer to make and count than a slider may take to answer."""


def show(model: LoadedModel, shown: ShownPicture) -> None:
    """Draw the section."""
    config = model.model.config
    st.markdown(
        "Set up a net of your own and see what its predictions can read, on the picture of the "
        f"loaded model ({config.height} x {config.width} pixels). The field depends on the masks "
        "only, so nothing has to be trained."
    )
    left, right = st.columns([4, 8], gap="medium")
    with left:
        try:
            own = choose_config(config)
        except ValueError as error:
            st.error(f"There is no such net. {literal(error)}", icon=":material/error:")
            return
    pixel = pixel_of_link("pixel", config)
    fields = computed.fields_of_shape(own)
    roles = fields[-1].roles(pixel)
    with right:
        one, two, three = st.columns(3)
        one.metric("Parameters", f"{num_parameters(own):,}")
        two.metric("Past seen", panels.share(int((roles == PixelRole.SEEN).sum()), pixel))
        three.metric("Blind spot", panels.share(int((roles == PixelRole.BLIND_SPOT).sum()), pixel))
        title = f"Field at {place(pixel, config)}"
        pixel_board(
            Board(
                panels=[panels.field_panel(shown.levels, config.num_levels, title, fields, pixel)],
                legend=panels.FIELD_LEGEND,
                frames=frames(fields),
                hint="Click a pixel; play or drag the slider through the layers.",
            ),
            pixel,
            key="own",
        )
    st.markdown(all_pixels(fields[-1]))
    with st.expander("Numbers, layer by layer"):
        show_table({architecture(own.architecture).title: fields}, pixel)
    if model.info.dataset in DATASETS:
        with st.expander("Train this net"):
            run = RunConfig(model=own, train=TrainConfig(dataset=model.info.dataset))
            st.code(command_line(run, "NAME"), language=None, wrap_lines=True)


def choose_config(config: ModelConfig) -> ModelConfig:
    """Let the visitor set up a net for images like those of the loaded model.

    Raises:
        ValueError: if the own list of dilations is none.
    """
    kinds = convolutional()
    net = bound(
        st.segmented_control,
        "Architecture", [name.capitalize() for name in kinds], default="Classic",
        required=True, key="net",
        help=" ".join(f"{name.capitalize()}: {kind.about}" for name, kind in kinds.items()),
    )  # fmt: skip
    first, later = st.columns(2)
    first_size = bound(first.selectbox, "First kernel, A", SIZES, 2, key="first")
    size = bound(later.selectbox, "Later kernels, B", SIZES, key="later")
    pattern = bound(
        st.selectbox,
        "Dilations, repeated", [*PATTERNS, OWN_LIST], key="pattern",
        help="Distance between two entries of a kernel, block by block.",
    )  # fmt: skip
    if pattern == OWN_LIST:
        text = bound(st.text_input, "One dilation for each block", "1 2 4 8", key="dilations")
        dilations = dilations_of(text)
    else:
        depth = bound(st.slider, "Blocks", 1, 16, 6, key="blocks")
        dilations = (dilations_of(pattern) * depth)[:depth]
    step = config.num_channels
    features = bound(
        st.slider,
        "Features", 8 * step, MAX_FEATURES, 48, 8 * step, key="features",
        help="Width of every layer. It changes the size, not the field.",
    )  # fmt: skip
    return kinds[net.lower()].Config(
        num_levels=config.num_levels,
        num_channels=config.num_channels,
        height=config.height,
        width=config.width,
        num_classes=config.num_classes,
        num_features=features,
        head_features=128 * step,
        first_kernel_size=first_size,
        kernel_size=size,
        dilations=dilations,
    )


def dilations_of(text: str) -> tuple[int, ...]:
    """Read a list of dilations, separated by spaces or commas.

    Raises:
        ValueError: if it is none; the text names it. What a model allows its configuration checks.
    """
    parts = re.split(r"[\s,]+", text.strip())
    if not all(re.fullmatch(r"\d{1,3}", part) for part in parts):
        raise ValueError(f"`dilations` (={text!r}) must be whole numbers, like `1 2 4 8`.")
    return tuple(map(int, parts))
