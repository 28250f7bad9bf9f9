"""The Generate page: a PixelCNN draws a picture, pixel by pixel, as you watch."""

import streamlit as st

from pixelcnn.ui.generate.player import player
from pixelcnn.ui.shared.layout import begin_importing_torch, page

begin_importing_torch()

page(
    "Generate",
    "Nobody drew this picture: a neural network that learned from pictures of clothes, or of "
    "digits, draws it now, pixel by pixel. From the pixels before, it says how likely every grey "
    "is; then dice decide.",
)
loading = st.empty()
if "drawing" not in st.session_state:
    # An empty player: the browser loads the code for it while the server imports torch.
    with loading:
        player(None, key="loading")

# Imported after the first words are on the screen: they need torch.
from pixelcnn.ui.generate import page as generate  # noqa: E402
from pixelcnn.ui.shared import controls, resources  # noqa: E402

with st.sidebar:
    model = resources.load_or_stop(controls.choose_checkpoint(loading), loading)
    subject = controls.choose_subject(model.name, model.class_names, loading)
    st.divider()
    rule = controls.choose_rule(model.model.config.num_levels)
    st.caption("Temperature, top-k and top-p act from the current pixel on.")
generate.prepare(model, subject, rule, loading)
loading.empty()
generate.ways()
generate.live()
generate.export()
generate.about(model)
