"""The controls of the pages; each returns a configuration. Settings live in the URL."""

import contextlib
import random
from collections.abc import Callable, Sequence

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pixelcnn.config import SamplingRule
from pixelcnn.sampling.noise import LARGEST_IMAGE, LARGEST_SEED
from pixelcnn.storage import (
    CHECKPOINT_DIR,
    CheckpointError,
    checkpoint_path,
    list_checkpoints,
    list_trained_checkpoints,
)
from pixelcnn.training.runs import Run, run_path
from pixelcnn.ui.shared.history import History, Subject
from pixelcnn.ui.shared.links import bound, refuse
from pixelcnn.ui.shared.literal import literal

ANY_CLASS = "any"
DEFAULT_CHECKPOINT = "fashion-mnist-gated"
NEW_SEEDS = 1_000_000
"""The button New takes one below: a number that one can read out."""
GOOD_SEED = 93
"""Of the first picture; looked for among a hundred: a pullover that begins in the first row."""
TEMPERATURES = [0, 0.25, 0.5, 0.6, *(percent / 100 for percent in range(70, 131, 5)), 1.5, 2]
"""Steps of the slider, closest where pictures are neither empty nor noise."""
KEYS = ("model", "class", "seed", "pictures", "rows", "image", "temperature", "top_k", "top_p")
"""Of the controls of the Generate page, in the session state and in the URL."""


def settings(keys: Sequence[str] = KEYS) -> dict[str, object]:
    """Read what the controls say at this moment; those that are not on the page say nothing."""
    return {key: st.session_state[key] for key in keys if key in st.session_state}


def default_checkpoint(names: list[str], preferred: str = DEFAULT_CHECKPOINT) -> str:
    """Give the checkpoint to begin with, of those that there are."""
    return next((name for name in (preferred, DEFAULT_CHECKPOINT) if name in names), names[0])


def choose_checkpoint(
    place: DeltaGenerator,
    preferred: str = DEFAULT_CHECKPOINT,
    key: str = "model",
    on_change: Callable[[], None] | None = None,
) -> str:
    """Let the visitor choose a checkpoint; without any, say what to do and end the page.

    Arguments:
        place: an empty element of the page, for the message.
        preferred: checkpoint to begin with, if it is there.
        key: of the control, in the session state and in the URL.
        on_change: called when the visitor has chosen another one.
    """
    names, gone = _checkpoints(key), None
    if key in st.session_state and st.session_state[key] not in names:
        gone = st.session_state.pop(key)
    if not names:
        place.info(
            f"There is no checkpoint in `{CHECKPOINT_DIR.name}/`. Train one on the Train page, or "
            "with `python -m pixelcnn train mine`.",
            icon=":material/info:",
        )
        st.stop()
    name = bound(
        st.selectbox,
        "Model",
        names,
        names.index(default_checkpoint(names, preferred)),
        key=key,
        on_change=on_change,
        help="A trained checkpoint: from the folder `checkpoints/`, from a run on the Train page, "
        "or imported there.",
    )
    if gone is not None:
        refuse(key, gone, "name a checkpoint that there is", name)
    if name.startswith("run:"):
        run = Run(run_path(name.removeprefix("run:").partition("@")[0]))
        st.caption(f"The run *{literal(run.about().name)}*")
    return name


def _checkpoints(key: str) -> list[str]:
    """List all, with the one that a link names, which may be a stage of a run."""
    names = [*list_checkpoints(), *list_trained_checkpoints()]
    linked = st.query_params.get(key, st.session_state.get(key, ""))
    if linked.startswith("run:") and linked not in names:
        with contextlib.suppress(CheckpointError):
            checkpoint_path(linked)
            names.append(linked)
    return names


def choose_class(
    names: Sequence[str],
    place: DeltaGenerator | None = None,
    title: str = "Class",
    key: str = "class",
    help: str | None = "The class that the model is asked for. *any* leaves it to the model.",
) -> int | None:
    """Let the visitor choose one of the classes of a model, if it has any; None is any class."""
    if not names:
        return None
    options = [ANY_CLASS, *names]
    name = bound((place or st).selectbox, title, options, key=key, help=help)
    return None if name == ANY_CLASS else names.index(name)


def choose_seed(
    key: str = "seed", same: str = "seed and settings give the same picture", first: int = 0
) -> int:
    """Let the visitor choose the seed, or ask for a new one.

    Arguments:
        key: of the control, in the session state and in the URL.
        same: says what makes the same pictures.
        first: seed where neither a link nor the visitor has chosen one.
    """
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    seed = bound(
        left.number_input,
        "Seed",
        0,
        LARGEST_SEED,
        first,
        key=key,
        help=f"Fixes the random numbers: the same {same}.",
    )
    right.button(
        "New",
        icon=":material/casino:",
        width="stretch",
        on_click=_new_seed,
        args=(key,),
        help="A new seed: draw something else.",
    )
    return seed


