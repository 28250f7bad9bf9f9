"""The table of models: every checkpoint, what it reaches and what it costs."""

from dataclasses import asdict, fields
from typing import Any

import streamlit as st

from pixelcnn.evaluation.model_table import TABLE_PATH, ModelRow, Table
from pixelcnn.evaluation.stored import StoredNumbersError, is_current, load_numbers, percent
from pixelcnn.storage import CheckpointError, list_scored_checkpoints
from pixelcnn.ui.measure.live import title_of
from pixelcnn.ui.shared.chart_view import offer_data
from pixelcnn.ui.shared.literal import literal, markdown_table
from pixelcnn.ui.shared.resources import load

FIELDS = [field.name for field in fields(ModelRow)]
COMMAND = "python -m pixelcnn evaluate --table --write"
HEAD = (
    "Checkpoint", "Learned", "Levels", "Test bits/dim", "Parameters", "Past seen", "One picture",
    "Each of 16",
)  # fmt: skip


def show() -> None:
    """Show what was measured, and what the others say about themselves."""
    st.caption(
        "Bits/dim on the test images, given their class where the model knows classes: lower is "
        "better, but only models of the same data set and number of levels can be compared. *Past "
        "seen*: share of all pairs of a prediction and an earlier pixel that the receptive field "
        "holds."
    )
    try:
        stored = load_numbers(TABLE_PATH, Table)
    except StoredNumbersError as error:
        st.error(f"The stored table cannot be used. {literal(error)}", icon=":material/error:")
        stored = None
    measured = {row.checkpoint: row for row in stored.values.rows} if stored else {}
    rows, notes = [], []
    for name in list_scored_checkpoints():
        row = measured.get(name)
        if row is not None and is_current(name, row.weights):
            rows.append(asdict(row))
        else:
            notes.append(name)
            rows.append(_of_checkpoint(name))
    if not rows:
        st.info("There is no checkpoint.", icon=":material/info:")
        return
    counts = sorted({row["test_images"] for row in rows if row["test_images"]})
    st.markdown(markdown_table(HEAD, [_cells(row, counts) for row in rows]))
    if any(row["test_images"] and row["num_orders"] > 1 for row in rows):
        st.caption("\\* The mean over the eight raster orders that the model knows.")
    if counts:
        st.caption(
            f"Measured by `{COMMAND}` on {counts[-1]:,} test images, or as many as the table "
            "says. Seconds: with the cached sampler, on the machine that measured them; one "
            "picture alone in one thread, 16 together on all its cores."
        )
    offer_data("models", {name: [row[name] for row in rows] for name in FIELDS}, "models")
    if notes:
        st.info(
            f"Not measured with its present weights: {literal(', '.join(notes))}. "
            f"For these the table has only what their files say. `{COMMAND}` measures all.",
            icon=":material/info:",
        )


def _of_checkpoint(name: str) -> dict[str, Any]:
    """Say what a checkpoint tells about itself; what it does not is None."""
    row: dict[str, Any] = dict.fromkeys(FIELDS) | {"checkpoint": name}
    try:
        model = load(name)
    except CheckpointError:
        return row
    config, (seen, past) = model.model.config, model.coverage
    return row | {
        "dataset": model.info.dataset,
        "architecture": config.architecture,
        "num_levels": config.num_levels,
        "num_orders": config.num_orders,
        "test_bits_per_dim": model.info.bits_per_dim.get("test"),
        "num_parameters": model.model.num_parameters,
        "images_seen": model.info.images_seen,
        "past_seen": seen / max(past, 1),
    }


def _cells(row: dict[str, Any], counts: list[int]) -> list[str]:
    if row["num_levels"] is None:
        return [literal(row["checkpoint"]), "damaged", *[""] * (len(HEAD) - 2)]
    bits = "not measured"
    if row["test_bits_per_dim"] is not None:
        bits = f"{row['test_bits_per_dim']:.3f}"
    if row["test_images"]:
        bits = f"**{bits}**" + ("\\*" if row["num_orders"] > 1 else "")
    if row["ensemble_bits_per_dim"] is not None:
        bits += f" (ensemble {row['ensemble_bits_per_dim']:.3f})"
    if row["test_images"] and row["test_images"] < counts[-1]:
        bits += f", {row['test_images']:,} images"
    seconds = [row["seconds_one"], row["seconds_of_16"]]
    return [
        literal(row["checkpoint"]),
        literal(title_of(row["dataset"])),
        str(row["num_levels"]),
        bits,
        f"{row['num_parameters']:,}",
        percent(row["past_seen"]),
        *["not measured" if s is None else f"{s:.2f} s" for s in seconds],
    ]
