"""Charts of what is measured: bits, classes, the paradox, calibration, temperatures."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from pixelcnn.data.pictures import CHANNEL_NAMES
from pixelcnn.evaluation.calibration import Calibration
from pixelcnn.evaluation.common_noise import SweepRow
from pixelcnn.evaluation.paradox import MADE_UP, SCORES, Paradox, set_title
from pixelcnn.evaluation.scores import ClassScores, Score
from pixelcnn.evaluation.stored import percent
from pixelcnn.ui.shared.charts.chart import Chart, laid_out
from pixelcnn.ui.shared.charts.palette import BLUE, GREEN, GREY, SERIES
from pixelcnn.ui.shared.literal import in_chart

SCORE_TITLES = {
    "likelihood": "Likelihood",
    "complexity": "Less the compressed size",
    "ratio": "Ratio of two models",
}
"""Of the scores in `pixelcnn.evaluation.paradox.SCORES`."""


def score_columns(score: Score) -> dict[str, Sequence[object]]:
    """Tabulate every pixel of a scored image, in the order in which they were predicted."""
    _, width = score.surprise_bits.shape
    rows, cols = np.divmod(score.scan, width)
    levels = score.levels.flatten(1).numpy()
    names = [name or "level" for name in CHANNEL_NAMES[len(levels)]]
    return {
        "step": list(range(len(score.scan))),
        "row": rows.tolist(),
        "column": cols.tolist(),
        **{n: v[score.scan].tolist() for n, v in zip(names, levels, strict=True)},
        "surprise_bits": score.surprise_bits.reshape(-1)[score.scan].tolist(),
        "entropy_bits": score.entropy_bits.reshape(-1)[score.scan].tolist(),
        "cumulative_bits": score.cumulative_bits.tolist(),
        "expected_cumulative_bits": score.entropy_bits.reshape(-1)[score.scan].cumsum().tolist(),
    }


def codes_chart(total_bits: float, codes: dict[str, float]) -> Chart:
    """Compare the model's bits with those of other codes."""
    names, bits = ["model", *codes], [total_bits, *codes.values()]
    figure = go.Figure(
        go.Bar(
            x=bits,
            y=names,
            orientation="h",
            marker_color=[BLUE, *[GREY] * len(codes)],
            text=[f"{b:,.0f}" for b in bits],
            textposition="outside",
            cliponaxis=False,
            hovertemplate="%{y}: %{x:,.1f} bits<extra></extra>",
        )
    )
    figure.update_yaxes(autorange="reversed")
    figure.update_xaxes(title="bits for the whole picture", range=[0, 1.12 * max(bits)])
    return Chart("bits-by-code", laid_out(figure, 220), {"code": names, "bits": bits})


def classes_chart(scores: ClassScores, names: Sequence[str], true_label: int | None) -> Chart:
    """Show how many bits each class saves against the worst one, and the posterior."""
    extra = scores.total_bits - scores.total_bits.min()
    saved = scores.total_bits.max() - scores.total_bits
    # The posterior as a power of ten: its own value may be too small for a float.
    exponent = -extra * np.log10(2) - np.log10((2.0**-extra).sum())
    labels = [in_chart(f"{n} (true)" if i == true_label else n) for i, n in enumerate(names)]
    figure = go.Figure(
        go.Bar(
            x=saved,
            y=labels,
            orientation="h",
            marker_color=[BLUE if e == 0 else GREY for e in extra],
            text=[
                percent(p) if p >= 0.0005 else f"10<sup>{e:.0f}</sup>"
                for p, e in zip(scores.posterior, exponent, strict=True)
            ],
            textposition="outside",
            cliponaxis=False,
            customdata=np.stack([extra, scores.posterior, scores.total_bits], 1),
            hovertemplate="%{y}: %{customdata[2]:,.1f} bits, %{customdata[0]:.1f} more than the "
            "best; posterior %{customdata[1]:.3g}<extra></extra>",
        )
    )
    figure.update_xaxes(
        title="bits saved against the least probable class: longer is more probable",
        range=[0, 1.25 * max(float(saved.max()), 1.0)],
    )
    figure.update_yaxes(autorange="reversed")
    columns = {
        "class": list(names),
        "bits saved": saved.tolist(),
        "bits": scores.total_bits.tolist(),
        "log_likelihood_nats": (-scores.total_bits * np.log(2)).tolist(),
        "posterior": scores.posterior.tolist(),
    }
    return Chart("classes", laid_out(figure, 90 + 24 * len(labels)), columns)


