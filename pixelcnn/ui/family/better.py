"""Who is better? Learning curves, the table, and an answer to a claim, from the stored numbers."""

import streamlit as st

from pixelcnn.evaluation.family import (
    CLAIM,
    TRAINED_TOGETHER,
    Curves,
    Member,
    after_same_cpu_time,
    answer_claim,
    name_leaders,
    read_curves,
)
from pixelcnn.evaluation.stored import StoredNumbersError, percent
from pixelcnn.ui.family.charts import learning_chart
from pixelcnn.ui.family.members import Family, choose_family, measured
from pixelcnn.ui.shared.chart_view import offer_data, show_chart
from pixelcnn.ui.shared.links import bound
from pixelcnn.ui.shared.literal import literal, markdown_table

IMAGES, CPU = "Images seen", "CPU minutes"
HEAD = (
    "Model", "Bits/dim", "Same CPU time", "Parameters", "Images seen", "Training, one image",
    "Drawing", "Naively", "Past seen",
)  # fmt: skip


def show() -> None:
    """Answer the claim, then show what the answer rests on."""
    family = choose_family(st, "better_family")
    members = measured(family)
    curves = _curves(family)
    if members:
        _answer(family, members)
        _show_table(family, members, curves)
    if curves:
        _show_curves(members, curves)


def _answer(family: Family, members: dict[str, Member]) -> None:
    st.markdown(f"#### Is it true? “{CLAIM}”")
    sentences = answer_claim(list(members.values()), family.far)
    if sentences:
        st.markdown(" ".join(sentences))
        st.caption(
            "Written from the numbers below. GPT is a transformer of words; this one is small, "
            "and draws pixels. They say nothing about larger models or longer training."
        )
    else:
        st.info(
            "The answer needs a transformer and a classic or gated PixelCNN, both measured.",
            icon=":material/info:",
        )


def _show_table(family: Family, members: dict[str, Member], curves: Curves) -> None:
    seconds, same_time = after_same_cpu_time(members, curves)
    if family.images_seen is not None:
        st.markdown(literal(name_leaders(members, seconds, same_time)))
    ranked = sorted(members, key=lambda title: members[title].score)
    rows = []
    for title in ranked:
        m = members[title]
        cells = [
            literal(title), f"**{m.score:.3f}**",
            f"{same_time[title]:.3f}" if title in same_time else "–",
            f"{m.num_parameters:,}", f"{m.images_seen:,}", milliseconds(m.training_seconds),
            milliseconds(m.drawing_seconds), milliseconds(m.naive_seconds), percent(m.past_seen),
        ]  # fmt: skip
        rows.append(cells)
    st.markdown(markdown_table(HEAD, rows))
    st.caption(
        "Bits/dim on validation images, lower is better. *Same CPU time*: bits/dim after "
        f"{seconds / 60:.1f} minutes of training, when the fastest had finished, on a straight "
        "line between two points of the curve below; a dash if there is no curve, or it begins "
        "later. The others were still learning then, at a high learning rate; a training planned "
        "for this time would bring them farther. Times of one core: forward and backward "
        f"in batches of {TRAINED_TOGETHER}; one picture with the memory that each keeps between "
        "pixels; naively with a pass of the whole network for every pixel. *Past seen*: share of "
        "all pairs of a prediction and an earlier pixel that can act on it."
    )
    fields = ("num_parameters", "images_seen", "training_seconds", "drawing_seconds",
              "naive_seconds", "past_seen")  # fmt: skip
    columns = {
        "model": ranked,
        "bits_per_dim": [members[t].score for t in ranked],
        "bits_per_dim_same_cpu_time": [same_time.get(t) for t in ranked],
    }
    offer_data("family", columns | {f: [getattr(members[t], f) for t in ranked] for f in fields},
               "family-table")  # fmt: skip


def _curves(family: Family) -> Curves:
    try:
        stored = read_curves()
    except StoredNumbersError as error:
        st.error(f"The stored curves cannot be used. {literal(error)}", icon=":material/error:")
        return {}
    return {title: stored[name] for title, name in family.names.items() if stored.get(name)}


def _show_curves(members: dict[str, Member], curves: Curves) -> None:
    st.markdown("#### How each learned")
    axis = bound(
        st.segmented_control,
        "Against", [IMAGES, CPU], default=IMAGES, required=True, key="learning_axis",
 label_visibility="collapsed",
    )  # fmt: skip
    if axis == CPU:
        minutes = {title: member.training_seconds / 60 for title, member in members.items()}
        curves = {
            title: [(images * minutes[title], bits) for images, bits in points]
            for title, points in curves.items()
            if title in minutes
        }
        st.caption("Images seen, times the measured time of training on one.")
    if curves:
        show_chart(learning_chart(curves, axis), "learning")


def milliseconds(seconds: float) -> str:
    """Write a time.

    >>> milliseconds(0.00072), milliseconds(0.0123), milliseconds(2.34)
    ('0.7 ms', '12 ms', '2.3 s')
    """
    if seconds >= 1:
        return f"{seconds:.1f} s"
    return f"{1000 * seconds:.{1 if seconds < 0.01 else 0}f} ms"
