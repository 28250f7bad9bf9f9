"""What finished completions are worth, in words and as a chart. Knows no Streamlit."""

import math
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
import torch

from pixelcnn.completion import ParticleReport, is_prefix
from pixelcnn.config import SamplingRule
from pixelcnn.orders import ORDER_NAMES
from pixelcnn.ui.complete.methods import PARTICLE_COUNTS
from pixelcnn.ui.complete.posterior import PosteriorJob
from pixelcnn.ui.complete.run import CompletionRun
from pixelcnn.ui.shared.history import rule_text


@dataclass(frozen=True)
class Report:
    """A paragraph of Markdown."""

    text: str
    is_warning: bool = False


def describe(run: CompletionRun) -> list[Report]:
    """Tell what finished completions are: exact or not, and how far to trust them."""
    known = int(run.known.sum())
    results = [part.result for part in run.parts]
    rule = "" if run.wish.rule == SamplingRule() else f" with {rule_text(run.wish.rule)}"
    method = run.wish.method
    heeds_all = method == "clamping" and not any(result.ignored.any() for result in results)
    if method == "prefix" or heeds_all or all(result.is_exact[0] for result in results):
        classes = " Each has a class drawn from the posterior; they are sorted by class."
        return [
            Report(
                f"**Exact.** {run.wish.num_images} independent draws of the model{rule}, given "
                f"the {known} known pixels; scanned by {ORDER_NAMES[run.order]}."
                + (classes if run.wish.inferred else "")
            )
        ]
    if method == "learned":
        return [_learned(run, known, rule)]
    if method == "clamping":
        return [_clamping(run, known)]
    reports = [result.particles[0] for result in results]
    return _particles(run, reports)


def _learned(run: CompletionRun, known: int, rule: str) -> Report:
    hints = int(run.hints.sum())
    given = [f"{known} known pixels"] * bool(known) + [f"{hints} pixels of hints"] * bool(hints)
    text = (
        f"**These are guesses for your drawing.** {run.wish.num_images} independent draws{rule} "
        f"of what the network learned, given {' and '.join(given)}: approximate. How closely they "
        "follow it depends on how well the encoder was trained."
    )
    if not hints and not rule and not run.wish.inferred:
        weights = torch.cat([part.result.log_weights[0] for part in run.parts])
        bits = float(weights.logsumexp(0) - math.log(len(weights))) / math.log(2)
        share = weights.softmax(0)
        text += (
            f" A rough estimate of log₂ p(known) from them: {bits:,.0f} bits. By their weights "
            f"under the model without the encoder they amount to "
            f"{float(1 / (share**2).sum()):.1f} of {len(weights)}."
        )
    return Report(text)


def _clamping(run: CompletionRun, known: int) -> Report:
    ignored = int(run.parts[0].result.ignored.sum())
    weights = torch.cat([part.result.log_weights[0] for part in run.parts]).softmax(0)
    text = (
        f"**Not draws given all that is known.** {ignored} of {known} known pixels were ignored "
        "by what was drawn before them."
    )
    if len(weights) > 1:
        text += (
            f" Weighted by how probable those pixels are after each completion, one of the "
            f"{len(weights)} would have {100 * float(weights.max()):.0f} % of all weight."
        )
    return Report(text, is_warning=True)


def _particles(run: CompletionRun, reports: list[ParticleReport]) -> list[Report]:
    clouds = sum(len(report.cloud_log_evidence) for report in reports)
    resampled = sum(len(report.resampled_at) for report in reports)
    distinct = sum(report.num_distinct for report in reports)
    beginnings = sum(report.num_beginnings for report in reports)
    effective = sum(report.effective_beginnings for report in reports)
    images = run.wish.num_images
    text = (
        f"**Approximate.** {run.num_particles} particles"
        + (f" in {clouds} clouds that do not mix" if clouds > 1 else "")
        + f"{_under_the_rule(run)}, resampled {resampled} times. {distinct} of the {images} "
        f"completions differ; they come from {beginnings} of the {run.num_particles} pictures "
        f"begun. By weight the particles amount to {effective:.1f} of these."
    )
    if len(reports) == 1:
        text += f" {_evidence(run, reports[0])}"
    found = [Report(text)]
    if any(report.collapsed for report in reports):
        found.append(
            Report(
                "**The particles collapsed:** most of the weight comes from few of the pictures "
                "begun, so the completions vary less than the model would have them, most of all "
                f"in what was drawn first.{_advice(run)}",
                is_warning=True,
            )
        )
    known = int(run.known.sum())
    bits = -sum(r.log_evidence for r in reports) / len(reports) / math.log(2) / max(1, known)
    blind = math.log2(run.config.num_levels)
    if known and not run.wish.tolerance and run.wish.rule == SamplingRule() and bits > blind:
        text = (
            f"**The drawing is far from anything the model has seen:** {bits:.1f} bits for each "
            f"known pixel, where a blind guess costs {blind:.0f}."
        )
        found.append(Report(text, is_warning=True))
    return found


