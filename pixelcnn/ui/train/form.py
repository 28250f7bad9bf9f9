"""The form that starts a run: data, model, what it will take, and the same as a command."""

import time
from contextlib import suppress

import streamlit as st

from pixelcnn.commands.train import command_line, new_config
from pixelcnn.config import TrainConfig
from pixelcnn.data.datasets import DATASETS, DamagedDataError, DataError, dataset_of, load_dataset
from pixelcnn.data.pictures import enlarge, grid, pictures
from pixelcnn.durations import in_words
from pixelcnn.models import architecture
from pixelcnn.models.convolutions import ConvolutionConfig
from pixelcnn.storage import (
    CheckpointError,
    checkpoint_path,
    list_scored_checkpoints,
    load_model,
    read_info,
)
from pixelcnn.training import launch
from pixelcnn.training.estimate import Estimate
from pixelcnn.training.runs import (
    MAX_NAME,
    RunConfig,
    RunError,
    create_run,
    list_runs,
    why_no_runs,
)
from pixelcnn.training.state import TrainingState, save_training_state
from pixelcnn.ui.shared import long_work
from pixelcnn.ui.shared.links import bound
from pixelcnn.ui.shared.literal import literal
from pixelcnn.ui.shared.long_work import result_of
from pixelcnn.ui.shared.resources import num_parameters
from pixelcnn.ui.train import own_data, presets
from pixelcnn.ui.train.estimate import iter_estimate
from pixelcnn.ui.train.settings import kept, own_settings
from pixelcnn.ui.train.words import bytes_text

ADD = "add"
RANDOM = "random weights"
ALL = "All classes"
PREVIEW = 20
REMEMBERED_SECONDS = 600
"""How busy the computer is changes."""
DOUBLE_CLICK_SECONDS = 2
"""A second start within this time is one click too many."""


def show() -> None:
    """Draw the form."""
    chosen = bound(
        st.segmented_control,
        "How long",
        [*(p.name for p in presets.PRESETS), presets.OWN],
        default=presets.PRESETS[1].name,
        required=True,
        key="preset",
        help="What fits into this time on two cores of a current CPU, with grey pictures of "
        "28 x 28 pixels. What it takes on this computer is measured below.",
    )
    settings = presets.preset(chosen)
    left, right = st.columns(2, gap="large")
    with left:
        dataset = _choose_data()
        if dataset is None:
            st.session_state.pop("start_asked", None)
            return
        preview = st.empty()
    with right:
        try:
            st.markdown("**Model**")
            begin = _choose_beginning(dataset)
            if chosen == presets.OWN:
                shape = None if begin == RANDOM else read_info(checkpoint_path(begin)).config
                model, train, unconditional, device = own_settings(dataset_of(dataset), shape)
            else:
                if begin == RANDOM:
                    st.caption(settings.about)
                model, train, unconditional, device = settings.model, settings.train, False, "auto"
            train = train | {"dataset": dataset}
            batch = train.get("batch_size", TrainConfig().batch_size)
            train = presets.marks(train["total_images"], batch) | train
            if begin == RANDOM:
                model = presets.fit_channels(model, dataset_of(dataset))
                config = new_config(model, train, unconditional=unconditional, device=device)
            else:
                config = RunConfig(
                    model=read_info(checkpoint_path(begin)).config,
                    train=TrainConfig(**train),
                    device=device,
                    origin=("--init-from", begin),
                )
        except (ValueError, DataError, CheckpointError) as error:
            st.session_state.pop("start_asked", None)
            st.error(f"These settings cannot be used. {literal(error)}", icon=":material/error:")
            return
        _about_model(config)
        _estimate(config)
    _start(config, chosen)
    with preview.container():
        _preview(dataset)  # last: reading a data set takes its time


def _choose_data() -> str | None:
    st.markdown("**Data**")
    own_data.apply_choice()
    own = own_data.image_sets()
    titles = {name: data.title for name, data in DATASETS.items()} | own
    titles[ADD] = "Add my own images …"
    name = st.selectbox(
        "Data set",
        list(titles),
        format_func=titles.__getitem__,
        **kept("data_set"),
    )
    if name == ADD:
        own_data.add()
        return None
    own_data.say_left_out(name)
    if name in own:
        own_data.offer_to_delete(name)
    classes = dataset_of(name).class_names if name in DATASETS else ()
    if classes:
        only = st.selectbox(
            "Classes",
            [ALL, *classes],
            help="With one class there is less to learn, and fewer pictures to learn it from.",
            **kept("only_class"),
        )
        if only in classes:
            name = f"{name}/{classes.index(only)}"
    return name


def _choose_beginning(dataset: str) -> str:
    """Ask which weights the run begins with; only models of the same shape can learn the data."""
    wanted = dataset_of(dataset)
    names = [RANDOM]
    for name, path in list_scored_checkpoints().items():
        with suppress(CheckpointError):  # choosing it elsewhere names the fault
            c = read_info(path).config
            if c.image_shape == wanted.shape and c.num_classes in (0, len(wanted.class_names)):
                names.append(name)
    key = kept("begin")
    if st.session_state.get(key["key"]) not in names:
        st.session_state.pop(key["key"], None)
    return st.selectbox(
        "Begin with",
        names,
        help="Random weights, or those of a shipped model, which then goes on to learn. Its shape "
        "stays as it is.",
        **key,
    )


