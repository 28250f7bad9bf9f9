"""The Measure page: how probable a picture is, and where the model is surprised."""

import streamlit as st

from pixelcnn.ui.shared import links
from pixelcnn.ui.shared.layout import begin_importing_torch, choose_view, page

begin_importing_torch()

page(
    "Measure",
    "A PixelCNN gives every picture a probability, and that can be measured, pixel by pixel.",
)
loading = st.empty()
if "view" not in st.session_state:  # later it would push the page down for a moment
    loading.info("Loading the model …", icon=":material/hourglass_top:")

# Imported after the first words are on the screen: they need torch.
from pixelcnn.ui.measure import calibration, paradox, score, sweep, table, together  # noqa: E402
from pixelcnn.ui.shared import controls, resources  # noqa: E402

VIEWS = {
    "Score a picture": score.show,
    "Paradox": paradox.show,
    "Same dice": together.show,
    "Temperatures": sweep.show,
    "Calibration": calibration.show,
    "Models": table.show,
}

links.take_renamed("view", {"Common noise": "Same dice"})
view = choose_view("What to measure", VIEWS, "view", "Score a picture")
subject = []
if view not in ("Same dice", "Models"):  # these are about several models
    with st.sidebar:
        subject = [resources.load_or_stop(controls.choose_checkpoint(loading), loading)]
loading.empty()
VIEWS[view](*subject)
