"""What a chart is: a figure, and the numbers in it as a table."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

HEIGHT = 320


@dataclass(frozen=True)
class Chart:
    """A figure, and the numbers in it."""

    name: str
    """Of the files to download, without a suffix."""
    figure: go.Figure
    """What is shown."""
    columns: dict[str, Sequence[object]]
    """Columns of one length: every number that the figure shows."""


def as_csv(columns: dict[str, Sequence[object]]) -> bytes:
    """Write columns as CSV with a header."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return buffer.getvalue().encode()


def as_json(columns: dict[str, Sequence[object]]) -> bytes:
    """Write columns as a JSON list of objects."""
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return json.dumps(rows, allow_nan=False).encode()


def laid_out(figure: go.Figure, height: int = HEIGHT) -> go.Figure:
    """Give a figure its height and narrow margins."""
    figure.update_layout(height=height, margin={"l": 10, "r": 10, "t": 24, "b": 10})
    figure.update_yaxes(automargin=True)
    figure.update_xaxes(automargin=True)
    return figure
