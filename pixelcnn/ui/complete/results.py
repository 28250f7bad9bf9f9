"""The lower part of the Complete page: the completions, and what they mean."""

from dataclasses import replace

import streamlit as st
from torch import Tensor

from pixelcnn.completion import iter_class_posterior
from pixelcnn.evaluation.stored import percent
from pixelcnn.models import Model
from pixelcnn.ui.browser.bundle import component
from pixelcnn.ui.complete import exports, outcome
from pixelcnn.ui.complete.run import CompletionRun, Request, classes_done
from pixelcnn.ui.complete.settings import rerun_if_changed
from pixelcnn.ui.shared import controls, downloads, long_work, made, session_sketch
from pixelcnn.ui.shared.charts.classes import ranges_chart
from pixelcnn.ui.shared.history import Subject
from pixelcnn.ui.shared.jobs import Job
from pixelcnn.ui.shared.literal import literal
from pixelcnn.ui.shared.long_work import visitor
from pixelcnn.ui.shared.resources import LoadedModel
from pixelcnn.ui.shared.sketch import Sketch

SHEET = "completions"
_component = component("complete/completions", "playback", "sheet")
SHOWN = 0.01
"""Probability of a class below which it is not listed."""
PARTICLES = 16
"""Particles for each class, where the posterior is only estimated."""


def current() -> CompletionRun | None:
    """Give the completions of the session."""
    return st.session_state.get("completion")


def begin(model: LoadedModel, sketch: Sketch, request: Request, quiet: bool = False) -> None:
    """Begin to complete a drawing; what was being completed is dropped.

    With `quiet` the page stays where it is, for somebody who is drawing.
    """
    state = st.session_state
    long_work.cancel("posterior")
    before = current()
    try:
        job = _infer(model.model, sketch, request) if request.inferred else None
        run = CompletionRun(model.model, sketch, request, model.class_names, job, quiet)
        run.other_estimate = _estimate_by_another(before, run)
        run.draw(0.1)
    except ValueError as error:
        run = None
        state["completion_problem"] = str(error)
    state["completion"] = run
    state["completion_dataset"] = model.info.dataset or ""


def _estimate_by_another(before: CompletionRun | None, run: CompletionRun) -> tuple | None:
    """Keep what the completions before said of the same drawing, if only the method is another."""
    if before is None or not before.done or not before.sketch.same_evidence(run.sketch):
        return None
    if before.request == run.request:
        return before.other_estimate
    same = replace(before.request, method=run.request.method) == run.request
    bits = outcome.estimate(before) if same else None
    return None if bits is None else (before.request.method, bits)


def pin(sketch: Sketch, request: Request) -> None:
    """Have the completions shown follow a request that differs in what is pinned alone."""
    run = current()
    if run is None or run.request.pins == request.pins or not run.sketch.same_evidence(sketch):
        return
    if replace(run.request, pins=request.pins) == request:
        run.pin(request.pins)


def show() -> None:
    """Show the completions, once there are any."""
    if problem := st.session_state.pop("completion_problem", None):
        st.error(f"This cannot be completed. {literal(problem)}", icon=":material/error:")
    if st.session_state.pop("completion_stopped", False):
        st.info(
            "Stopped before the model knew which class to draw. *Complete* begins again.",
            icon=":material/cancel:",
        )
    run = current()
    made.leave(made.COMPLETE, run and exports.made(run))
    if run is None:
        return
    if st.session_state.pop("taken", False):
        st.toast("Taken to the canvas. Undo brings the drawing before it back.")
    _sheet()
    wanted = run.class_names and run.done and run.posterior is None
    if wanted and outcome.posterior_is_quick(run.model, run.sketch, run.order, run.request):
        _begin_posterior(run)
    _notes(run)
    if run.class_names:
        _posterior(run)
    _export(run)


@st.fragment
def _sheet() -> None:
    """Mount the sheet; its requests rerun only this fragment."""
    if st.session_state.pop("go_to_generate", False):
        # Without `query_params` Streamlit refuses to leave a page whose address holds a setting.
        st.switch_page("app.py", query_params={})
    notes, run = {"complete_asked", "sketch_changed"} & set(st.session_state), current()
    if st.session_state.pop("rerun_completions", False) or notes or run is None:
        st.rerun()
    rerun_if_changed()
    with run.lock:
        message = run.message()
    with st.container(key="completions-frame"):
        _component(
            key=SHEET,
            data=message,
            on_pull_change=_on_pull,
            on_take_change=_on_take,
            on_open_change=_on_open,
            on_pin_change=_on_pin,
        )


def _notes(run: CompletionRun) -> None:
    """Say what the completions are worth; the sheet has the page run again when they are done."""
    if not run.done:
        return
    for report in outcome.describe(run):
        if report.is_warning:
            st.warning(report.text, icon=":material/warning:")
        else:
            st.markdown(report.text)


def _infer(model: Model, sketch: Sketch, request: Request) -> Job:
    steps = iter_class_posterior(
        model,
        *sketch.evidence(request.exactly),
        num_particles=PARTICLES,
        tolerance=request.tolerance,
        seed=request.seed,
    )
    return long_work.begin("posterior", object(), lambda: steps)


