"""What finished completions are worth, in words. Knows no Streamlit."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pixelcnn.completion import CANDIDATES, ClassPosterior, ParticleReport, best_method
from pixelcnn.config import SamplingRule
from pixelcnn.evaluation.stored import percent
from pixelcnn.models import Model
from pixelcnn.orders import ORDER_NAMES
from pixelcnn.ui.complete.methods import PARTICLE_COUNTS
from pixelcnn.ui.complete.run import CompletionRun, Request, classes_done
from pixelcnn.ui.shared.history import rule_text
from pixelcnn.ui.shared.literal import literal
from pixelcnn.ui.shared.sketch import Sketch


@dataclass(frozen=True)
class Report:
    """A paragraph of Markdown."""

    text: str
    is_warning: bool = False


def describe(run: CompletionRun) -> list[Report]:
    """Tell what finished completions are: exact or not, and how far to trust them."""
    known = int(run.known.sum())
    results = [part.result for part in run.parts]
    rule = "" if run.request.rule == SamplingRule() else f" with {rule_text(run.request.rule)}"
    method = run.request.method
    heeds_all = method == "clamping" and not any(result.ignored.any() for result in results)
    if method == "prefix" or heeds_all or all(result.is_exact[0] for result in results):
        classes = " Each has a class drawn from the posterior; they are sorted by class."
        return [
            Report(
                f"**Exact.** {run.request.num_images} independent draws of the model{rule}, given "
                f"the {known} known pixels; the order is {ORDER_NAMES[run.order]}."
                + (classes if run.request.inferred else "")
                + _pins(run)
            )
        ]
    if method == "learned":
        return [_learned(run, known, rule)]
    if method == "clamping":
        return [_clamping(run, known)]
    return _particles(run, rule, [result.particles[0] for result in results])


def _learned(run: CompletionRun, known: int, rule: str) -> Report:
    hints = int(run.hints.sum())
    given = [f"{known} known pixels"] * bool(known) + [f"{hints} pixels of hints"] * bool(hints)
    text = (
        f"**These are guesses that fit your drawing.**{_sure(run)} Method: *learned*, "
        f"approximate: {run.request.num_images} independent draws{rule} of what the network "
        f"believes, given {' and '.join(given)}."
    )
    if hints and run.model.judges_hints:
        text += f" Each is one of {CANDIDATES} candidates, chosen row by row by how well they fit."
    text += _pins(run)
    if (bits := estimate(run)) is not None:
        share = _shares(run)
        text += (
            f" Their rough estimate of log₂ p(known): {bits:,.0f} bits; weighed by the model "
            f"without the encoder they count as {1 / (share**2).sum():.1f} of {len(share)}."
            f"{_other_estimate(run)}"
        )
    return Report(text)


def _shares(run: CompletionRun) -> NDArray[np.float64]:
    """Give the share that each completion has of all weight, (n,)."""
    weights = run.results("log_weights")
    return np.exp(weights - np.logaddexp.reduce(weights))


def _sure(run: CompletionRun) -> str:
    """Say how sure the model is of the class, once that is known."""
    if run.posterior is None or run.posterior.done < 1:
        return ""
    shares = run.posterior.latest.probabilities
    best = [(literal(run.class_names[i]), percent(float(shares[i]), 0)) for i in shares.argsort()]
    (name, share), (next_name, next_share) = best[:-3:-1]
    other = " Not what you meant? Choose under *What is it?*" if run.request.inferred else ""
    return f" Most probable: {name} ({share}), then {next_name} ({next_share}).{other}"


def _pins(run: CompletionRun) -> str:
    pinned = [f"{i + 1} ({literal(run.class_names[label])})" for i, label in run.request.pins]
    return f" You pinned the class of {', '.join(pinned)}." if pinned else ""


def estimate(run: CompletionRun) -> float | None:
    """Estimate log2 p(known) from finished learned or weighed completions; None if they cannot.

    They can where strokes and sampling rules play no part, and all have the same class.
    """
    plain = run.request.rule == SamplingRule() and not run.hints.any()
    if not plain or len(set(run.labels)) > 1 or run.request.inferred:
        return None
    if run.request.method == "learned":
        weights = run.results("log_weights")
        nats = np.logaddexp.reduce(weights) - math.log(len(weights))
    elif run.request.method == "weighed":
        nats = run.parts[0].result.particles[0].log_evidence
    else:
        return None
    return float(nats) / math.log(2)


def _other_estimate(run: CompletionRun) -> str:
    if run.other_estimate is None:
        return ""
    method, bits = run.other_estimate
    return f" The method *{method}* estimated {bits:,.0f} bits."


def _clamping(run: CompletionRun, known: int) -> Report:
    ignored = int(run.parts[0].result.ignored.sum())
    weights = _shares(run)
    text = (
        f"**These do not use all that you gave.** {ignored} of {known} known pixels were ignored "
        "by what was drawn before them."
    )
    if len(weights) > 1:
        text += (
            f" Weigh the {len(weights)} completions by how probable they make those pixels, and "
            f"one of them has {100 * float(weights.max()):.0f} % of all weight."
        )
    return Report(text, is_warning=True)


def _particles(run: CompletionRun, rule: str, reports: list[ParticleReport]) -> list[Report]:
    groups = sum(len(report.group_log_evidence) for report in reports)
    resampled = sum(len(report.resampled_at) for report in reports)
    distinct = sum(report.num_distinct for report in reports)
    beginnings = sum(report.num_beginnings for report in reports)
    effective = sum(report.effective_beginnings for report in reports)
    images = run.request.num_images
    text = (
        f"**Approximate.** Method: *{run.request.method}*. {run.num_particles} particles"
        + (f" in {groups} groups that never exchange pictures" if groups > 1 else "")
        + (f", unknown pixels drawn{rule}" if rule else "")
        + f", resampled {resampled} times. {distinct} of the {images} "
        f"completions differ; they come from {beginnings} of the {run.num_particles} pictures "
        f"begun. By weight the particles count as {effective:.1f} of these.{_pins(run)}"
    )
    if len(reports) == 1:
        text += f" {_evidence(run, rule, reports[0])}{_other_estimate(run)}"
    found = [Report(text)]
    if any(report.collapsed for report in reports):
        found.append(
            Report(
                "**The particles collapsed:** most of the weight comes from a few of the pictures "
                "begun. The completions vary too little, most of all in what was drawn first."
                f"{_advice(run)}",
                is_warning=True,
            )
        )
    known = int(run.known.sum())
    bits = -sum(r.log_evidence for r in reports) / len(reports) / math.log(2) / max(1, known)
    blind = run.config.num_channels * math.log2(run.config.num_levels)
    if known and not run.request.tolerance and not rule and bits > blind:
        text = (
            f"**The drawing is far from anything the model has seen:** {bits:.1f} bits for each "
            f"known pixel, where a blind guess costs {blind:.0f}."
        )
        found.append(Report(text, is_warning=True))
    return found


def _advice(run: CompletionRun) -> str:
    """Say what may help, of what is not in use already."""
    request, model = run.request, run.model
    ways = []
    if model.reads_evidence and request.method == "particles":
        ways.append("the method *learned* or *weighed*")
    if request.num_particles < PARTICLE_COUNTS[-1]:
        ways.append("more particles")
    if request.method == "particles" and not request.tolerance:
        ways.append("a tolerance")
    if not model.reads_evidence:
        ways.append("a model with an encoder")
    return f" Try {', or '.join(ways)}." if ways else ""


def _evidence(run: CompletionRun, rule: str, report: ParticleReport) -> str:
    known = int(run.known.sum())
    if not math.isfinite(report.log_evidence):
        return (
            "Under this rule no particle reached the known pixels: do not trust the completions."
        )
    bits = report.log_evidence / math.log(2)
    what = "log₂ p(known)" + (" under this rule" if rule else "")
    text = f"Estimate of {what}: {bits:,.0f} bits, {-bits / known:.2f} for each known pixel"
    if len(report.group_log_evidence) > 1:
        low, high = (float(f(report.group_log_evidence)) / math.log(2) for f in (np.min, np.max))
        text += f" (groups alone: {low:,.0f} to {high:,.0f})"
    return text + "."


def posterior_is_quick(model: Model, sketch: Sketch, order: int, request: Request) -> bool:
    """Say whether the posterior over classes needs no particles."""
    _, known, hints = sketch.evidence(request.exactly)
    return best_method(model, known[0], hints, order, request.tolerance) != "particles"


def posterior_text(posterior: ClassPosterior, class_names: tuple[str, ...]) -> str:
    """Say how the posterior was found, and how far to trust it."""
    if posterior.progress < 1:
        done = f"{classes_done(posterior)} of {len(class_names)}"
        return f"After {done} classes; the others are to come."
    best = literal(class_names[int(posterior.probabilities.argmax())])
    if posterior.is_learned:
        return f"The encoder's guess, learned from made-up drawings. Most probable: {best}."
    if posterior.is_exact:
        return f"Exact, every class being equally likely beforehand. Most probable: {best}."
    text = (
        "A rough estimate by particles, every class being equally likely beforehand. The lines go "
        f"from the lowest to the highest of {posterior.group_log_evidence.shape[1]} independent "
        "groups. "
    )
    if posterior.rivals:
        names = ", ".join(literal(class_names[label]) for label in posterior.rivals)
        return text + (
            f"**The ranking is not settled:** {best} leads, but the groups differ so much that it "
            f"may also be {names}."
        )
    return text + f"Most probable: {best}, by more than the groups differ."
