"""Charts on a page, each with its data to download."""

from collections.abc import Sequence

import streamlit as st

from pixelcnn.ui.shared import downloads
from pixelcnn.ui.shared.charts.chart import Chart, as_csv, as_json
from pixelcnn.ui.shared.downloads import Format

FORMATS = (
    Format("CSV", ".csv", "text/csv", as_csv),
    Format("JSON", ".json", "application/json", as_json),
)


def show_chart(chart: Chart, key: str) -> None:
    """Show a chart, and offer the numbers in it."""
    st.plotly_chart(
        chart.figure,
        key=key,
        config={"displaylogo": False, "displayModeBar": False},
        alt=chart.name,
    )
    offer_data(chart.name, chart.columns, key)


def offer_data(
    name: str, columns: dict[str, Sequence[object]], key: str, label: str = "Data"
) -> None:
    """Offer columns of numbers as CSV and as JSON."""
    with st.popover(label, icon=":material/download:", type="tertiary"):
        downloads.offer(FORMATS, columns, name, key)