def _posterior(run: CompletionRun) -> None:
    """Show how probable each class is; cheap if exact, else only when it is asked for."""
    job = run.posterior
    st.markdown("**What is it?**")
    if job is None:
        st.caption("How probable is each class, given your drawing?")
    elif job.asked_by(visitor()):
        _posterior_pending(run)
        return
    else:
        _show_posterior(run)
    if run.done and (job is None or job.done < 1):
        st.button(
            "Estimate the class" if job is None else "Estimate again",
            icon=":material/bar_chart:",
            on_click=_begin_posterior,
            args=(run,),
            help="By particles, one class after the other. It takes as long as completing with "
            f"{PARTICLES * run.config.num_classes} particles. A bar says how long, and you can "
            "stop it.",
        )


def _begin_posterior(run: CompletionRun) -> None:
    run.posterior = _infer(run.model, run.sketch, run.request)
    run.posterior.wait(0.3)  # what is quick needs no bar


@st.fragment(run_every=0.5)
def _posterior_pending(run: CompletionRun) -> None:
    job = run.posterior
    if not job.asked_by(visitor()):
        st.rerun()
    count = run.config.num_classes
    st.progress(job.done, f"{classes_done(job.latest)} of {count} classes{job.time_left}")
    _show_posterior(run)
    st.button(
        "Stop",
        on_click=_stop,
        args=(run,),
        help="The classes computed so far stay."
        if run.parts
        else "This gives up the completions too: they need the classes.",
    )


def _stop(run: CompletionRun) -> None:
    long_work.cancel("posterior")
    if run is current() and not run.parts:
        del st.session_state["completion"]
        st.session_state["completion_stopped"] = True


def _show_posterior(run: CompletionRun) -> None:
    job, names = run.posterior, run.class_names
    if job.error:
        st.error(f"The classes cannot be compared. {literal(job.error)}", icon=":material/error:")
    elif classes_done(job.latest):
        if job.latest.is_exact or job.latest.is_learned:
            _bars(job.latest.probabilities, names)
        else:
            figure = ranges_chart(job.latest, names)
            st.plotly_chart(figure, key="posterior-chart", config={"displayModeBar": False})
        st.caption(outcome.posterior_text(job.latest, names))


def _bars(probabilities: Tensor, names: tuple[str, ...]) -> None:
    """Show how probable the classes are, the most probable first.

    Not as a chart: its code takes the browser a second or two, in which nothing is drawn.
    """
    with st.container(gap=None):
        for label in probabilities.argsort(descending=True).tolist():
            share = float(probabilities[label])
            if share >= SHOWN:
                st.progress(share, f"{literal(names[label])}: {percent(share, 0)}")


def _export(run: CompletionRun) -> None:
    """Offer the completions as files; outside of `_sheet`, which runs again at every pull."""
    name = f"{run.request.checkpoint}-{run.request.method}-seed{run.request.seed}"
    with st.popover("Download", icon=":material/download:"):
        st.caption("What is not drawn yet is drawn first.")
        formats = downloads.picture_formats(exports, large=8, data="Data")
        downloads.offer(formats, run, name, "completions")


def _on_pull() -> None:
    """Draw more pixels: the browser has the message `{run, serial}` and wants the next."""
    state, run = st.session_state, current()
    if SHEET not in state or run is None:
        return  # it came in one message with a change of page, or after the completions ended
    request = state[SHEET]["pull"]
    was_done = run.done
    try:
        run.answer_pull(str(request["run"]), int(request["serial"]))
    except ValueError as error:
        state["completion_problem"] = str(error)
        del state["completion"]
        state["rerun_completions"] = True
    if run.done and not was_done:
        state["rerun_completions"] = True


def _chosen(event: str) -> tuple[CompletionRun, int, int] | None:
    """Read which completion, and which pixel of it, was chosen; None if it is of an older run."""
    run = current()
    if SHEET not in st.session_state or run is None:
        return None
    request = st.session_state[SHEET][event]
    image, pixel = int(request["image"]), int(request["pixel"])
    valid = 0 <= image < run.request.num_images and 0 <= pixel < run.sketch.known.size
    return (run, image, pixel) if valid and request["run"] == run.run and run.done else None


def _on_take() -> None:
    """Put a completion onto the canvas: `{run, image, pixel}`."""
    if chosen := _chosen("take"):
        run, image, _ = chosen
        picture = run.sketch.filled(run.levels()[image], run.request.exactly)
        session_sketch.put(picture, st.session_state["completion_dataset"])
        st.session_state["taken"] = st.session_state["rerun_completions"] = True


def _on_pin() -> None:
    """Give a completion a class of its own, or None: `{run, image, pixel, label}`."""
    if chosen := _chosen("pin"):
        label = st.session_state[SHEET]["pin"]["label"]
        st.session_state["change_pin_to"] = chosen[1], None if label is None else int(label)
        st.session_state["rerun_completions"] = True


def _on_open() -> None:
    """Open a completion on the Generate page at a pixel: `{run, image, pixel}`."""
    if chosen := _chosen("open"):
        run, image, pixel = chosen
        controls.show_finished(
            Subject(run.request.checkpoint, run.request.seed, image),
            run.class_name(image),
            run.history(image),
            pixel * run.config.num_channels,
            run.config.num_levels,
        )
        st.session_state["go_to_generate"] = True
