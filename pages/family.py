"""The Family page: kinds of autoregressive models, from a price to pictures, measured."""

import streamlit as st

from pixelcnn.ui.shared.layout import begin_importing_torch, choose_view, page

begin_importing_torch()

page(
    "Family",
    "RNN, LSTM, GRU, transformer, PixelCNN: all draw one value after the other. See each of them "
    "do it, and what it costs.",
)
loading = st.empty()
if "family_view" not in st.session_state:  # later it would push the page down for a moment
    loading.info("Loading the models …", icon=":material/hourglass_top:")

# Imported after the first words are on the screen: they need torch.
from pixelcnn.ui.family import better, look, price, together  # noqa: E402

VIEWS = {
    "A price, week after week": price.show,
    "Side by side": together.show,
    "How far each looks": look.show,
    "Who is better?": better.show,
}

view = choose_view("Section", VIEWS, "family_view", next(iter(VIEWS)))
loading.empty()
VIEWS[view]()
