"""What the whole Masks page looks at: one picture, one pixel. Both live in the URL."""

import re
import reprlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from torch import Tensor

from pixelcnn.data.datasets import DATASETS, quantize
from pixelcnn.inspection.influence import Influence
from pixelcnn.models import ModelConfig
from pixelcnn.models.convolutions import ConvolutionModel
from pixelcnn.sampling import sample
from pixelcnn.ui.masks.board import Board, board
from pixelcnn.ui.shared.charts import distributions
from pixelcnn.ui.shared.controls import choose_class, choose_seed
from pixelcnn.ui.shared.jobs import Results
from pixelcnn.ui.shared.links import bound
from pixelcnn.ui.shared.literal import literal
from pixelcnn.ui.shared.real_images import test_set
from pixelcnn.ui.shared.resources import LoadedModel

SAMPLE, TEST_IMAGE = "sample", "test image"
CENTRE = 0.5, 0.5
"""Where a section begins, as shares of height and width."""
SAMPLES = Results(64)
"""Pictures that models drew, for all visitors, by model, seed and class."""


@dataclass(frozen=True)
class ShownPicture:
    """A picture and how it came about."""

    levels: Tensor = field(compare=False)
    """int64 (1, C, H, W)."""
    label: int | None
    """The class that the model is told; None is any class."""
    title: str = field(compare=False)
    """What it is, in words."""
    key: tuple[str, int, int | None]
    """Source, seed or number, class: what tells pictures of one model apart."""

    def level_at(self, pixel: int, channel: int = 0) -> int:
        """Give the level of a pixel in raster order."""
        return int(self.levels[0, channel].view(-1)[pixel])


def choose_picture(model: LoadedModel) -> ShownPicture:
    """Let the visitor choose a picture: a sample, or a test image of the model's data set."""
    if _dataset(model) in DATASETS:
        source = bound(
            st.selectbox,
            "Picture", [SAMPLE, TEST_IMAGE], key="picture",
            help="A sample of the model, or an image of the test set of its data.",
        )  # fmt: skip
        image = _test_image(model) if source == TEST_IMAGE else None
        if image is not None:
            return image
    names = model.class_names
    label = choose_class(names)
    seed = choose_seed()
    kind = names[label] if label is not None else "any class" if names else ""
    with st.spinner("Drawing a sample …"):
        levels = sample_of(model, seed, label)
    return ShownPicture(
        levels=levels,
        label=label,
        title=", ".join(filter(None, ("sample of the model", kind, f"seed {seed}"))),
        key=(SAMPLE, seed, label),
    )


def _dataset(model: LoadedModel) -> str:
    """Name the data set, whole also where the model learned one class of it."""
    return (model.info.dataset or "").partition("/")[0]


def _test_image(model: LoadedModel) -> ShownPicture | None:
    """Let the visitor choose a test image; without the data, offer to fetch it."""
    config = model.model.config
    dataset = DATASETS[_dataset(model)]
    if config.image_shape != dataset.shape:
        st.info(
            f"The images of {dataset.title} do not fit this model; shown is a sample.",
            icon=":material/info:",
        )
        return None
    images = test_set(_dataset(model), "masks-download")
    if images is None:
        st.caption("Until then the picture is a sample.")
        return None
    values, labels = images
    number = bound(
        st.number_input,
        "Image", 0, len(values) - 1, key="item",
        help=f"Number in the test set, 0 to {len(values) - 1}.",
    )  # fmt: skip
    label = int(labels[number])
    return ShownPicture(
        levels=quantize(values[number : number + 1], config.num_levels).long(),
        label=label if config.num_classes == len(dataset.class_names) > 0 else None,
        title=", ".join(
            filter(None, (dataset.title, f"test image {number}", dataset.class_title(label)))
        ),
        key=(TEST_IMAGE, number, label),
    )


