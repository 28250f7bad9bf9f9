"""Images of the real test sets to start from; never stored in the repository."""

from functools import partial

import streamlit as st
from torch import Tensor

from pixelcnn.data.datasets import DATASETS
from pixelcnn.data.pictures import pictures
from pixelcnn.models import ModelConfig
from pixelcnn.ui.complete import settings
from pixelcnn.ui.complete.gallery import gallery
from pixelcnn.ui.shared import session_sketch
from pixelcnn.ui.shared.real_images import test_set
from pixelcnn.ui.shared.sketch import given

SHOWN = 20


def choose(config: ModelConfig, dataset: str | None) -> None:
    """Offer test images that have the size of the model."""
    names = [n for n, d in DATASETS.items() if d.shape == config.image_shape]
    if not names:
        colours = "grey pictures" if config.num_channels == 1 else "pictures in colour"
        st.info(f"No test set has {colours} of {config.height} x {config.width} pixels.")
        return
    name = st.selectbox(
        "Data set",
        names,
        names.index(dataset) if dataset in names else 0,
        format_func=lambda name: DATASETS[name].title,
        key="test_set",
    )
    images = test_set(name, "download-start")
    if images is None:
        return
    levels, label = images
    first = st.number_input(
        "First image",
        0,
        len(levels) - 1,
        step=SHOWN,
        key="test_image",
        help=f"The test set has {len(levels):,} images; {SHOWN} from this one on are shown.",
    )
    shown = levels[first : first + SHOWN]
    titles = DATASETS[name].class_title
    gallery(
        pictures(shown, 256),
        [
            ", ".join(filter(None, (f"test image {i}", titles(c))))
            for i, c in enumerate(label[first:][:SHOWN], first)
        ],
        key="test-images",
        on_choose=partial(_on_choose, shown, name),
    )


def _on_choose(shown: Tensor, dataset: str, index: int) -> None:
    session_sketch.put(given(shown[index].numpy(), 256), dataset)
    settings.follow(dataset, tuple(shown.shape[1:]))
