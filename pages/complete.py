"""The Complete page: draw a part of a picture, and let the model draw the rest."""

import streamlit as st

from pixelcnn.ui.shared.layout import begin_importing_torch, page

begin_importing_torch()

page(
    "Complete",
    "Draw a part of a picture, and the model completes it. Your strokes are hints, which it may "
    "draw over. Pixels of a picture that you start from stay as they are.",
)
loading = st.empty()
if "complete_model" not in st.session_state:  # later it would push the page down for a moment
    loading.info("Loading the model …", icon=":material/hourglass_top:")

# Imported after the first words are on the screen: they need torch.
from pixelcnn.ui.complete import drawing_column, results, settings, starts  # noqa: E402
from pixelcnn.ui.shared import resources, session_sketch  # noqa: E402

with st.sidebar:
    model = resources.load_or_stop(settings.choose_model(loading), loading)
    chosen = settings.choose_settings(model)

loading.empty()
session_sketch.prepare(model.model.config)
left, right = st.columns([5, 6], gap="medium")
with st.container():
    request, plan = drawing_column.choose_how(model, chosen)
settings.remember()
with left:
    drawing_column.draw(model, request, plan)
with right:
    starts.offer_challenges(model.model.config)
    results.show()
