"""The Measure page: how probable a picture is, and where the model is surprised."""

import streamlit as st

from pixelcnn.ui.shared.layout import begin_importing_torch, page

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

WITH_MODEL = {
    "Score a picture": score.show,
    "Paradox": paradox.show,
    "Temperatures": sweep.show,
    "Calibration": calibration.show,
}
WITHOUT = {"Common noise": together.show, "Models": table.show}

view = st.segmented_control(
    "What to measure",
    ["Score a picture", "Paradox", "Common noise", "Temperatures", "Calibration", "Models"],
    default="Score a picture",
    required=True,
    key="view",
    bind="query-params",
    label_visibility="collapsed",
)
if view in WITH_MODEL:
    with st.sidebar:
        model = resources.load_or_stop(controls.choose_checkpoint(loading), loading)
    loading.empty()
    WITH_MODEL[view](model)
else:
    loading.empty()
    WITHOUT[view]()
