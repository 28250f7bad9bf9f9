"""The Train page: short runs to watch, stop, resume and compare."""

import streamlit as st

from pixelcnn.locks import HAVE_LOCKS, NO_LOCKS
from pixelcnn.ui.shared.layout import begin_importing_torch, choose_view, page
from pixelcnn.ui.shared.public import NOTICE, is_public

begin_importing_torch()

page(
    "Train",
    "Let a PixelCNN learn while you watch. A run lives outside this page: leave, close the "
    "browser, come back; stop it and go on later.",
)
if not HAVE_LOCKS:
    st.error(NO_LOCKS, icon=":material/error:")
    st.stop()
loading = st.empty()
if "tab" not in st.session_state:  # later it would push the page down for a moment
    loading.info("One moment …", icon=":material/hourglass_top:")

# Imported after the first words are on the screen: they need torch.
from pixelcnn.ui.train import compare, form, settings, watch  # noqa: E402

VIEWS = {"New run": form.show, "Runs": watch.show, "Compare": compare.show}
if is_public():
    st.info(NOTICE, icon=":material/lock:")
    del VIEWS["New run"]

if started := st.session_state.pop("started_run", None):
    st.session_state["tab"], st.query_params["run"] = "Runs", started
first = "Runs" if watch.is_any_active() else next(iter(VIEWS))
view = choose_view("View", VIEWS, "tab", first)
loading.empty()
if view != st.session_state.get("drawn_view"):
    settings.send_again()
VIEWS[view]()
st.session_state["drawn_view"] = view