def paradox_chart(paradox: Paradox, score: str) -> Chart:
    """Show the histogram of a score for every set, in bins that they share."""
    names = list(paradox.bits_per_dim)
    values = {name: np.array(paradox.score(score, name)) for name in names}
    both = np.concatenate(list(values.values()))
    edges = np.linspace(both.min(), both.max() + 1e-9, 61)
    middle = (edges[1:] + edges[:-1]) / 2
    figure = go.Figure()
    columns: dict[str, Sequence[object]] = {"from": edges[:-1].tolist(), "to": edges[1:].tolist()}
    for name, colour in zip(names, SERIES, strict=False):
        share = np.histogram(values[name], edges)[0] / len(values[name])
        title = set_title(name, paradox.dataset)
        own = name == paradox.dataset
        figure.add_scatter(
            x=middle,
            y=share,
            name=title + (" (what it learned)" if own else ""),
            mode="lines",
            line={"color": colour, "shape": "hvh", "width": 2.5 if own else 1.5},
            fill="tozeroy" if own else None,
            hovertemplate="%{x:.2f}: %{y:.1%}<extra>" + title + "</extra>",
        )
        columns[title] = share.tolist()
    figure.update_xaxes(title=f"{SCORES[score]}: further right is less usual")
    figure.update_yaxes(title="share of the pictures", tickformat=".0%", rangemode="tozero")
    figure.update_layout(legend={"orientation": "h", "y": -0.25})
    return Chart(f"{score}-histogram", laid_out(figure, 400), columns)


def auroc_chart(paradox: Paradox) -> Chart:
    """Show how well each score tells each other set from the model's own."""
    others = paradox.others
    # Short names: there is no room for more on a phone.
    titles = [MADE_UP.get(name, set_title(name, paradox.dataset)) for name in others]
    figure = go.Figure()
    columns: dict[str, Sequence[object]] = {"set": titles}
    for score, colour in zip(paradox.scores, SERIES, strict=False):
        values = [paradox.auroc(score, name) for name in others]
        figure.add_bar(
            x=titles,
            y=values,
            name=SCORE_TITLES[score],
            marker_color=colour,
            text=[f"{v:.2f}" for v in values],
            hovertemplate="%{x}: AUROC %{y:.3f}<extra>" + SCORE_TITLES[score] + "</extra>",
        )
        columns[f"{score} AUROC"] = values
    figure.add_hline(y=0.5, line={"color": GREY, "dash": "dash"})
    figure.update_yaxes(title="AUROC", range=[0, 1.08])
    figure.update_xaxes(tickangle=0)
    figure.update_layout(
        barmode="group", legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"}
    )
    return Chart("auroc", laid_out(figure, 340), columns)


def reliability_chart(calibration: Calibration, logarithmic: bool) -> Chart:
    """Show how often what was predicted with a probability happened."""
    rows = calibration.reliability()
    predicted, happened, events = (list(column) for column in zip(*rows, strict=True))
    shown = [i for i, h in enumerate(happened) if h > 0 or not logarithmic]
    figure = go.Figure()
    low = min(predicted[i] for i in shown) if logarithmic else 0
    figure.add_scatter(
        x=[low, 1],
        y=[low, 1],
        mode="lines",
        line={"color": GREY, "dash": "dash"},
        name="perfect",
        hoverinfo="skip",
    )
    figure.add_scatter(
        x=[predicted[i] for i in shown],
        y=[happened[i] for i in shown],
        customdata=[events[i] for i in shown],
        mode="lines+markers",
        line={"color": BLUE},
        name="measured",
        hovertemplate="predicted %{x:.4g}, happened %{y:.4g} (%{customdata:,} predictions)"
        "<extra></extra>",
    )
    axis = "log" if logarithmic else "linear"
    figure.update_xaxes(title="predicted probability", type=axis, exponentformat="power")
    figure.update_yaxes(title="how often it happened", type=axis, exponentformat="power")
    figure.update_layout(showlegend=False)
    columns = {"predicted": predicted, "happened": happened, "predictions": events}
    return Chart("reliability", laid_out(figure, 380), columns)


def sweep_chart(rows: Sequence[SweepRow]) -> Chart:
    """Show what temperature does to bits, entropy and diversity."""
    temperatures = [row.temperature for row in rows]
    series = {
        "bits/dim of the pictures, by the model": [row.bits_per_dim for row in rows],
        "entropy of what was drawn from, bits/dim": [row.rule_entropy_bits for row in rows],
    }
    percent = [100 * row.diversity for row in rows]
    figure = go.Figure()
    for (name, values), colour in zip(series.items(), SERIES, strict=False):
        figure.add_scatter(
            x=temperatures,
            y=values,
            name=name,
            mode="lines+markers",
            line={"color": colour},
            hovertemplate="T = %{x:g}: %{y:.3f}<extra></extra>",
        )
    figure.add_scatter(
        x=temperatures,
        y=percent,
        name="diversity, % of the grey range (right axis)",
        mode="lines+markers",
        line={"color": GREEN, "dash": "dot"},
        yaxis="y2",
        hovertemplate="T = %{x:g}: %{y:.1f} %<extra></extra>",
    )
    figure.update_xaxes(title="temperature")
    figure.update_yaxes(title="bits/dim", rangemode="tozero")
    figure.update_layout(
        yaxis2={
            "overlaying": "y",
            "side": "right",
            "rangemode": "tozero",
            "showgrid": False,
            "tickmode": "auto",
        },
        legend={"orientation": "h", "y": -0.25},
    )
    columns = {
        "temperature": temperatures,
        "bits_per_dim": series["bits/dim of the pictures, by the model"],
        "rule_entropy_bits_per_dim": series["entropy of what was drawn from, bits/dim"],
        "diversity": [row.diversity for row in rows],
    }
    return Chart("temperatures", laid_out(figure, 380), columns)