def choose_subject(checkpoint: str, names: Sequence[str], place: DeltaGenerator) -> Subject:
    """Let the visitor choose what is drawn: class, seed, how many pictures.

    What a seed does not hold is said at the place given, and the page ends.
    """
    label = choose_class(names)
    seed = choose_seed(first=GOOD_SEED)
    num_images = bound(
        st.slider,
        "Pictures at once",
        1,
        64,
        key="pictures",
        help="1 shows every detail; more draws a sheet. Click a picture of a sheet to open it.",
    )
    per_row = False
    if num_images > 1 and names:
        per_row = bound(
            st.toggle,
            "One class per row",
            key="rows",
            help="Row by row the classes in turn, instead of the class above; from 10 pictures on "
            "there is a row for each of 10 classes.",
        )
    with st.expander("More pictures of this seed"):
        image = bound(
            st.number_input,
            "Which of them",
            0,
            LARGEST_IMAGE,
            key="image",
            help="A seed holds many pictures; a sheet begins with this one. Picture i of a sheet "
            "is the same as picture i alone.",
        )
    last = image + num_images - 1
    if last > LARGEST_IMAGE:
        place.error(
            f"A seed holds the pictures 0 to {LARGEST_IMAGE:,}; this sheet would end at {last:,}.",
            icon=":material/error:",
        )
        st.stop()
    return Subject(checkpoint, seed, image, num_images, label, per_row)


def choose_rule(num_levels: int) -> SamplingRule:
    """Let the visitor choose temperature, top-k and top-p."""
    steps = _temperatures()
    bound(
        st.select_slider,
        "Temperature",
        steps,
        1.0,
        format_func=steps.__getitem__,
        key="temperature",
        rule="be 0, or a number from 0.000001 to 2",
        help="1 is the model itself. Lower: safer and smoother. Higher: wilder. "
        "0 always takes the most probable level: from an empty canvas all stays black.",
    )
    bound(
        st.slider,
        "Top-k",
        1,
        num_levels,
        num_levels,
        key="top_k",
        help=f"Keep only the k most probable levels. {num_levels} keeps all.",
    )
    bound(
        st.slider,
        "Top-p",
        0.05,
        1.0,
        1.0,
        0.01,
        key="top_p",
        help="Keep the smallest set of levels that together have probability p. 1 keeps all. "
        "Where the background is nearly certain, a low p leaves nothing else: all stays black.",
    )
    return shown_rule(num_levels)


def _temperatures() -> dict[float, str]:
    """Give the steps of the slider, and what a course or a link has chosen between them, as said.

    An older link may say 2.0.
    """
    steps = {float(step): f"{step:g}" for step in TEMPERATURES}
    for chosen in (st.session_state.get("temperature"), st.query_params.get("temperature")):
        with contextlib.suppress(TypeError, ValueError):
            if SamplingRule(temperature=float(chosen)).temperature <= TEMPERATURES[-1]:
                steps[float(chosen)] = chosen if isinstance(chosen, str) else f"{chosen:g}"
    return dict(sorted(steps.items()))


def shown_rule(num_levels: int) -> SamplingRule:
    """Read what the controls of `choose_rule` say at this moment."""
    temperature, top_k, top_p = (st.session_state[k] for k in ("temperature", "top_k", "top_p"))
    return SamplingRule(
        temperature=temperature, top_k=None if top_k == num_levels else top_k, top_p=top_p
    )


def show_rule(rule: SamplingRule, num_levels: int) -> None:
    """Set the controls of `choose_rule` to a rule; only before they are drawn."""
    st.session_state["temperature"] = float(rule.temperature)
    st.session_state["top_k"] = rule.top_k or num_levels
    st.session_state["top_p"] = float(rule.top_p)


def show_single(image: int, class_name: str | None) -> None:
    """Set the controls of `choose_subject` to one picture; only before they are drawn."""
    st.session_state["pictures"] = 1
    st.session_state["image"] = image
    if class_name is not None:
        st.session_state["class"] = class_name


def show_finished(
    subject: Subject, class_name: str | None, history: History, position: int, num_levels: int
) -> None:
    """Let the Generate page show a finished picture, pinned at a position, when it opens next.

    Arguments:
        subject: a single picture.
        class_name: name of its label; None for any class.
        history: rules and forced levels.
        position: to be pinned.
        num_levels: of the model.
    """
    show_rule(history.last_rule, num_levels)
    show_single(subject.image, class_name or ANY_CLASS)
    st.session_state.update(model=subject.checkpoint, seed=subject.seed)
    st.session_state.update(begin_with=history, begin_at=position, identity=None)


def next_seed() -> int:
    """Give the seed that the button New takes next."""
    return st.session_state.setdefault("next_seed", random.randrange(NEW_SEEDS))


def _new_seed(key: str) -> None:
    st.session_state[key] = next_seed()
    del st.session_state["next_seed"]
