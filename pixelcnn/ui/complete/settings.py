"""The controls of the Complete page. Settings live in the URL."""

import random
from dataclasses import dataclass

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pixelcnn.config import SamplingRule
from pixelcnn.data.datasets import class_names
from pixelcnn.models import ModelConfig
from pixelcnn.ui import controls
from pixelcnn.ui.controls import MAX_SEED, choose_checkpoint, choose_rule

INFERRED, ANY_CLASS = "inferred", "any"
PARTICLES = (16, 32, 64, 128, 256)
KEYS = (
    "model",
    "complete_class",
    "completions_shown",
    "particles",
    "tolerance",
    "complete_seed",
    "temperature",
    "top_k",
    "top_p",
)


@dataclass(frozen=True)
class Settings:
    """What the sidebar says."""

    num_images: int
    """Completions, 1 to 16."""
    label: int | None
    """Class that is asked for; None for any class, or an inferred one."""
    inferred: bool
    """Whether the class of each completion is drawn from the posterior, given the drawing."""
    num_particles: int
    """N, for the method of particles."""
    tolerance: float
    """Scale of the noise that known levels may have, in levels; 0 for none."""
    seed: int
    """Fixes all random numbers."""
    rule: SamplingRule
    """Temperature, top-k, top-p."""


def choose_model(place: DeltaGenerator) -> str:
    """Let the visitor choose a checkpoint; one that knows eight orders is best here."""
    if name := st.session_state.pop("change_model_to", None):
        st.session_state["model"] = name
    return choose_checkpoint(place, "fashion-mnist-orders")


def choose_settings(config: ModelConfig, dataset: str | None) -> Settings:
    """Let the visitor choose everything but the method."""
    names = class_names(dataset, config.num_classes)
    label, inferred = None, False
    if names:
        name = st.selectbox(
            "Class",
            [ANY_CLASS, INFERRED, *names],
            key="complete_class",
            bind="query-params",
            help="*inferred*: how probable each class is, given what is known; the class of every "
            "completion is drawn accordingly. *any* leaves it to the model.",
        )
        inferred = name == INFERRED
        label = names.index(name) if name in names else None
    num_images = st.slider(
        "Completions",
        1,
        16,
        16,
        key="completions_shown",
        bind="query-params",
        help="Drawn together, each with random numbers of its own.",
    )
    num_particles = st.select_slider(
        "Particles",
        PARTICLES,
        64,
        key="particles",
        bind="query-params",
        help="How many pictures the method of particles draws at once. More are nearer to the "
        "exact answer, and slower.",
    )
    tolerance = st.slider(
        "Tolerance",
        0.0,
        min(40.0, config.num_levels - 1.0),
        0.0,
        1.0,
        key="tolerance",
        bind="query-params",
        help="How far off a known level may be on average, in levels. A brush leaves ink that no "
        "picture of the data has; with a tolerance it is read as a hint instead of as impossible "
        "evidence. Asks for particles.",
    )
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    seed = left.number_input(
        "Seed",
        0,
        MAX_SEED,
        key="complete_seed",
        bind="query-params",
        help="Fixes the random numbers: the same seed, settings and drawing give the same "
        "completions.",
    )
    right.button("New", icon=":material/casino:", width="stretch", on_click=_new_seed)
    with st.expander("Sampling rule"):
        rule = choose_rule(config.num_levels)
    return Settings(num_images, label, inferred, num_particles, tolerance, seed, rule)


def remember() -> None:
    """Note the settings with which the page is drawn; after all controls."""
    st.session_state["complete_drawn_with"] = controls.settings(KEYS)


def rerun_if_changed() -> None:
    """Run the whole page again if a setting has changed since it was drawn.

    Streamlit reruns only a fragment if its request comes in one message with such a change.
    """
    if st.session_state.get("complete_drawn_with") != controls.settings(KEYS):
        st.rerun()


def _new_seed() -> None:
    st.session_state["complete_seed"] = random.randint(0, MAX_SEED)
