"""Plotly figures of the Masks page. Knows nothing of Streamlit."""

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

BEFORE, AFTER = "#2d82ff", "#f0a000"


def before_after(
    before: NDArray[np.float64], after: NDArray[np.float64], level: int | None = None
) -> go.Figure:
    """Draw a predicted distribution before and after a change, one over the other.

    Arguments:
        before: (K,) probabilities.
        after: (K,) probabilities.
        level: the level that is there, marked below; None marks none.
    """
    levels = np.arange(len(before))
    figure = go.Figure()
    for values, name, colour, dash in (
        (before, "before", BEFORE, "solid"), (after, "after", AFTER, "dot")
    ):  # fmt: skip
        figure.add_scatter(
            x=levels, y=values, name=name, mode="lines", line_shape="hvh",
            line={"color": colour, "width": 2.5, "dash": dash},
            hovertemplate="level %{x}: %{y:.4f}",
            fill="tozeroy" if name == "before" else None,
        )  # fmt: skip
    return _dressed(figure, float(max(before.max(), after.max())), level)


def distribution(
    probabilities: NDArray[np.float64], level: int | None = None, name: str = "probability"
) -> go.Figure:
    """Draw one predicted distribution; `level` is the one that is there."""
    figure = go.Figure()
    figure.add_bar(
        x=np.arange(len(probabilities)), y=probabilities, name=name, marker_color=BEFORE,
        marker_line_width=0, hovertemplate="level %{x}: %{y:.4f}<extra></extra>",
    )  # fmt: skip
    figure.update_layout(bargap=0, showlegend=False)
    return _dressed(figure, float(probabilities.max()), level)


def _dressed(figure: go.Figure, largest: float, level: int | None) -> go.Figure:
    if level is not None:
        figure.add_vline(
            x=level, line={"color": "#a12bd6", "width": 1.5, "dash": "dash"}, layer="below",
            annotation_text=f"level {level} is there",
            annotation_position="top left" if level > len(figure.data[0].x) / 2 else "top right",
        )  # fmt: skip
    figure.update_layout(
        height=300,
        margin={"l": 10, "r": 10, "t": 40, "b": 10},
        xaxis={"title": "level (0 is black)"},
        yaxis={"title": "probability", "range": [0, 1.12 * largest], "tickformat": ".3~f"},
        legend={"orientation": "h", "y": -0.3, "x": 0},
        hovermode="x unified",
    )
    return figure