def _preview(name: str) -> None:
    try:
        sheet, count = _some_pictures(name)
    except DataError as error:
        is_missing = not isinstance(error, DamagedDataError)
        if is_missing and name.partition("/")[0] in DATASETS:
            st.info(
                f"{literal(dataset_of(name).title)} is not on this computer yet; the run will "
                "download it "
                "first. Without a network, name a local copy with the environment variable "
                "`PIXELCNN_DATA`.",
                icon=":material/download:",
            )
        else:
            st.error(literal(error), icon=":material/error:")
        return
    caption = f"The first of {count:,} training images"
    st.image(sheet, caption=caption, alt=caption, width="content")


@st.cache_data(max_entries=32, show_spinner=False, ttl=600)
def _some_pictures(name: str) -> tuple:
    levels, _ = load_dataset(name, "train", download=False)
    height, width = levels.shape[2:]
    columns, scale = (10, max(1, 40 // height)) if height > 1 else (1, 3)
    return enlarge(grid(pictures(levels[:PREVIEW].long(), 256), columns), scale), len(levels)


def _about_model(config: RunConfig) -> None:
    c = config.model
    size = (
        f", {c.num_features} features, {c.num_blocks} blocks of {c.kernel_size} x {c.kernel_size}"
        if isinstance(c, ConvolutionConfig)
        else ""
    )
    labels = f"{c.num_classes} classes" if c.num_classes else "no classes"
    colour = "grey" if c.num_channels == 1 else "RGB"
    st.markdown(
        f"{architecture(c.architecture).title}{size}, {c.num_levels} levels, {labels}, "
        f"{c.height} x {c.width} {colour}: **{num_parameters(c):,} parameters**, "
        f"{config.train.total_images:,} images to see"
    )


def _estimate(config: RunConfig) -> None:
    """Say what the run will take; estimated in the background until it is known."""
    active, age = _active_runs(), time.time() // REMEMBERED_SECONDS
    found: Estimate | None = result_of(
        ("estimate", repr((config.model, config.train, config.device)), active, age),
        lambda: iter_estimate(config),
        slot="estimate",
        button=None,
        what="Training on noise for a moment, to see how long it takes",
        computes=False,
    )
    if found is None:
        return
    busy = " A run is going on, so this is more than it takes alone." if active else ""
    st.info(
        f"On this computer, as busy as it is now, about **{in_words(found.seconds)}**: "
        f"{found.images_per_second:.1f} images/s ({literal(found.device)}), and "
        f"{bytes_text(found.memory_bytes)} of memory.{busy}",
        icon=":material/timer:",
    )


def _active_runs() -> int:
    return sum(run.status().is_active for run in list_runs())


def _start(config: RunConfig, chosen: str) -> None:
    st.divider()
    kind = config.model.architecture if chosen == presets.OWN else chosen.lower()
    proposed = f"{dataset_of(config.train.dataset).title}, {kind}"[:MAX_NAME]
    name = st.text_input(
        "Name",
        proposed,
        max_chars=MAX_NAME,
        help="Only for people; it can be changed later.",
        **kept(f"name-{proposed}"),
    )
    if problem := why_no_runs():
        st.error(literal(problem), icon=":material/error:")
        return
    waiting = _active_runs()
    at_once = waiting > 0 and st.toggle(
        "Start at once, beside the run that is going on",
        key="at_once",
        help="Otherwise it waits for its turn. Two runs at a time take turns at the processor, "
        "and each takes about twice as long.",
    )
    # The callback only notes the click: it would know the settings of the last drawing, not what
    # was typed since. A note also outlives a rerun that comes before this line.
    st.button(
        "Start" if at_once or not waiting else "Add to the queue",
        type="primary",
        icon=":material/play_arrow:",
        key="start",
        on_click=lambda: st.session_state.update(start_asked=True),
    )
    if "start_asked" in st.session_state:
        _create_and_start(config, name, at_once)
        del st.session_state["start_asked"]
        if "started_run" in st.session_state:
            st.rerun()
    st.caption("The same from a shell, in the folder of the app:")
    st.code(command_line(config, "NAME"), language=None, wrap_lines=True)


def _create_and_start(config: RunConfig, name: str, at_once: bool) -> None:
    long_work.cancel("estimate")  # it would make the run slow
    # The second click of a double click stops this script at the next call of `st` and runs it
    # again; by then the run is noted here, in a plain dictionary.
    last: dict = st.session_state.setdefault("last_start", {})
    wanted = config.model, config.train, name
    again = last.get("wanted") == wanted and time.monotonic() - last["at"] < DOUBLE_CLICK_SECONDS
    if not again:
        try:
            state = _weights_of(config)
            run = create_run(config, name=name)
            if state is not None:
                save_training_state(run.state_path, state, config.train)
            launch.start(run, queue=not at_once)
        except (RunError, CheckpointError, OSError) as error:
            st.error(f"The run was not started. {literal(error)}", icon=":material/error:")
            return
        last.update(wanted=wanted, at=time.monotonic(), run=run.id)
    st.session_state["started_run"] = last["run"]


def _weights_of(config: RunConfig) -> TrainingState | None:
    """Give the state in which a run begins that does not begin with random weights."""
    if not config.origin:
        return None
    state = TrainingState(config.model, config.train)
    state.init_from(load_model(config.origin[1]))
    return state
