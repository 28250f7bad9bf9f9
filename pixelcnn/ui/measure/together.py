"""The same random numbers through several settings, played side by side."""

import streamlit as st

from pixelcnn.sampling.noise import LARGEST_SEED
from pixelcnn.storage import (
    CheckpointError,
    checkpoint_path,
    list_checkpoints,
    list_stages,
    list_trained_checkpoints,
    read_info,
)
from pixelcnn.ui.measure.sweep import TEMPERATURES
from pixelcnn.ui.shared.controls import ANY_CLASS, default_checkpoint
from pixelcnn.ui.shared.links import bound
from pixelcnn.ui.shared.literal import literal
from pixelcnn.ui.shared.resources import LoadedModel, load
from pixelcnn.ui.shared.side_by_side.drawing import Setting, show_together

MOST = 4
"""Pictures side by side."""
TEMPERATURE, CLASS, CHECKPOINT, STAGE = "Temperature", "Class", "Checkpoint", "Stage of training"
NOTHING_CHOSEN = "Choose at least one value of what differs."


def show() -> None:
    """Ask for the settings, draw the pictures, play them."""
    st.caption(
        "Same dice, other settings: every pixel has its own random number u from 0 to 1, and here "
        "all pictures use the same ones. They are equal until the first pixel differs. What "
        "follows comes from that pixel and from the settings."
    )
    names = [*list_checkpoints(), *list_trained_checkpoints()]
    if not names:
        st.info(
            "There is no checkpoint to draw with. Train one on the Train page, or with "
            "`python -m pixelcnn train mine`.",
            icon=":material/info:",
        )
        return
    try:
        settings = _ask(names)
    except CheckpointError as error:
        st.error(f"This checkpoint cannot be used. {literal(error)}", icon=":material/error:")
        return
    seed = st.session_state["common_seed"]
    if not settings:
        return
    if len(settings) == 1:
        st.caption("Choose another value above to see what it changes.")
    show_together(settings, seed)


def _ask(names: list[str]) -> list[Setting]:
    """Ask what differs, and for everything that does not.

    Raises:
        CheckpointError: if a checkpoint cannot be used.
    """
    differs = bound(
        st.segmented_control,
        "What differs",
        [TEMPERATURE, CLASS, CHECKPOINT, STAGE],
        default=TEMPERATURE,
        required=True,
        key="differs",
    )
    columns = iter(st.columns([3, 3, 3, 2]))
    first = default_checkpoint(names)
    if differs == CHECKPOINT:
        chosen = _choose("Checkpoints", names, [first, *names], "checkpoints")
        models = [(load(name), name) for name in chosen]
    else:
        place = next(columns)
        name = bound(place.selectbox, "Model", names, names.index(first), key="common_model")
        models = _stages(name) if differs == STAGE else [(load(name), name)]
    classes = list(dict.fromkeys(name for model, _ in models or () for name in model.class_names))
    options, given = [ANY_CLASS, *classes], [ANY_CLASS]
    if classes and differs == CLASS:
        given = _choose("Classes", options, classes, "classes")
    elif classes:
        given = [bound(next(columns).selectbox, "Class", options, key="common_class")]
    if differs == TEMPERATURE:
        temperatures = _choose("Temperatures", TEMPERATURES, [1.0, 0.9, 0.8], "common_t")
    else:
        slider, key = next(columns).select_slider, "common_temperature"
        temperatures = [bound(slider, "Temperature", TEMPERATURES, 1.0, key=key)]
    bound(next(columns).number_input, "Seed", 0, LARGEST_SEED, key="common_seed")
    if models is None:
        return []
    if differs == CLASS and not classes:
        st.info(f"{literal(models[0][1])} knows no classes.", icon=":material/info:")
        return []
    if not (models and given and temperatures):
        st.info(NOTHING_CHOSEN, icon=":material/info:")
    return [
        _setting(model, title, name, temperature, differs)
        for model, title in models
        for name in given
        for temperature in temperatures
    ]


def _setting(
    model: LoadedModel, title: str, name: str, temperature: float, differs: str
) -> Setting:
    """Make a setting; a model that does not know the class gets none, as the caption says."""
    classes = model.class_names
    label = classes.index(name) if name in classes else None
    caption = {TEMPERATURE: f"temperature {temperature:g}", CLASS: name}.get(differs, title)
    if differs == CLASS and label is None:
        caption = "any class"
    elif name != ANY_CLASS and label is None:
        caption += f" (any class: it knows no {name})"
    return Setting(model, label, temperature, caption)


def _choose(label: str, options: list, default: list, key: str) -> list:
    """Ask for the values of what differs; the first one is compared with the others."""
    return bound(
        st.multiselect,
        f"{label}, up to {MOST}",
        options,
        list(dict.fromkeys(default))[:3],
        max_selections=MOST,
        key=key,
        help="In the order in which they are shown; the others are compared with the first.",
    )


def _stages(name: str) -> list[tuple[LoadedModel, str]] | None:
    """Ask which of the kept stages of a training are compared; None if none were kept."""
    path = checkpoint_path(name)
    stages = {_seen(images): str(stage) for images, stage in list_stages(path).items()}
    if not stages:
        st.info(
            f"No stages of the training of {literal(name)} were kept. `python -m pixelcnn train "
            "… --stages 1000 5000 20000` keeps the checkpoint after so many images.",
            icon=":material/info:",
        )
        return None
    stages[_seen(read_info(path).images_seen)] = name
    titles = list(stages)
    spread = dict.fromkeys([titles[0], titles[len(titles) // 2], titles[-1]])
    chosen = sorted(_choose("Stages", titles, list(spread), "stages"), key=titles.index)
    return [(load(stages[title]), title) for title in chosen]


def _seen(images: int) -> str:
    return f"{images:,} images seen"
