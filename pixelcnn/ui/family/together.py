"""Side by side: the same seed through several kinds of model, drawn in step."""

import streamlit as st

from pixelcnn.storage import CheckpointError
from pixelcnn.ui.family.members import choose_family
from pixelcnn.ui.shared.controls import ANY_CLASS, choose_seed
from pixelcnn.ui.shared.links import bound
from pixelcnn.ui.shared.literal import literal
from pixelcnn.ui.shared.resources import load
from pixelcnn.ui.shared.side_by_side.drawing import Setting, show_together

MOST = 6
"""Pictures side by side."""


def show() -> None:
    """Ask for the members, the class and the seed; draw, and play."""
    st.caption(
        "Every pixel has its own random number; here the same numbers go through every model, "
        "each with the distribution that it expected. Click a pixel to keep it; a triangle marks "
        "the level drawn."
    )
    left, right = st.columns(2)
    family = choose_family(left, "family", pictures=True)
    names, key = family.names, "family_members"
    if key in st.session_state:  # those of another family may be left
        kept = [title for title in st.session_state[key] if title in names]
        st.session_state[key] = kept or list(names)[:MOST]
    chosen = bound(
        right.multiselect,
        f"Models, up to {MOST}", list(names), list(names)[:MOST],
        max_selections=MOST, key=key,
    )  # fmt: skip
    if not chosen:
        st.info("Choose at least one model.", icon=":material/info:")
        return
    try:
        models = [load(names[title]) for title in chosen]
    except CheckpointError as error:
        st.error(f"This checkpoint cannot be used. {literal(error)}", icon=":material/error:")
        return
    classes = list(dict.fromkeys(name for model in models for name in model.class_names))
    with left:
        name = bound(
            st.selectbox,
            "Class",
            [ANY_CLASS, *classes],
            key="family_class",
        )
    with right:
        seed = choose_seed("family_seed", "seed and settings give the same pictures")
    settings = []
    for title, model in zip(chosen, models, strict=True):
        label = model.class_names.index(name) if name in model.class_names else None
        settings.append(Setting(model, label, 1.0, title))
    show_together(settings, seed)