def _advice(run: CompletionRun) -> str:
    """Say what may help, of what is not in use already."""
    wish, model = run.wish, run.model
    ways = []
    if model.reads_evidence and wish.method == "particles":
        ways.append("the method *learned* or *weighed*")
    if wish.num_particles < PARTICLE_COUNTS[-1]:
        ways.append("more particles")
    if wish.method == "particles" and not wish.tolerance:
        ways.append("a tolerance")
    if not model.reads_evidence:
        ways.append("a model with an encoder")
    return f" Try {', or '.join(ways)}." if ways else ""


def _under_the_rule(run: CompletionRun) -> str:
    rule = run.wish.rule
    return "" if rule == SamplingRule() else f", unknown pixels drawn with {rule_text(rule)}"


def _evidence(run: CompletionRun, report: ParticleReport) -> str:
    known = int(run.known.sum())
    if not math.isfinite(report.log_evidence):
        return "Under this rule no particle reached the known pixels: they are not to be trusted."
    bits = report.log_evidence / math.log(2)
    what = "log₂ p(known)" + ("" if run.wish.rule == SamplingRule() else " under this rule")
    text = f"Estimate of {what}: {bits:,.0f} bits, {-bits / known:.2f} for each known pixel"
    if len(report.cloud_log_evidence) > 1:
        low, high = (float(f(report.cloud_log_evidence)) / math.log(2) for f in (np.min, np.max))
        text += f" (clouds alone: {low:,.0f} to {high:,.0f})"
    return text + "."


def posterior_is_quick(run: CompletionRun) -> bool:
    """Say whether the posterior over classes needs no particles."""
    tolerance = run.wish.tolerance if run.wish.method == "particles" else 0.0
    is_exact = is_prefix(torch.from_numpy(run.known.copy()), run.order)
    return tolerance == 0 and (run.model.reads_evidence or is_exact)


def posterior_chart(job: PosteriorJob, class_names: tuple[str, ...]) -> go.Figure:
    """Draw the probability of each class as bars; of estimates, how far the clouds differ."""
    exact = job.newest.is_exact or job.newest.is_learned
    figure = _bars(job, class_names) if exact else _ranges(job, class_names)
    figure.update_layout(
        height=60 + 24 * len(class_names) + (0 if exact else 40),
        margin={"l": 0, "r": 40, "t": 4, "b": 4},
        xaxis={"fixedrange": True},
        yaxis={
            "categoryorder": "array",
            "categoryarray": list(class_names),
            "range": [len(class_names) - 0.5, -0.5],
            "fixedrange": True,
        },
        showlegend=False,
    )
    return figure


def _bars(job: PosteriorJob, class_names: tuple[str, ...]) -> go.Figure:
    percent = 100 * job.newest.probabilities.numpy()
    figure = go.Figure(
        go.Bar(
            x=percent,
            y=list(class_names),
            orientation="h",
            text=[_percent(value) for value in percent],
            textposition="outside",
            cliponaxis=False,
            hovertemplate="%{y}: %{x:.3g} %<extra></extra>",
        )
    )
    figure.update_layout(xaxis={"range": [0, 100], "ticksuffix": " %"})
    return figure


def _ranges(job: PosteriorJob, class_names: tuple[str, ...]) -> go.Figure:
    """Show the estimates on a scale of bits, and around each what single clouds found."""
    posterior = job.newest
    computed = posterior.log_evidence.isfinite()
    bits, clouds = (
        (logs[computed] - posterior.log_evidence.max()).numpy() / math.log(2)
        for logs in (posterior.log_evidence, posterior.cloud_log_evidence)
    )
    figure = go.Figure(
        go.Scatter(
            x=bits,
            y=[class_names[label] for label in computed.nonzero().flatten()],
            mode="markers",
            marker={"size": 10},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": clouds.max(1) - bits,
                "arrayminus": bits - clouds.min(1),
            },
            hovertemplate="%{y}: %{x:.0f} bits<extra></extra>",
        )
    )
    figure.update_layout(
        xaxis={"title": "log₂ p(known | class), less the best, bits", "automargin": True},
    )
    return figure


def _percent(value: float) -> str:
    """Write a percentage, so that neither nothing nor all is said of what is not."""
    if 0 < value < 1:
        return "< 1 %"
    return "> 99 %" if 99 < value < 100 else f"{value:.0f} %"


def posterior_text(job: PosteriorJob, class_names: tuple[str, ...]) -> str:
    """Say how the posterior was found, and how far to trust it."""
    posterior = job.newest
    if not job.done:
        return f"After {job.classes_done} of {job.num_classes} classes; the others are to come."
    best = class_names[int(posterior.probabilities.argmax())]
    if posterior.is_learned:
        return f"As the encoder learned it from drawings made up for training. Best guess: {best}."
    if posterior.is_exact:
        return f"Exact, every class being equally likely beforehand. Most probable: {best}."
    text = (
        f"A rough estimate by particles, every class being equally likely beforehand; the lines "
        f"reach from the worst to the best of {posterior.cloud_log_evidence.shape[1]} independent "
        f"clouds. "
    )
    if posterior.rivals:
        names = ", ".join(class_names[label] for label in posterior.rivals)
        return text + (
            f"**The ranking is not settled:** {best} leads, but within the difference between "
            f"clouds it may also be {names}."
        )
    return text + f"Most probable: {best}, by more than the clouds differ."
