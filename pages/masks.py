"""The Masks page: what a prediction may read, computed from the loaded model."""

import streamlit as st

from pixelcnn.ui.shared import long_work
from pixelcnn.ui.shared.layout import begin_importing_torch, choose_view, page

begin_importing_torch()
long_work.cancel("ahead")  # let the processors serve what was asked for, see `draw_ahead`

page(
    "Masks",
    "What may a prediction read? All of this is computed from the loaded model, or from your net.",
)
loading = st.empty()
if "model" not in st.session_state:  # later it would push the page down for a moment
    loading.info("Loading the model …", icon=":material/hourglass_top:")

# Imported after the first words are on the screen: they need torch.
from pixelcnn.ui.masks import growth, guide, kernels, leak, own, proof  # noqa: E402
from pixelcnn.ui.masks.ahead import draw_ahead  # noqa: E402
from pixelcnn.ui.masks.shown import choose_picture  # noqa: E402
from pixelcnn.ui.shared import controls, resources  # noqa: E402

GUIDE = "What PixelCNN is"
SECTIONS = {
    "Masks": kernels.show,
    "Why A then B": leak.show,
    "Receptive field": growth.show,
    "Prove it": proof.show,
    "Build your own": own.show,
    GUIDE: guide.show,
}
PREPARE = {
    "Why A then B": leak.prepare,
    "Receptive field": growth.prepare,
    "Prove it": proof.prepare,
}


@st.fragment
def show(section: str) -> None:
    """Draw a section; its controls rerun nothing else."""
    long_work.cancel("ahead")
    SECTIONS[section](model, shown)
    draw_ahead(model, shown, PREPARE.get(section))


with st.sidebar:
    model = resources.load_or_stop(controls.choose_checkpoint(loading), loading)
    shown = choose_picture(model)
    st.caption("The model and the picture hold for all sections.")
loading.empty()

first = GUIDE if "step" in st.query_params else "Masks"  # a link to a step needs only the step
section = choose_view("Section", SECTIONS, "section", first)
if section != GUIDE:
    st.query_params.pop("step", None)
show(section)
