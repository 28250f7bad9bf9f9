"""The same random numbers through several settings, played side by side."""

from collections.abc import Generator
from dataclasses import dataclass

import streamlit as st

from pixelcnn.checkpoints import CheckpointError, checkpoint_path, list_checkpoints, list_stages
from pixelcnn.comparison import Drawn, draw_with_record, part_of
from pixelcnn.config import SamplingRule
from pixelcnn.data import class_names
from pixelcnn.sampling import make_noise
from pixelcnn.ui.controls import ANY_CLASS, DEFAULT_CHECKPOINT, MAX_SEED
from pixelcnn.ui.exhibits import offer_data
from pixelcnn.ui.long_work import result_of, results
from pixelcnn.ui.messages import Panel, encode_panels, panel_columns
from pixelcnn.ui.resources import LoadedModel, load
from pixelcnn.ui.together import together

MOST = 4
"""Pictures side by side."""
TEMPERATURE, CLASS, CHECKPOINT, STAGE = "Temperature", "Class", "Checkpoint", "Stage of training"
TEMPERATURES = [round(0.1 * step, 1) for step in range(21)]


@dataclass(frozen=True)
class Setting:
    """What one of the pictures is drawn with."""

    model: LoadedModel
    label: int | None
    temperature: float
    caption: str
    """What is special about it."""

    @property
    def key(self) -> tuple[object, ...]:
        """Everything that the picture depends on, but for the noise."""
        return self.model.name, self.model.modified_ns, self.label, self.temperature


def show() -> None:
    """Ask for the settings, draw the pictures, play them."""
    st.caption(
        "Every pixel of a picture has its own random number in [0, 1). Here the same numbers go "
        "through several settings: until the first difference all pictures are equal, and what "
        "follows is the consequence of that one pixel, and of the settings."
    )
    names = list(list_checkpoints())
    if not names:
        st.info(
            "There is no checkpoint to draw with. Train one with `python -m pixelcnn train "
            "checkpoints/mine.safetensors`.",
            icon=":material/info:",
        )
        return
    try:
        settings = _ask(names)
    except CheckpointError as error:
        st.error(f"This checkpoint cannot be used. {error}", icon=":material/error:")
        return
    seed = st.session_state["common_seed"]
    if not settings or not _same_size(settings):
        return
    drawn = _draw(settings, seed)
    if drawn is None:
        return
    panels = [
        Panel(setting.caption, setting.model.model.config, picture)
        for setting, picture in zip(settings, drawn, strict=True)
    ]
    noise = make_noise(panels[0].config, num_images=1, seed=seed)[0]
    with st.container(key="together-frame"):
        together(encode_panels(panels, noise), key="together")
    offer_data(f"common-noise-seed{seed}", panel_columns(panels), "common-noise")


def _ask(names: list[str]) -> list[Setting]:
    """Ask what differs, and for everything that does not.

    Raises:
        CheckpointError: if a checkpoint cannot be used.
    """
    differs = st.segmented_control(
        "What differs",
        [TEMPERATURE, CLASS, CHECKPOINT, STAGE],
        default=TEMPERATURE,
        required=True,
        key="differs",
        bind="query-params",
    )
    columns = iter(st.columns([3, 3, 3, 2]))
    first = DEFAULT_CHECKPOINT if DEFAULT_CHECKPOINT in names else names[0]
    if differs == CHECKPOINT:
        chosen = _choose("Checkpoints", names, [first, *names], "checkpoints")
        models = [(load(name), name) for name in chosen]
    else:
        name = next(columns).selectbox(
            "Model", names, names.index(first), key="common_model", bind="query-params"
        )
        models = _stages(name) if differs == STAGE else [(load(name), name)]
    if not models:
        next(columns).number_input("Seed", 0, MAX_SEED, key="common_seed", bind="query-params")
        return []
    config = models[0][0].model.config
    classes = class_names(models[0][0].info.dataset, config.num_classes)
    told: list[str] = [ANY_CLASS]
    if classes and differs == CLASS:
        told = _choose("Classes", [ANY_CLASS, *classes], list(classes), "classes")
    elif classes:
        told = [
            next(columns).selectbox(
                "Class", [ANY_CLASS, *classes], key="common_class", bind="query-params"
            )
        ]
    if differs == TEMPERATURE:
        temperatures = _choose("Temperatures", TEMPERATURES, [1.0, 0.9, 0.8], "common_t")
    else:
        temperatures = [
            next(columns).select_slider(
                "Temperature", TEMPERATURES, 1.0, key="common_temperature", bind="query-params"
            )
        ]
    next(columns).number_input("Seed", 0, MAX_SEED, key="common_seed", bind="query-params")
    if differs == CLASS and not classes:
        st.info(f"{models[0][1]} knows no classes.", icon=":material/info:")
        return []
    settings = []
    for model, title in models:
        for name in told:
            label = None if name == ANY_CLASS else classes.index(name)
            known = label is None or label < model.model.config.num_classes
            for temperature in temperatures:
                caption = {
                    TEMPERATURE: f"temperature {temperature:g}",
                    CLASS: "any class" if label is None else name,
                }.get(differs, title)
                settings.append(Setting(model, label if known else None, temperature, caption))
    return settings


def _choose(label: str, options: list, default: list, key: str) -> list:
    """Ask for the values of what differs; the first one is compared with the others."""
    return st.multiselect(
        f"{label}, up to {MOST}",
        options,
        list(dict.fromkeys(default))[:3],
        max_selections=MOST,
        key=key,
        bind="query-params",
        help="In the order in which they are shown; the others are compared with the first.",
    )


def _stages(name: str) -> list[tuple[LoadedModel, str]]:
    """Ask which of the kept stages of a training are compared."""
    path = checkpoint_path(name)
    stages = {f"{int(p.stem):,} images seen": str(p) for p in list_stages(path)}
    if not stages:
        st.info(
            f"No stages of the training of {name} were kept. `python -m pixelcnn train … --stages "
            "1000 5000 20000` keeps the checkpoint after so many images.",
            icon=":material/info:",
        )
        return []
    stages["the finished model"] = name
    titles = list(stages)
    spread = dict.fromkeys([titles[-1], titles[0], titles[len(titles) // 2]])
    chosen = _choose("Stages", titles, list(spread), "stages")
    return [(load(stages[title]), title) for title in chosen]


def _same_size(settings: list[Setting]) -> bool:
    sizes = {
        (c.num_channels, c.height, c.width): setting.model.name
        for setting in settings
        for c in [setting.model.model.config]
    }
    if len(sizes) > 1:
        told = ", ".join(f"{name}: {h} x {w} x {c}" for (c, h, w), name in sizes.items())
        st.warning(
            f"Only pictures of one size can be compared ({told}).", icon=":material/warning:"
        )
    return len(sizes) == 1


def _draw(settings: list[Setting], seed: int) -> list[Drawn] | None:
    keys = [("drawn", *setting.key, seed) for setting in settings]

    def work() -> Generator[float, None, list[Drawn]]:
        drawn = []
        for number, (key, setting) in enumerate(zip(keys, settings, strict=True)):
            picture = results().get(key)
            if picture is None:  # the same setting may have been drawn before
                model = setting.model.model
                noise = make_noise(model.config, num_images=1, seed=seed)
                rule = SamplingRule(temperature=setting.temperature)
                steps = draw_with_record(model, noise, rule, setting.label)
                picture = yield from part_of(steps, number, len(keys))
                results().put(key, picture)
            drawn.append(picture)
        return drawn

    return result_of(
        ("together", *keys), work, slot="together", button=None, what="Drawing the pictures"
    )
