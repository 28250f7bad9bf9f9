"""Learning curves: records of runs in, figures out."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import plotly.graph_objects as go

from pixelcnn.models import ModelConfig
from pixelcnn.ui.shared.charts.palette import GREY, SERIES
from pixelcnn.ui.shared.literal import in_chart

Records = Sequence[Mapping[str, Any]]
Axis = Literal["Images seen", "Minutes"]

MOST_POINTS = 400
"""Of one curve: more cannot be distinguished, and would travel to the browser every second."""
SMOOTHING = 2
"""Percent of the updates so far over which the training loss is averaged."""


@dataclass(frozen=True)
class Reference:
    """A level to compare bits/dim with."""

    name: str
    bits_per_dim: float


def references(config: ModelConfig, records: Records) -> list[Reference]:
    """Give what a uniform guess and PNG need for the same pictures."""
    found = [Reference("uniform guess", math.log2(config.num_levels))]
    for record in records:
        if "png_bits_per_dim" in record:
            found.append(Reference("PNG files", record["png_bits_per_dim"]))
    return found


def x_values(records: Records, axis: Axis) -> list[float]:
    """Give where the records lie on an axis."""
    if axis == "Minutes":
        return [record["seconds"] / 60 for record in records]
    return [record["images_seen"] for record in records]


def training(records: Records) -> list[Mapping[str, Any]]:
    """Choose the records of updates, thinned out to what a curve can show."""
    updates = [record for record in records if "loss" in record]
    step = -(-len(updates) // MOST_POINTS) or 1
    return updates[::step]


def scores(records: Records) -> list[Mapping[str, Any]]:
    """Choose the records of evaluations."""
    return [record for record in records if "validation" in record]


def smooth(values: Sequence[float], percent: int = SMOOTHING) -> list[float]:
    """Average every value with some before it, the more the later it comes.

    >>> smooth([4.0, 4.0, 4.0]), smooth([4.0, 2.0], percent=0)
    ([4.0, 4.0, 4.0], [4.0, 2.0])
    """
    if not percent:
        return list(values)
    result: list[float] = []
    for number, value in enumerate(values, 1):
        weight = 1 / max(1, min(number, 3 + percent / 100 * number))
        result.append(value if not result else result[-1] + weight * (value - result[-1]))
    return result


def learning_curve(
    records: Records,
    levels: Sequence[Reference],
    *,
    axis: Axis,
    late: bool = False,
    smoothing: int = SMOOTHING,
    logarithmic: bool = False,
    run: str,
) -> go.Figure:
    """Draw the losses of one run.

    Arguments:
        records: of the run.
        levels: horizontal lines.
        axis: what is to the right.
        late: show only the heights that the curve has after its first fifth.
        smoothing: percent, see `smooth`.
        logarithmic: of the axis to the right.
        run: identity of the run: while it is the same, the figure keeps a visitor's zoom.
    """
    updates, evaluations = training(records), scores(records)
    figure = _figure(axis, "bits/dim", f"{run}{axis}{late}{logarithmic}")
    losses = [record["loss"] for record in updates]
    places = x_values(updates, axis)
    figure.add_scatter(
        x=places, y=losses, mode="lines", name="every batch", line={"color": GREY, "width": 1},
        opacity=0.35, hoverinfo="skip",
    )  # fmt: skip
    figure.add_scatter(
        x=places, y=smooth(losses, smoothing), mode="lines", name="training",
        line={"color": SERIES[0], "width": 2}, hovertemplate="%{y:.3f} training",
    )  # fmt: skip
    figure.add_scatter(
        x=x_values(evaluations, axis), y=[r["validation"] for r in evaluations],
        mode="lines+markers", name="validation", line={"color": SERIES[1], "width": 2},
        hovertemplate="%{y:.3f} validation",
    )  # fmt: skip
    lowest = min((level.bits_per_dim for level in levels), default=0.0)
    for level in levels:
        # The curve comes from above and ends near the lowest line: below it there is room.
        side = "bottom right" if level.bits_per_dim == lowest else "top right"
        figure.add_hline(
            y=level.bits_per_dim, line={"color": GREY, "dash": "dot", "width": 1},
            annotation={"text": f"{in_chart(level.name)} {level.bits_per_dim:.2f}",
                        "font": {"color": GREY, "size": 11}},
            annotation_position=side,
        )  # fmt: skip
    if late and updates:
        after = updates[-1]["images_seen"] / 5
        seen = [r["loss"] for r in updates if r["images_seen"] >= after]
        seen += [r["validation"] for r in evaluations if r["images_seen"] >= after]
        seen += [r.bits_per_dim for r in levels if r.bits_per_dim < max(seen)]
        figure.update_yaxes(range=[min(seen) - 0.05, max(seen) + 0.05])
    else:
        figure.update_yaxes(rangemode="tozero")
    if logarithmic:
        figure.update_xaxes(type="log")
    return figure


def optimiser_curve(
    records: Records, name: Literal["grad_norm", "learning_rate"], title: str, *, axis: Axis
) -> go.Figure:
    """Draw one number of the updates."""
    updates = [record for record in training(records) if name in record]
    figure = _figure(axis, title, name + axis)
    figure.add_scatter(
        x=x_values(updates, axis), y=[record[name] for record in updates], mode="lines",
        line={"color": SERIES[0], "width": 1.5}, hovertemplate="%{y:.4g}", name=title,
    )  # fmt: skip
    figure.update_layout(height=220, showlegend=False)
    return figure


def comparison(runs: Mapping[str, Records], *, axis: Axis) -> go.Figure:
    """Draw several runs, each in its colour: validation with marks, training thin.

    Arguments:
        runs: records by the name of the run.
        axis: what is to the right.
    """
    figure = _figure(axis, "bits/dim", "comparison" + axis)
    for number, (title, records) in enumerate(runs.items()):
        name = in_chart(title)
        colour = SERIES[number % len(SERIES)]
        updates, evaluations = training(records), scores(records)
        figure.add_scatter(
            x=x_values(updates, axis), y=smooth([r["loss"] for r in updates]), mode="lines",
            line={"color": colour, "width": 1}, opacity=0.5, showlegend=False, legendgroup=name,
            hoverinfo="skip", name=name,
        )  # fmt: skip
        figure.add_scatter(
            x=x_values(evaluations, axis), y=[r["validation"] for r in evaluations],
            mode="lines+markers", line={"color": colour, "width": 2}, name=name,
            legendgroup=name, hovertemplate=f"%{{y:.3f}} {name}<extra></extra>",
        )  # fmt: skip
    heights = [y for trace in figure.data for y in trace.y]
    if heights:  # what comes before the first good scores would flatten the rest
        ends = [trace.y[-1] for trace in figure.data if trace.y]
        top = max(min(max(heights), 2 * min(heights)), *ends, 0)
        figure.update_yaxes(range=[min(heights) - 0.1, top + 0.1])
    return figure


def wrong_mask(
    images_seen: Sequence[int], right: Sequence[float], wrong: Sequence[float]
) -> go.Figure:
    """Draw what two trainings reach, with mask A and with mask B in the first layer."""
    figure = _figure("Images seen", "training bits/dim", "wrong-mask")
    for values, name, colour in ((right, "mask A", SERIES[0]), (wrong, "mask B", SERIES[1])):
        figure.add_scatter(
            x=images_seen, y=values, mode="lines", name=name, line={"color": colour, "width": 2},
            hovertemplate=f"%{{y:.4f}} {name}<extra></extra>",
        )  # fmt: skip
    figure.update_yaxes(rangemode="tozero")
    return figure


def _figure(axis: Axis, title: str, identity: str) -> go.Figure:
    figure = go.Figure()
    figure.update_layout(
        height=340,
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        xaxis={"title": {"text": axis.lower()}, "rangemode": "tozero"},
        yaxis={"title": {"text": title}},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"},  # grows upwards
        hovermode="x unified",
        uirevision=identity,
    )
    return figure
