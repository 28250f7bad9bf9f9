"""What a drawing can start from: a blank canvas, a picture of a model, a test image, an upload."""

from collections.abc import Generator
from functools import partial

import numpy as np
import streamlit as st
import torch
from numpy.typing import NDArray

from pixelcnn.completion import occlusion
from pixelcnn.data.datasets import DATASETS
from pixelcnn.data.picture_files import PictureError, read_picture
from pixelcnn.data.pictures import pictures
from pixelcnn.models import Model, ModelConfig
from pixelcnn.sampling import iter_samples
from pixelcnn.storage import CheckpointError
from pixelcnn.ui.complete import challenges, settings
from pixelcnn.ui.complete.challenges import CHALLENGES, SHAPE
from pixelcnn.ui.complete.gallery import gallery
from pixelcnn.ui.shared import resources, session_sketch
from pixelcnn.ui.shared.literal import literal
from pixelcnn.ui.shared.long_work import result_of
from pixelcnn.ui.shared.public import upload_mb
from pixelcnn.ui.shared.real_images import test_set
from pixelcnn.ui.shared.resources import LoadedModel
from pixelcnn.ui.shared.sketch import blank, given

MODEL, TEST_SET, UPLOAD, BLANK = "Gallery", "Test image", "Upload", "Blank"
COVERS = {
    "Lower half": "upper-half",
    "Upper half": "lower-half",
    "Right half": "left-half",
    "Left half": "right-half",
    "Centre box": "around-box",
    "Every other row": "every-other-row",
    "Random 50 %": "random-half",
}
"""What is covered, and the name of what is left, see `pixelcnn.completion.occlusion`."""
MOST_CLASSES = 20
TEST_IMAGES = 20
"""How many are shown at a time."""


def offer_challenges(config: ModelConfig) -> None:
    """Offer drawings to begin with, as long as there is nothing to see yet."""
    if st.session_state.get("completion") or config.image_shape != SHAPE:
        return
    st.markdown("**Draw something** on the canvas, or try one of these. Strokes are orange.")
    gallery(
        challenges.pictures(),
        [challenge.title for challenge in CHALLENGES],
        key="challenges",
        on_choose=_on_challenge,
        named=True,
    )


def _on_challenge(index: int) -> None:
    challenge = CHALLENGES[index]
    session_sketch.put(challenge.sketch(), challenge.dataset)
    meant = DATASETS[challenge.dataset].class_names[challenge.label]
    settings.follow(challenge.dataset, SHAPE, meant)
    st.session_state["complete_asked"] = True


def choose_start(config: ModelConfig, dataset: str | None) -> None:
    """Offer everything that a drawing can start from."""
    start = st.segmented_control(
        "Start from",
        [MODEL, TEST_SET, UPLOAD, BLANK],
        default=MODEL,
        required=True,
        key="start",
        label_visibility="collapsed",
    )
    if start == MODEL:
        _show_gallery(config)
    elif start == TEST_SET:
        _choose_test_image(config, dataset)
    elif start == UPLOAD:
        _choose_upload(config)
    elif start == BLANK:
        st.button(
            "Empty the canvas",
            icon=":material/ink_eraser:",
            on_click=lambda: session_sketch.put(blank(config.image_shape, config.num_levels)),
            help="All pixels unknown. Undo brings the drawing back.",
        )
        st.caption("Then draw with the mouse, a finger or the keyboard.")


def _start_from(
    levels: NDArray[np.integer], num_levels: int, dataset: str | None, index: int
) -> None:
    """Draw on one of the pictures (B, C, H, W) of a data set, with the model that suits it."""
    session_sketch.put(given(levels[index], num_levels), dataset or "")
    settings.follow(dataset, levels.shape[1:])


def _choose_test_image(config: ModelConfig, dataset: str | None) -> None:
    """Offer images of the test sets that have the size of the model; none is stored here."""
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
        step=TEST_IMAGES,
        key="test_image",
        help=f"The test set has {len(levels):,} images; {TEST_IMAGES} from this one on are shown.",
    )
    shown = levels[first : first + TEST_IMAGES]
    titles = DATASETS[name].class_title
    gallery(
        pictures(shown, 256),
        [
            ", ".join(filter(None, (f"test image {i}", titles(c))))
            for i, c in enumerate(label[first:][:TEST_IMAGES], first)
        ],
        key="test-images",
        on_choose=partial(_start_from, shown.numpy(), 256, name),
    )


