"""Where the picture that is scored comes from."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial

import streamlit as st
import torch
from torch import Tensor

from pixelcnn.config import SamplingRule
from pixelcnn.data.datasets import DATASETS, quantize
from pixelcnn.data.picture_files import PictureError, read_picture
from pixelcnn.evaluation.paradox import other_dataset
from pixelcnn.models import ModelConfig
from pixelcnn.sampling import sample
from pixelcnn.sampling.noise import LARGEST_SEED
from pixelcnn.ui.shared import session_sketch
from pixelcnn.ui.shared.controls import choose_class
from pixelcnn.ui.shared.links import bound
from pixelcnn.ui.shared.literal import literal
from pixelcnn.ui.shared.long_work import result_of
from pixelcnn.ui.shared.made import COMPLETE, GENERATE, left_by
from pixelcnn.ui.shared.public import upload_mb
from pixelcnn.ui.shared.real_images import test_set
from pixelcnn.ui.shared.resources import LoadedModel
from pixelcnn.ui.shared.sketch import MAX_SIDE

MISSING = {
    GENERATE: (
        "Nothing has been drawn yet. Open the Generate page, let it draw, and come back.",
        ":material/animation:",
    ),
    COMPLETE: (
        "Nothing has been completed yet. Open the Complete page, draw, press Complete, and come "
        "back.",
        ":material/draw:",
    ),
}
"""What is said while a page has left no picture, and with which icon."""


@dataclass(frozen=True)
class ScoredPicture:
    """A picture to score."""

    levels: Tensor
    """int64 (C, H, W)."""
    caption: str
    """What it is, in a few words."""
    label: int | None = None
    """Its class, where that is known and one of the model's own."""

    @property
    def content(self) -> bytes:
        """Tell one picture from another."""
        return self.levels.numpy().tobytes()


def choose_picture(model: LoadedModel) -> ScoredPicture | None:
    """Let the visitor choose a picture; None while there is none, and the page says why."""
    sources: dict[str, Callable[[LoadedModel], ScoredPicture | None]] = {
        "A sample": _sample,
        "Test image": _test_image,
        "Drawn": _drawn,
        "Upload": _upload,
        "Generate page": partial(_left_by_page, GENERATE),
        "Complete page": partial(_left_by_page, COMPLETE),
    }
    source = bound(
        st.segmented_control,
        "Picture",
        list(sources),
        default="A sample",
        required=True,
        key="source",
        help="A sample that the model draws; a real image of a test set; what you draw by hand; a "
        "file of yours; what is on the Generate page or the Complete page.",
    )
    return sources[source](model)


def _sample(model: LoadedModel) -> ScoredPicture:
    left, middle, right = st.columns(3, vertical_alignment="bottom")
    label = choose_class(model.class_names, left, "Class drawn", "sample_class", help=None)
    temperature = bound(
        middle.slider, "Temperature", 0.0, 2.0, 1.0, 0.05, key="sample_temperature"
    )
    seed = bound(right.number_input, "Seed", 0, LARGEST_SEED, key="sample_seed")
    rule = SamplingRule(temperature=temperature)
    with st.spinner("Drawing the picture …"):
        levels = _draw(model, seed, rule, label)
    what = "any class" if label is None else model.class_names[label]
    return ScoredPicture(
        levels, f"drawn by {model.name}: {what}, temperature {temperature:g}", label
    )


@lru_cache(64)
def _draw(model: LoadedModel, seed: int, rule: SamplingRule, label: int | None) -> Tensor:
    return sample(model.model, seed=seed, rule=rule, label=label)[0]


