"""Charts of the family: how far each looks, how each learned. Knows no Streamlit."""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from pixelcnn.evaluation.family import Member
from pixelcnn.ui.shared.charts.chart import Chart, laid_out
from pixelcnn.ui.shared.charts.palette import SERIES

DECADES = 4
"""Powers of ten below the largest value that a map shows."""


def influence_chart(members: Mapping[str, Member], far: int | None) -> Chart:
    """Show how much one earlier level moves a prediction, against its distance.

    That is the number of steps, of which `far` is marked; if it is None, that in the picture.
    """
    name = "influence" if far else "influence_in_picture"
    curves = {title: getattr(member, name) for title, member in members.items()}
    figure, columns = _over_distances(curves, far, ".2~g")
    figure.update_yaxes(title="influence (total variation)", type="log", exponentformat="power")
    figure.update_xaxes(title="steps back" if far else "pixels away")
    return Chart("influence-by-distance", figure, columns)


def lost_chart(members: Mapping[str, Member], far: int) -> Chart:
    """Show what it costs to be told of the last n steps only."""
    curves = {title: member.bits_lost[1:] for title, member in members.items()}
    figure, columns = _over_distances(curves, far, ".3f")
    figure.update_yaxes(title="bits/dim lost")
    figure.update_xaxes(title="steps back that can be seen; what is beyond is hidden")
    return Chart("bits-lost-by-reach", figure, columns)


def learning_chart(curves: Mapping[str, Sequence[tuple[float, float]]], axis: str) -> Chart:
    """Show validation bits/dim against images or CPU time, (x, bits/dim) by title."""
    figure = go.Figure()
    columns: dict[str, list] = {"model": [], axis: [], "bits_per_dim": []}
    for number, (title, points) in enumerate(curves.items()):
        x, bits = (list(values) for values in zip(*points, strict=True))
        figure.add_scatter(
            x=x, y=bits, name=title, mode="lines+markers", line=_line(number),
            hovertemplate="%{x:,.4~g}: %{y:.3f}",
        )  # fmt: skip
        columns["model"] += [title] * len(x)
        columns[axis] += x
        columns["bits_per_dim"] += bits
    ends = [points[-1][1] for points in curves.values()]
    heights = [bits for bits in columns["bits_per_dim"] if bits < 1.6 * max(ends)]
    figure.update_xaxes(title=axis, rangemode="tozero")
    figure.update_yaxes(title="validation bits/dim", range=[min(heights) - 0.05, max(heights)])
    figure.update_layout(legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"})
    return Chart("learning-curves", laid_out(figure, 380), columns)


def maps_chart(maps: Mapping[str, NDArray[np.floating]], pixel: int, columns: int) -> go.Figure:
    """Draw maps (H, W), each in shares of its own largest value, on a logarithmic scale.

    What is exactly 0 stays empty; the pixel that is predicted is marked.
    """
    rows = -(-len(maps) // columns)
    titles = list(maps)
    figure = make_subplots(
        rows, columns, subplot_titles=titles, horizontal_spacing=0.03,
        vertical_spacing=min(0.12, 0.35 / rows),
    )  # fmt: skip
    for number, values in enumerate(maps.values()):
        place = {"row": number // columns + 1, "col": number % columns + 1}
        share = values / max(values.max(), 1e-30)
        with np.errstate(divide="ignore"):
            shown = np.where(share > 0, np.maximum(np.log10(share), -DECADES), np.nan)
        figure.add_heatmap(
            z=shown, zmin=-DECADES, zmax=0, colorscale="Viridis", showscale=number == 0,
            customdata=values,
            hovertemplate="row %{y}, column %{x}: %{customdata:.3g}<extra></extra>",
            colorbar={"title": "share of<br>the largest", "tickvals": [-4, -2, 0],
                      "ticktext": ["1/10,000", "1/100", "all"], "thickness": 12},
            **place,
        )  # fmt: skip
        row, col = divmod(pixel, values.shape[1])
        figure.add_scatter(
            x=[col], y=[row], mode="markers", showlegend=False, hoverinfo="skip",
            marker={"symbol": "square-open", "color": "#d9772b", "size": 8, "line": {"width": 2}},
            **place,
        )  # fmt: skip
    height, width = next(iter(maps.values())).shape
    figure.update_xaxes(visible=False, range=[-0.5, width - 0.5])
    figure.update_yaxes(visible=False, range=[height - 0.5, -0.5])
    for number in range(len(maps)):
        name = "" if number == 0 else str(number + 1)
        figure.update_layout({f"yaxis{name}": {"scaleanchor": f"x{name}", "constrain": "domain"}})
        figure.update_layout({f"xaxis{name}": {"constrain": "domain"}})
    figure.update_annotations(font_size=12)
    return laid_out(figure, 60 + 190 * rows)


def _over_distances(
    curves: Mapping[str, Sequence[float]], far: int | None, digits: str
) -> tuple[go.Figure, dict[str, Sequence[object]]]:
    distances = list(range(1, 1 + len(next(iter(curves.values())))))
    figure = go.Figure()
    for number, (title, values) in enumerate(curves.items()):
        figure.add_scatter(
            x=distances, y=list(values), name=title, mode="lines", line=_line(number),
            hovertemplate=f"%{{y:{digits}}}",
        )  # fmt: skip
    if far:
        figure.add_vline(x=far, line={"color": "#8a93a3", "dash": "dot", "width": 1})
        figure.update_xaxes(type="log")
    figure.update_layout(
        hovermode="x unified", legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"}
    )
    columns = {"distance": distances, **{title: list(values) for title, values in curves.items()}}
    return laid_out(figure, 380), columns


def _line(number: int) -> dict[str, object]:
    dash = "solid" if number < len(SERIES) else "dash"
    return {"color": SERIES[number % len(SERIES)], "width": 2, "dash": dash}
