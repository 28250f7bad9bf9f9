"""A chart of how probable each class is, where that is only estimated."""

import math

import plotly.graph_objects as go

from pixelcnn.completion import ClassPosterior
from pixelcnn.ui.shared.literal import in_chart


def ranges_chart(posterior: ClassPosterior, class_names: tuple[str, ...]) -> go.Figure:
    """Show estimates on a scale of bits, and around each what single groups found."""
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
        height=100 + 24 * len(class_names),
        margin={"l": 0, "r": 40, "t": 4, "b": 4},
        xaxis={
            "title": "log₂ p(known | class), less the best, bits",
            "automargin": True,
            "fixedrange": True,
        },
        yaxis={
            "categoryorder": "array",
            "categoryarray": [in_chart(name) for name in class_names],
            "range": [len(class_names) - 0.5, -0.5],
            "fixedrange": True,
        },
        showlegend=False,
    )
    return figure
