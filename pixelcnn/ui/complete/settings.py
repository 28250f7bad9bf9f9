"""The controls of the Complete page. Settings live in the URL."""

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from streamlit.delta_generator import DeltaGenerator

from pixelcnn.models import ModelConfig
from pixelcnn.ui.complete import methods
from pixelcnn.ui.complete.challenges import SHAPE
from pixelcnn.ui.complete.run import Request
from pixelcnn.ui.shared import controls, resources
from pixelcnn.ui.shared.controls import choose_checkpoint, choose_rule, choose_seed
from pixelcnn.ui.shared.links import bound
from pixelcnn.ui.shared.resources import LoadedModel
from pixelcnn.ui.shared.sketch import DRAWN, Sketch

GUESS, ANY_CLASS, EACH = "inferred", "any", "each"
CLASS_WORDS = {GUESS: "Let the model guess", ANY_CLASS: "Any class", EACH: "One of each class"}
MODEL, PINS = "complete_model", "pinned_classes"
EXAMPLE_CLASS, UNTOLD = "class_of_example", ""
FOLLOWED = "followed"
"""In the address: the model that the page changed to by itself, which a reload leaves to it."""
LINK_VERSION = "2"
"""Of links with a drawing; those of version 1 read strokes as facts."""
KEYS = (
    MODEL,
    "complete_class",
    PINS,
    "completions_shown",
    "particles",
    "tolerance",
    "complete_seed",
    "temperature",
    "top_k",
    "top_p",
)


def choose_model(place: DeltaGenerator) -> str:
    """Let the visitor choose a checkpoint; the page begins with the one that completes best."""
    state, query = st.session_state, st.query_params
    if name := state.pop("change_model_to", None):
        query[FOLLOWED] = name
        infos = resources.checkpoints_for(SHAPE)
        datasets = {infos[n].dataset if n in infos else n for n in (name, state[MODEL])}
        if len(datasets) > 1:
            for key in ("complete_class", PINS):  # the other model has other classes
                state.pop(key, None)
        state[MODEL] = name
    elif MODEL not in state:
        earlier = "drawing" in query and query.get("v") != LINK_VERSION and MODEL not in query
        if earlier:  # such links did not name the model that the page began with then
            state[MODEL] = query.get("model", "fashion-mnist-orders")
            state["exactly"] = True
        elif "model" in query and MODEL not in query:
            state[MODEL] = query["model"]
        named = query.get(MODEL, query.get("model"))
        if earlier or named not in (None, query.get(FOLLOWED)):
            _note_own_choice()
    best = best_for("fashion-mnist", SHAPE)
    name = choose_checkpoint(place, best, MODEL, _note_own_choice)
    if name == query.get(FOLLOWED) and not state.get("own_complete_model"):
        st.caption("Chosen to suit your drawing. Choose one yourself to keep it.")
    return name


def follow(dataset: str | None, shape: tuple[int, int, int], meant: str | None = None) -> None:
    """Change to the model that completes pictures of a data set, unless the visitor chose one.

    *What is it?* says what another drawing is meant to be, if that is known.
    """
    tell_class(meant)
    state = st.session_state
    name = best_for(dataset, shape)
    if not name or state.get("own_complete_model"):
        return
    now = resources.checkpoints_for(shape).get(state[MODEL])
    if now is None or now.dataset != dataset:
        state["change_model_to"] = name


def tell_class(name: str | None) -> None:
    """Have *What is it?* say the class of an example.

    None takes it back, for another drawing, unless the visitor has chosen since.
    """
    state = st.session_state
    told = state.pop(EXAMPLE_CLASS, None)
    if name is not None:
        state[EXAMPLE_CLASS] = state["change_class_to"] = name
    elif told is not None and state.get("complete_class") == told:
        state["change_class_to"] = UNTOLD


def follow_drawing(model: LoadedModel, sketch: Sketch) -> bool:
    """Change to the model that completes this drawing best; says whether there is another.

    Where facts alone are given, at a side that another model of the same data reads first, that
    one is exact. For strokes it is one that takes hints.
    """
    state = st.session_state
    if state.get("own_complete_model") or not sketch.known.any() or sketch.known.all():
        return False
    strokes = bool((sketch.state == DRAWN).any()) and not state.get("exactly")
    wanted = best_for(model.info.dataset, model.model.config.image_shape)
    is_first = methods.exact_from_a_side(sketch.known, 1)  # every model reads it first
    if not strokes and not is_first:
        wanted = exact_elsewhere(model, sketch.known) or wanted
    if not wanted or wanted == model.name:
        return False
    state["change_model_to"] = wanted
    return True


def exact_elsewhere(model: LoadedModel, known: NDArray[np.bool_]) -> str:
    """Name a model of eight orders, of the same data, that reads all known pixels first; or ""."""
    if not methods.exact_from_a_side(known):
        return ""
    infos = resources.checkpoints_for(model.model.config.image_shape).items()
    several = (n for n, i in infos if i.config.num_orders > 1 and i.dataset == model.info.dataset)
    return next(several, "")


