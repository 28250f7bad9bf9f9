"""One row of samples for each temperature, with what changes."""

import streamlit as st
import torch

from pixelcnn.data.pictures import png_bytes, sheet
from pixelcnn.evaluation.common_noise import SweepRow, sweep_temperatures
from pixelcnn.evaluation.stored import percent
from pixelcnn.sampling.noise import LARGEST_SEED
from pixelcnn.ui.measure.live import content_of
from pixelcnn.ui.shared.chart_view import show_chart
from pixelcnn.ui.shared.charts.measured import sweep_chart
from pixelcnn.ui.shared.controls import choose_class
from pixelcnn.ui.shared.links import bound
from pixelcnn.ui.shared.long_work import result_of
from pixelcnn.ui.shared.resources import LoadedModel

TEMPERATURES = [round(0.1 * step, 1) for step in range(21)]
"""Offered here and in the view *Same dice*."""
DEFAULT = [0.0, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2]


def show(model: LoadedModel) -> None:
    """Ask what to draw, draw it, show rows and curves."""
    st.caption(
        "Before a level is drawn, the logits are divided by the temperature T. Below 1 the likely "
        "levels become likelier; above 1 all become more alike. In a column all pictures have the "
        "same random numbers."
    )
    temperatures = sorted(
        bound(st.multiselect, "Temperatures", TEMPERATURES, DEFAULT, key="sweep")
    )
    left, middle, right = st.columns(3)
    label = choose_class(model.class_names, left, key="sweep_class", help=None)
    seed = bound(middle.number_input, "Seed", 0, LARGEST_SEED, key="sweep_seed")
    images = bound(right.slider, "Pictures in a row", 2, 16, 8, key="sweep_images")
    if not temperatures:
        st.info("Choose at least one temperature.", icon=":material/info:")
        return
    rows = result_of(
        ("sweep", content_of(model), tuple(temperatures), label, seed, images),
        lambda: sweep_temperatures(
            model.model, temperatures, num_images=images, seed=seed, label=label
        ),
        slot="sweep",
        button=f"Draw {images * len(temperatures)} pictures",
        what="Drawing",
    )
    if rows is not None:
        _rows(rows, model.model.config.num_levels)


def _rows(rows: list[SweepRow], num_levels: int) -> None:
    for row in rows:
        numbers, shown = st.columns([2, 7], vertical_alignment="center")
        numbers.markdown(
            f"**T = {row.temperature:g}**  \n{row.bits_per_dim:.2f} bits/dim  \n"
            f"entropy {row.rule_entropy_bits:.2f}  \ndiversity {percent(row.diversity)}"
        )
        content = png_bytes(sheet(row.levels, num_levels, columns=len(row.levels), scale=4))
        shown.image(content, width="stretch", alt=f"Samples at temperature {row.temperature:g}")
    show_chart(sweep_chart(rows), "sweep-chart")
    st.caption(
        "Bits/dim: what the pictures cost by the model itself, at temperature 1. Entropy: mean "
        "over all pixels, in bits, of the distribution that was drawn from. Diversity: mean "
        "difference of two pictures of the row, as a share of the range from black to white. "
        "At T = 1 the pictures come from the model itself, and the first two agree on average."
    )
    content = png_bytes(
        sheet(
            torch.cat([row.levels for row in rows]),
            num_levels,
            columns=len(rows[0].levels),
            scale=2,
        )
    )
    st.download_button(
        "All pictures, PNG",
        content,
        file_name="temperatures.png",
        mime="image/png",
        on_click="ignore",
        icon=":material/image:",
        key="sweep-png",
    )
