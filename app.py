"""The Generate page: a PixelCNN draws a picture, pixel by pixel, before one's eyes."""

import threading

import streamlit as st

from pixelcnn.ui.layout import page

# torch takes a second or two to import: begun before the first words go to the screen.
threading.Thread(target=__import__, args=("torch",), daemon=True).start()

page(
    "Generate",
    "A neural network draws a picture, one pixel after the other. Every pixel is drawn at random "
    "from the distribution that the network predicts from the pixels before it.",
)
loading = st.empty()
loading.info("Loading the model …", icon=":material/hourglass_top:")

# Imported after the first words are on the screen, for the same reason.
from pixelcnn.ui import controls, generate, resources  # noqa: E402

with st.sidebar:
    model = resources.load_or_stop(controls.choose_checkpoint())
    subject = controls.choose_subject(model.name, model.model.config, model.info.dataset)
    st.divider()
    rule = controls.choose_rule(model.model.config.num_levels)
    st.caption("Temperature, top-k and top-p act at once, from the current pixel on.")

generate.prepare(model, subject, rule)
loading.empty()
generate.live()
generate.about(model)