def _choose_upload(config: ModelConfig) -> None:
    st.file_uploader(
        "Picture",
        key="upload",
        max_upload_size=upload_mb(10),
        on_change=_on_upload,
        args=(config,),
        label_visibility="collapsed",
        help="PNG, JPEG, GIF, BMP, WebP or TIFF, of any size and kind.",
    )
    st.toggle(
        "Invert",
        key="upload_invert",
        on_change=_on_upload,
        args=(config,),
        help="The data sets have bright ink on a dark ground. Turn this on for dark ink on paper.",
    )
    if problem := st.session_state.get("upload_problem"):
        st.error(literal(problem), icon=":material/broken_image:")
    else:
        st.caption(
            f"Shrunk to {config.width} x {config.height} pixels and centred; transparent parts "
            "become background."
        )


def _on_upload(config: ModelConfig) -> None:
    state = st.session_state
    state["upload_problem"] = None
    if (file := state.get("upload")) is None:
        return
    try:
        values = read_picture(
            file.name,
            file.getvalue(),
            config.height,
            config.width,
            channels=config.num_channels,
            whole=True,
            invert=bool(state.get("upload_invert")),
        )
    except PictureError as error:
        state["upload_problem"] = f"{error} Your drawing is as it was."
        return
    session_sketch.put(given(values, 256), "")  # nobody knows what kind of picture it is
    settings.tell_class(None)


def choose_cover(config: ModelConfig) -> None:
    """Offer to cover a part of the drawing."""
    with st.container(horizontal=True, gap="xsmall", key="cover"):
        for covered, left in COVERS.items():
            st.button(
                covered,
                on_click=_cover,
                args=(left, config),
                help="The model draws this part; the rest of the picture stays.",
                key=f"cover-{left}",
            )


def _cover(left: str, config: ModelConfig) -> None:
    seed = st.session_state["cover_seed"] = st.session_state.get("cover_seed", -1) + 1
    known = occlusion(left, config.height, config.width, seed=seed)[0, 0].numpy()
    session_sketch.put(session_sketch.current().covered(known))


def _show_gallery(config: ModelConfig) -> None:
    seed = st.session_state.setdefault("gallery_seed", 0)
    for name in gallery_checkpoints(config):
        try:
            model = resources.load(name)
        except CheckpointError as error:
            st.warning(
                f"No pictures of {literal(name)}. {literal(error)}", icon=":material/warning:"
            )
            continue
        drawn = result_of(
            ("gallery", name, model.modified_ns, seed),
            partial(_draw_pictures, model.model, seed),
            slot=f"gallery-{name}",
            button=None,
            what=f"{literal(name)} draws pictures to start from",
        )
        if drawn is None:
            continue
        key, num_levels = f"gallery-{name}", model.model.config.num_levels
        with st.container(key=f"{key}-frame"):
            gallery(
                pictures(torch.from_numpy(drawn), num_levels),
                _titles(model, len(drawn)),
                key=key,
                on_choose=partial(_start_from, drawn, num_levels, model.info.dataset),
            )
    st.button(
        "Draw others",
        icon=":material/casino:",
        on_click=_other_gallery,
        type="tertiary",
        help="The models draw one new picture of each class.",
    )


def _titles(model: LoadedModel, count: int) -> list[str]:
    if not model.class_names:
        return [f"drawn by {model.name}"] * count
    return [f"{name}, drawn by {model.name}" for name in model.class_names[:count]]


def _other_gallery() -> None:
    st.session_state["gallery_seed"] += 1


def gallery_checkpoints(config: ModelConfig) -> list[str]:
    """Name the checkpoints that draw pictures of this shape: the best one of each data set."""
    best: dict[str, tuple[float, str]] = {}
    for name, info in resources.checkpoints_for(config.image_shape).items():
        if resources.reads_evidence(info.config):
            continue  # without evidence it draws what the model draws that it began with
        bits = info.bits_per_dim
        score = bits.get("test", bits.get("validation", float("inf")))
        kind = info.dataset or name
        best[kind] = min(best.get(kind, (score, name)), (score, name))
    return [name for _, (_, name) in sorted(best.items())]


def _draw_pictures(model: Model, seed: int) -> Generator[float, None, NDArray[np.int64]]:
    """Draw one picture of each class, (B, C, H, W); yields the share that is done."""
    config = model.config
    count = min(config.num_classes, MOST_CLASSES) or 10
    label = list(range(count)) if config.num_classes else None
    levels = yield from iter_samples(model, num_images=count, seed=seed, label=label)
    return levels.numpy()