def _test_image(model: LoadedModel) -> ScoredPicture | None:
    c = model.model.config
    own = model.info.dataset if model.info.dataset in DATASETS else "fashion-mnist"
    offered = [own, other_dataset(own), *DATASETS]
    names = [name for name in dict.fromkeys(offered) if DATASETS[name].shape == c.image_shape]
    if not names:
        st.info(f"No data set has pictures of {c.height} x {c.width} pixels like this model.")
        return None
    left, middle, right = st.columns([3, 2, 2], vertical_alignment="bottom")
    titles = {name: DATASETS[name].title for name in names}
    name = bound(left.selectbox, "Data set", names, format_func=titles.get, key="set")
    images = test_set(name, "download-score")
    if images is None:
        return None
    values, label = images
    if st.session_state.get("item", 0) >= len(values):  # of another set
        del st.session_state["item"]
    number = bound(
        middle.number_input,
        "Image",
        0,
        len(values) - 1,
        key="item",
        help=f"Number in the test set, 0 to {len(values) - 1}.",
    )
    right.button(
        "Random",
        icon=":material/casino:",
        width="stretch",
        on_click=_random_image,
        args=(len(values),),
    )
    true = int(label[number])
    dataset = DATASETS[name]
    known = name == model.info.dataset and c.num_classes == len(dataset.class_names) > 0
    kind = f": {dataset.class_title(true)}" if dataset.class_names else ""
    return ScoredPicture(
        quantize(values[number], c.num_levels).long(),
        f"{dataset.title}, test image {number}{kind}",
        true if known else None,
    )


def _random_image(count: int) -> None:
    st.session_state["item"] = random.randrange(count)


def _drawn(model: LoadedModel) -> ScoredPicture | None:
    """Let the visitor draw by hand: the drawing is that of the Complete page."""
    c = model.model.config
    if max(c.height, c.width) > MAX_SIDE:
        st.info(
            f"The canvas is for pictures of at most {MAX_SIDE} x {MAX_SIDE} pixels.",
            icon=":material/palette:",
        )
        return None
    session_sketch.prepare(c)
    session_sketch.show_canvas()
    sketch = session_sketch.current()
    st.caption(
        "Scored after every stroke. It is the drawing of the Complete page; what is unknown there "
        "counts as black."
    )
    if not sketch.known.any():
        return None
    return ScoredPicture(sketch.levels[0], "drawn by hand")


def _upload(model: LoadedModel) -> ScoredPicture | None:
    c = model.model.config
    file = st.file_uploader(
        "A picture",
        key="scored_file",
        max_upload_size=upload_mb(10),
        help="PNG, JPEG, GIF, BMP, WebP or TIFF, of any size and kind.",
    )
    whole = not bound(
        st.toggle,
        "Cut out the middle",
        key="crop",
        help="Otherwise the whole picture is shrunk and centred, as on the Complete page.",
    )
    invert = bound(
        st.toggle,
        "Invert",
        key="invert",
        help="Clothes and digits of the data sets are bright on black.",
    )
    if file is None:
        st.caption(f"It is made {c.height} x {c.width} pixels and {c.num_levels} levels.")
        return None
    try:
        values = read_picture(
            file.name,
            file.getvalue(),
            c.height,
            c.width,
            channels=c.num_channels,
            whole=whole,
            invert=invert,
        )
    except PictureError as error:
        st.error(literal(error), icon=":material/error:")
        return None
    levels = quantize(torch.from_numpy(values), c.num_levels).long()
    return ScoredPicture(levels, f"uploaded: {file.name}")


def _left_by_page(page: str, model: LoadedModel) -> ScoredPicture | None:
    """Take a picture that a page has left; what is not finished is drawn to its end."""
    made = left_by(page)
    if made is None:
        missing, icon = MISSING[page]
        st.info(missing, icon=icon)
        return None
    if not _fits(model, made.config, page):
        return None
    levels = result_of(
        ("made", page, made.key()),
        made.finish,
        slot="finish",
        button=None,
        what="Drawing to the end",
    )
    if levels is None:
        return None
    image = 0
    if len(levels) > 1:
        image = bound(st.number_input, "Picture", 0, len(levels) - 1, key="sheet_picture")
    names = model.class_names
    name = made.classes[image]
    label = names.index(name) if name in names else None
    return ScoredPicture(levels[image], made.captions[image], label)


def _fits(model: LoadedModel, other: ModelConfig, page: str) -> bool:
    c = model.model.config
    needs, has = (
        (f"{x.height} x {x.width} pixels, {x.num_channels} channels and {x.num_levels} levels")
        for x in (c, other)
    )
    if needs != has:
        st.warning(
            f"The picture on the {page} page has {has}; {literal(model.name)} needs {needs}.",
            icon=":material/warning:",
        )
    return needs == has