def sample_of(model: LoadedModel, seed: int, label: int | None) -> Tensor:
    """Let the model draw a picture, unless it is drawn already: int64 (1, C, H, W)."""
    levels = SAMPLES.get((model, seed, label))
    if levels is None:
        levels = sample(model.model, seed=seed, label=label)
        SAMPLES.put((model, seed, label), levels)
    return levels


def pixel_of_link(name: str, config: ModelConfig, default: tuple[float, float] = CENTRE) -> int:
    """Read a pixel from the URL; if there is no such pixel, the page says so.

    Arguments and result are those of `read_pixel`, which reads the parameter of this name.
    """
    text = st.query_params.get(name)
    pixel = read_pixel(text, config, default)
    if text is not None and _named_pixel(text, config) is None:
        last_row, last_col = config.height - 1, config.width - 1
        warn_of_link(
            name, text, f"be row-column, rows 0 to {last_row}, columns 0 to {last_col}",
            "{}-{}".format(*divmod(pixel, config.width)),
        )  # fmt: skip
    return pixel


def read_pixel(
    text: str | None, config: ModelConfig, default: tuple[float, float] = CENTRE
) -> int:
    """Read a pixel, "row-column".

    Arguments:
        text: what the URL says.
        config: gives H, W.
        default: where it is if that names no pixel, as shares of height and width, 0 to 1.

    Returns:
        The pixel in raster order.
    """
    pixel = _named_pixel(text, config)
    if pixel is None:
        return int(default[0] * config.height) * config.width + int(default[1] * config.width)
    return pixel


def _named_pixel(text: str | None, config: ModelConfig) -> int | None:
    found = re.fullmatch(r"(\d{1,4})-(\d{1,4})", text or "")
    if not found:
        return None
    row, col = map(int, found.groups())
    return row * config.width + col if row < config.height and col < config.width else None


def warn_of_link(name: str, text: str, rule: str, instead: object) -> None:
    """Say which rule the value of a parameter in the link breaks, and what is shown instead."""
    st.warning(
        f"`{name}` (={literal(reprlib.repr(text))}) in the link must {rule}; shown is {instead}.",
        icon=":material/warning:",
    )


def write_pixel(name: str, pixel: int, width: int) -> None:
    """Put a pixel into the URL."""
    st.query_params[name] = "{}-{}".format(*divmod(pixel, width))


def pixel_board(
    content: Board, pixel: int, *, key: str, on_frame: Callable[[int], None] | None = None
) -> None:
    """Mount a board with the pixel of the link in it, for which a click chooses another.

    Arguments are those of `board`; the last panel is as wide as the picture.
    """
    width = content.panels[-1].width
    board(
        replace(content, marks={"pixel": pixel}),
        key=key,
        on_pick=lambda name, chosen: write_pixel(name, chosen, width),
        on_frame=on_frame,
    )


def show_change(result: Influence, level: int, key: str) -> None:
    """Draw a prediction before and after a change; `level` is the one that is there."""
    st.plotly_chart(
        distributions.before_after(result.before, result.after, level), key=key,
        config={"displayModeBar": False},
    )  # fmt: skip


def choose_channel(count: int, title: str, key: str, place: DeltaGenerator | None = None) -> int:
    """Let the visitor choose one of the channels of a model, if it has more than one."""
    if count == 1:
        return 0
    control = (place or st).segmented_control
    return "RGB".index(bound(control, title, list("RGB"), default="R", required=True, key=key))


def has_masks(model: LoadedModel) -> bool:
    """Say whether a model is made of masked convolutions; if it is not, tell the visitor."""
    if isinstance(model.model, ConvolutionModel):
        return True
    st.info(
        f"{literal(model.name)} ({model.model.title}) is not made of masked convolutions, so "
        "there is nothing to show here. Choose a PixelCNN in the sidebar.",
        icon=":material/info:",
    )
    return False


def place(pixel: int, config: ModelConfig) -> str:
    """Tell where a pixel is."""
    return "row {}, column {}".format(*divmod(pixel, config.width))
