"""The table of models: every checkpoint, what it reaches and what it costs."""

from dataclasses import asdict

import streamlit as st

from pixelcnn.checkpoints import CheckpointError, list_checkpoints
from pixelcnn.data import DATASETS
from pixelcnn.measurements import MeasurementError, is_current, load_measurement
from pixelcnn.model_table import TABLE_PATH, ModelRow, read_table
from pixelcnn.ui.exhibits import offer_data
from pixelcnn.ui.resources import load

COMMAND = "python -m pixelcnn evaluate --table --write"
HEAD = (
    "Checkpoint", "Learned", "Test bits/dim", "Parameters", "Past seen", "One picture",
    "Each of 16",
)  # fmt: skip


def show() -> None:
    """Show what was measured, and what the others say about themselves."""
    st.caption(
        "Bits/dim on the test images, told their class: lower is better, but only models of the "
        "same data set and number of levels can be compared. *Past seen*: share of all pairs of a "
        "prediction and an earlier pixel that the receptive field holds."
    )
    try:
        stored = load_measurement(TABLE_PATH, read_table)
    except MeasurementError as error:
        st.error(f"The stored table cannot be used. {error}", icon=":material/error:")
        stored = None
    measured = {row.checkpoint: row for row in stored[1]} if stored else {}
    lines, shown, notes = [], [], []
    for name in list_checkpoints():
        row = measured.get(name)
        if row is not None and is_current(name, row.weights):
            lines.append(_line(row))
            shown.append(row)
            continue
        notes.append(name)
        lines.append(_line_of_checkpoint(name))
    if not lines:
        st.info("There is no checkpoint.", icon=":material/info:")
        return
    table = [f"| {' | '.join(HEAD)} |", f"|{'---|' * len(HEAD)}", *lines]
    st.markdown("\n".join(table))
    if any(row.num_orders > 1 for row in shown):
        st.caption("* The mean over the eight raster orders that the model knows.")
    if shown:
        images = ", ".join(sorted({f"{row.test_images:,}" for row in shown}))
        st.caption(
            f"Measured by `{COMMAND}` on {images} test images. Seconds: with the cached sampler, "
            "in one thread, on the machine that measured them."
        )
        offer_data("models", _columns(shown), "models")
    if notes:
        st.info(
            f"Not measured with its present weights: {', '.join(notes)}. "
            f"Shown is what can be told without the data. `{COMMAND}` measures all.",
            icon=":material/info:",
        )


def _columns(rows: list[ModelRow]) -> dict[str, list[object]]:
    return {name: [asdict(row)[name] for row in rows] for name in asdict(rows[0])}


def _title(dataset: str | None) -> str:
    return DATASETS[dataset].title if dataset in DATASETS else "unknown"


def _line(row: ModelRow) -> str:
    bits = f"**{row.test_bits_per_dim:.3f}**"
    if row.ensemble_bits_per_dim is not None:
        bits += f"\\* (ensemble {row.ensemble_bits_per_dim:.3f})"
    return (
        f"| {row.checkpoint} | {_title(row.dataset)} | {bits} | {row.num_parameters:,} | "
        f"{row.past_seen:.1%} | {row.seconds_one:.2f} s | {row.seconds_of_16:.2f} s |"
    )


def _line_of_checkpoint(name: str) -> str:
    try:
        model = load(name)
    except CheckpointError:
        return f"| {name} | damaged | | | | | |"
    seen, past = model.coverage
    test = model.info.bits_per_dim.get("test")
    bits = "not measured" if test is None else f"{test:.3f}"
    return (
        f"| {name} | {_title(model.info.dataset)} | {bits} | {model.model.num_parameters:,} | "
        f"{seen / past:.1%} | not measured | not measured |"
    )
