"""Charts of how probable each class is."""

import math

import plotly.graph_objects as go

from pixelcnn.completion import ClassPosterior
from pixelcnn.evaluation.stored import percent
from pixelcnn.ui.shared.literal import in_chart


def posterior_chart(posterior: ClassPosterior, class_names: tuple[str, ...]) -> go.Figure:
    """Draw the probability of each class as bars; of estimates, how far the groups differ."""
    exact = posterior.is_exact or posterior.is_learned
    figure = _bars(posterior, class_names) if exact else _ranges(posterior, class_names)
    figure.update_layout(
        height=60 + 24 * len(class_names) + (0 if exact else 40),
        margin={"l": 0, "r": 40, "t": 4, "b": 4},
        xaxis={"fixedrange": True},
        yaxis={
            "categoryorder": "array",
            "categoryarray": [in_chart(name) for name in class_names],
            "range": [len(class_names) - 0.5, -0.5],
            "fixedrange": True,
        },
        showlegend=False,
    )
    return figure


def _bars(posterior: ClassPosterior, class_names: tuple[str, ...]) -> go.Figure:
    shares = 100 * posterior.probabilities.numpy()
    figure = go.Figure(
        go.Bar(
            x=shares,
            y=[in_chart(name) for name in class_names],
            orientation="h",
            text=[percent(value / 100, 0) for value in shares],
            textposition="outside",
            cliponaxis=False,
            hovertemplate="%{y}: %{x:.3g} %<extra></extra>",
        )
    )
    figure.update_layout(xaxis={"range": [0, 120], "tickvals": [0, 50, 100], "ticksuffix": " %"})
    return figure


def _ranges(posterior: ClassPosterior, class_names: tuple[str, ...]) -> go.Figure:
    """Show the estimates on a scale of bits, and around each what single groups found."""
    computed = posterior.log_evidence.isfinite()
    bits, groups = (
        (logs[computed] - posterior.log_evidence.max()).numpy() / math.log(2)
        for logs in (posterior.log_evidence, posterior.group_log_evidence)
    )
    figure = go.Figure(
        go.Scatter(
            x=bits,
            y=[in_chart(class_names[label]) for label in computed.nonzero().flatten()],
            mode="markers",
            marker={"size": 10},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": groups.max(1) - bits,
                "arrayminus": bits - groups.min(1),
            },
            hovertemplate="%{y}: %{x:.0f} bits<extra></extra>",
        )
    )
    figure.update_layout(
        xaxis={"title": "log₂ p(known | class), less the best, bits", "automargin": True},
    )
    return figure