def _note_own_choice() -> None:
    st.session_state["own_complete_model"] = True


def best_for(dataset: str | None, shape: tuple[int, int, int]) -> str:
    """Name the checkpoint that completes pictures of a data set best, "" if there is none."""

    def rank(config: ModelConfig) -> tuple[bool, int]:
        return resources.reads_evidence(config), config.num_orders

    found = resources.checkpoints_for(shape)
    ranks = {name: rank(i.config) for name, i in found.items() if i.dataset == dataset}
    return max(ranks, key=ranks.__getitem__, default="")


def choose_settings(model: LoadedModel) -> Request:
    """Let the visitor choose what everybody may want to change; the method is still to come."""
    names = model.class_names
    place = st.container()
    num_images = bound(
        st.slider,
        "Completions",
        1,
        16,
        16,
        key="completions_shown",
        help="Drawn together, each with random numbers of its own.",
    )
    label, inferred, pins = None, False, ()
    wanted = st.session_state.pop("change_class_to", None)
    if names:
        with place:
            name = _choose_class(names, model.model.reads_evidence, wanted)
            pins = _choose_pins(names, num_images)
        inferred = name == GUESS
        if name == EACH:
            label = tuple(image % len(names) for image in range(num_images))
        elif name in names:
            label = names.index(name)
    same = "seed, settings and drawing give the same completions"
    seed = choose_seed("complete_seed", same)
    with st.expander("Sampling rule"):
        rule = choose_rule(model.model.config.num_levels)
    return Request(
        model.name,
        methods.AUTOMATIC,
        num_images=num_images,
        label=label,
        inferred=inferred,
        pins=pins,
        seed=seed,
        rule=rule,
    )


def _choose_class(names: tuple[str, ...], reads_evidence: bool, wanted: str | None) -> str:
    first = GUESS if reads_evidence else ANY_CLASS
    linked = st.query_params.get("complete_class")
    if linked in CLASS_WORDS and "complete_class" not in st.session_state:
        st.session_state["complete_class"] = linked  # links of earlier versions; now in words
    if wanted == UNTOLD or wanted in names:
        st.session_state["complete_class"] = first if wanted == UNTOLD else wanted
    return bound(
        st.selectbox,
        "What is it?",
        [*CLASS_WORDS, *names],
        list(CLASS_WORDS).index(first),
        format_func=lambda name: CLASS_WORDS.get(name, name),
        key="complete_class",
        help="Choose a class if you know what you drew. *Let the model guess*: the model says "
        "how probable each class is, and each completion gets a class accordingly. *Any class* "
        "leaves it open while drawing. *One of each class*: the first completion gets the first "
        "class, the second the next.",
    )


def _choose_pins(names: tuple[str, ...], num_images: int) -> tuple[tuple[int, int], ...]:
    """Let the visitor give completions a class of their own, here or in the sheet."""
    state = st.session_state
    options = {f"{i + 1}: {n}": (i, c) for i in range(num_images) for c, n in enumerate(names)}
    if change := state.pop("change_pin_to", None):
        image, label = change
        others = [pin for pin in state.get(PINS, ()) if options.get(pin, (image,))[0] != image]
        state[PINS] = others if label is None else [*others, f"{image + 1}: {names[label]}"]
    elif not set(state.get(PINS, ())) <= set(options):
        state[PINS] = [pin for pin in state[PINS] if pin in options]
    chosen = bound(
        st.multiselect,
        "Pinned classes",
        list(options),
        key=PINS,
        placeholder="None",
        help="Completions with a class of their own, whatever you choose above. Choose them here, "
        "or click a completion.",
    )
    return tuple({options[pin][0]: options[pin] for pin in chosen}.values())


def choose_particles(config: ModelConfig) -> tuple[int, float]:
    """Let the visitor choose the number of particles, and the tolerance of known levels."""
    left, right = st.columns(2, gap="medium")
    num_particles = bound(
        left.select_slider,
        "Particles",
        methods.PARTICLE_COUNTS,
        64,
        key="particles",
        help="For *weighed* and *particles*: how many pictures are drawn at once. More come "
        "closer to the exact answer, and take longer.",
    )
    tolerance = bound(
        right.slider,
        "Tolerance",
        0.0,
        min(40.0, config.num_levels - 1.0),
        0.0,
        1.0,
        key="tolerance",
        help="For *particles*: scale, in levels, of the noise allowed between a known level and "
        "the picture (Laplace distribution).",
    )
    return num_particles, tolerance


def remember() -> None:
    """Note the settings with which the page is drawn; after all controls."""
    st.session_state["complete_drawn_with"] = controls.settings(KEYS)


def rerun_if_changed() -> None:
    """Run the whole page again if a setting has changed since it was drawn.

    Streamlit reruns only a fragment if its request comes in one message with such a change.
    """
    if st.session_state.get("complete_drawn_with") != controls.settings(KEYS):
        st.rerun()
