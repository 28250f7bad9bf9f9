"""Section What PixelCNN is: a path of seven steps over the same picture and model."""

from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st

from pixelcnn.ui.masks import steps
from pixelcnn.ui.masks.shown import ShownPicture, warn_of_link
from pixelcnn.ui.shared.resources import LoadedModel


@dataclass(frozen=True)
class Step:
    """One stop of the path."""

    title: str
    text: str
    """At most 60 words."""
    live: Callable[[LoadedModel, ShownPicture], None]
    """Draws the pictures beside the text."""


STEPS = (
    Step(
        "A picture is a sequence",
        "To a computer a picture is a grid of numbers, here levels from 0 to the highest. Read "
        "it like a page: row by row, left to right. Now it is one long sequence. PixelCNN draws "
        "in this order. Press Play, and watch.",
        steps.sequence,
    ),
    Step(
        "One pixel is a distribution",
        "The network looks at pixels before this one and gives every possible level a "
        "probability: spread out where much may come, narrow where it is sure. Then one level is "
        "drawn at random, as with loaded dice. Click pixels at an edge, in the background, "
        "inside the shape.",
        steps.one_distribution,
    ),
    Step(
        "The picture is a product",
        "How probable is the whole picture? Multiply the probabilities of all its pixels, each "
        "given those before. The product is tiny, so count bits instead: halving the probability "
        "adds one bit. Training makes this sum small for real pictures. Bright spots in the map "
        "surprised the model.",
        steps.product,
    ),
    Step(
        "Masks hide the future",
        "A convolution moves a small window of weights, its kernel, over the picture. Half of "
        "the window lies on what comes later, so those weights are masked or left out. Mask A, "
        "in the first layer, hides the centre too: the pixel to be predicted. Later layers have "
        "mask B. Slide the kernel and see what it may read.",
        steps.masks,
    ),
    Step(
        "Blocks add to what is known",
        "Each layer turns numbers into numbers, called features, at every pixel. A residual block "
        "does not replace them: it adds a correction. So many blocks can be stacked and still be "
        "trained, and each one lets a pixel hear from farther away.",
        steps.residual,
    ),
    Step(
        "Train at once, draw one by one",
        "In training the true picture is the input: this is teacher forcing. The masks hide each "
        "answer, so all predictions can come from one parallel pass. In drawing the later pixels "
        "do not exist yet, so it takes one step for each. The first picture shows the level that "
        "the network expects at every pixel.",
        steps.training,
    ),
    Step(
        "Its relatives",
        "An RNN, LSTM or GRU squeezes the whole past into one state and trains step after step. "
        "A transformer looks straight at all of the past, at a cost that grows with the square "
        "of the length. PixelCNN reads as far as its kernels and layers reach, in parallel. All "
        "of them draw one pixel at a time.",
        steps.relatives,
    ),
)


def current_step() -> int:
    """Read the step from the URL; what is no step is named, and the path begins."""
    text = st.query_params.get("step", str(st.session_state.get("guide_step", 1)))
    if text in map(str, range(1, len(STEPS) + 1)):
        return int(text)
    warn_of_link("step", text, f"be a number from 1 to {len(STEPS)}", 1)
    return 1


def show(model: LoadedModel, shown: ShownPicture) -> None:
    """Draw the step of the URL."""
    number = current_step()
    step = STEPS[number - 1]
    st.session_state["guide_step"] = number
    if st.query_params.get("step") != str(number):  # on the way back from another section
        st.query_params["step"] = str(number)
    with st.container(horizontal=True, horizontal_alignment="distribute"):
        st.markdown(f"#### {number}. {step.title}", width="content")
        with st.container(horizontal=True, vertical_alignment="center", width="content"):
            st.caption(f"Step {number} of {len(STEPS)}", width="content")
            st.button(
                "Back", icon=":material/arrow_back:", disabled=number == 1,
                on_click=_go, args=(number - 1,), key="guide_back",
            )  # fmt: skip
            st.button(
                "Next", icon=":material/arrow_forward:", disabled=number == len(STEPS),
                on_click=_go, args=(number + 1,), key="guide_next", type="primary",
            )  # fmt: skip
    with st.container(key="guide_text"):
        st.html("<style>.st-key-guide_text p { font-size: 1.2rem }</style>")
        st.markdown(step.text)
    step.live(model, shown)


def _go(number: int) -> None:
    st.query_params["step"] = str(number)
