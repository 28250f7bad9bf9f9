"""Charts of predicted distributions over the levels."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from pixelcnn.data.pictures import CHANNEL_NAMES
from pixelcnn.evaluation.scores import Score
from pixelcnn.ui.shared.charts.chart import Chart, laid_out
from pixelcnn.ui.shared.charts.palette import BLUE, CHANNELS, ORANGE, PINK


def before_after(before: NDArray[np.float64], after: NDArray[np.float64], level: int) -> go.Figure:
    """Draw a predicted distribution before and after a change, one over the other.

    Arguments:
        before: (K,) probabilities.
        after: (K,) probabilities.
        level: the level that is there, marked below.
    """
    levels = np.arange(len(before))
    figure = go.Figure()
    for values, name, colour, dash in (
        (before, "before", BLUE, "solid"), (after, "after", ORANGE, "dot")
    ):  # fmt: skip
        figure.add_scatter(
            x=levels, y=values, name=name, mode="lines", line_shape="hvh",
            line={"color": colour, "width": 2.5, "dash": dash},
            hovertemplate="level %{x}: %{y:.4f}",
            fill="tozeroy" if name == "before" else None,
        )  # fmt: skip
    figure.add_vline(
        x=level, line={"color": PINK, "width": 1.5, "dash": "dash"}, layer="below",
        annotation_text=f"level {level} is there",
        annotation_position="top left" if level > len(before) / 2 else "top right",
    )  # fmt: skip
    top = 1.12 * float(max(before.max(), after.max()))
    figure.update_layout(
        height=300,
        margin={"l": 10, "r": 10, "t": 40, "b": 10},
        xaxis={"title": "level (0 is black)"},
        yaxis={"title": "probability", "range": [0, top], "tickformat": ".3~f"},
        legend={"orientation": "h", "y": -0.3, "x": 0},
        hovermode="x unified",
    )
    return figure


def distribution(probabilities: NDArray[np.float64], levels: Sequence[int]) -> go.Figure:
    """Draw what is predicted at one pixel, with what is there marked.

    Arguments:
        probabilities: (K, C).
        levels: the level of each channel.
    """
    colours = (BLUE,) if len(levels) == 1 else CHANNELS
    figure = go.Figure()
    for channel, level, p, colour in zip(
        CHANNEL_NAMES[len(levels)], levels, probabilities.T, colours, strict=True
    ):
        figure.add_bar(
            x=np.arange(len(p)),
            y=p,
            name=channel or "predicted",
            marker_color=colour,
            marker_line_width=0,
            hovertemplate="level %{x}: p = %{y:.4g}<extra>" + channel + "</extra>",
        )
        # Not a bar: with a probability of nearly 0 the mark must still be seen.
        figure.add_vline(
            x=level,
            line={"color": ORANGE, "width": 2, "dash": "dot"},
            annotation={
                "text": f"{channel} {level}: p = {p[level]:.3g}".strip(),
                "xanchor": "left" if level < len(p) / 2 else "right",
                "font": {"color": ORANGE},
            },
        )
    figure.update_layout(bargap=0, barmode="overlay", showlegend=len(levels) > 1)
    figure.update_xaxes(title="level", range=[-0.5, len(probabilities) - 0.5])
    figure.update_yaxes(title="probability", rangemode="tozero")
    return laid_out(figure)


def distribution_chart(score: Score, row: int, col: int) -> Chart:
    """Show what was predicted at one pixel of a scored picture."""
    probabilities = score.log_probabilities[:, :, row, col].double().exp().numpy()  # (K, C)
    levels = score.levels[:, row, col].tolist()
    every = range(len(probabilities))
    columns: dict[str, Sequence[object]] = {"level": list(every)}
    names = CHANNEL_NAMES[len(levels)]
    for channel, level, p in zip(names, levels, probabilities.T, strict=True):
        columns[f"{channel} probability".strip()] = p.tolist()
        columns[f"{channel} is there".strip()] = [int(k == level) for k in every]
    name = f"distribution-row-{row}-column-{col}"
    return Chart(name, distribution(probabilities, levels), columns)
