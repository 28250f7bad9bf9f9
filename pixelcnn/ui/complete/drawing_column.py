"""The upper part of the Complete page: the drawing, and how it is to be completed."""

from dataclasses import replace
from functools import partial

import streamlit as st

from pixelcnn.data.datasets import DATASETS
from pixelcnn.ui.complete import methods, outcome, results, settings, starts
from pixelcnn.ui.complete.run import CompletionRun, Request
from pixelcnn.ui.complete.settings import (
    LINK_VERSION,
    best_for,
    choose_particles,
    rerun_if_changed,
)
from pixelcnn.ui.shared import session_sketch
from pixelcnn.ui.shared.links import bound
from pixelcnn.ui.shared.literal import literal
from pixelcnn.ui.shared.resources import LoadedModel
from pixelcnn.ui.shared.sketch import MAX_TEXT, to_text


def choose_how(model: LoadedModel, chosen: Request) -> tuple[Request, methods.Plan]:
    """Offer pictures to start from, and all that only some need; returns what is asked for."""
    config, state = model.model.config, st.session_state
    with st.expander("Start from a picture", icon=":material/photo_library:", expanded=True):
        start = st.container()
        st.markdown("**Cover a part of it**")
        starts.choose_cover(config)
    exactly = not model.model.reads_evidence or bool(state.get("exactly"))
    with st.expander("Advanced: method, particles, order", icon=":material/tune:"):
        num_particles, tolerance = choose_particles(config)
        evidence = session_sketch.current().evidence(exactly)
        plan = methods.plan(model.model, evidence, num_particles, tolerance)
        method = _choose_method(plan)
        st.caption(methods.order_text(plan.order, config.num_orders))
        _suggest_orders(model, plan, tolerance)
        st.markdown(methods.EXPLANATION)
    with start:
        starts.choose_start(config, model.info.dataset)
    request = replace(
        chosen,
        method=method,
        num_particles=num_particles,
        tolerance=tolerance if method == methods.PARTICLES else 0.0,
        exactly=exactly,
    )
    return request, plan


@st.fragment
def draw(model: LoadedModel, request: Request, plan: methods.Plan) -> None:
    """Show the canvas, and complete what is drawn there."""
    state = st.session_state
    if settings.EXAMPLE_CLASS in state and not session_sketch.current().known.any():
        settings.tell_class(None)  # the example was wiped away
    if {"change_model_to", "change_class_to"} & set(state) or state.pop("sketch_changed", False):
        st.rerun()  # the whole page has to change
    rerun_if_changed()
    if settings.follow_drawing(model, session_sketch.current()):
        st.rerun()
    _warn_of_another_kind(model)
    results.pin(session_sketch.current(), request)
    _keep_link(request)
    waits = _why_not_live(model, request, plan)
    pause_ms = 0
    if state.get("live", True) and not waits:  # the hand must rest longer for what is slow
        pause_ms = 1000 if request.method in (methods.PARTICLES, methods.WEIGHED) else 300
    session_sketch.show_canvas(
        order=plan.order,
        hints=not request.exactly,
        pause_ms=pause_ms,
        ignored=plan.ignored if request.method == methods.CLAMPING else None,
    )
    _offer_completion(model, request, plan, waits)


def _warn_of_another_kind(model: LoadedModel) -> None:
    """Say when the drawing comes from another kind of picture than the model's."""
    dataset = session_sketch.origin()
    if dataset == model.info.dataset or not {dataset, model.info.dataset} <= set(DATASETS):
        return
    other = best_for(dataset, model.model.config.image_shape)
    st.warning(
        f"This picture is from {DATASETS[dataset].title}, but the model has learned "
        f"{DATASETS[model.info.dataset].title}, and that is what it will draw.",
        icon=":material/swap_horiz:",
    )
    if other:
        st.button(f"Use {literal(other)}", on_click=_change_model, args=(other,))


def _keep_link(request: Request) -> None:
    """Keep the drawing in the address as long as the address reproduces the completions shown."""
    state, run = st.session_state, results.current()
    if state.get("begin_from_link"):
        return
    text = to_text(run.sketch) if run is not None and _is_asked(run, request) else ""
    if len(text) > MAX_TEXT:  # a large picture in colour
        text = ""
    state["sketch_link"] = text
    if text and st.query_params.get("drawing") != text:
        st.query_params["drawing"] = text
        st.query_params["v"] = LINK_VERSION
    elif not text and "drawing" in st.query_params:
        del st.query_params["drawing"]


def _is_asked(run: CompletionRun, request: Request) -> bool:
    """Say whether completions are those of the present drawing and settings."""
    return run.request == request and run.sketch.same_evidence(session_sketch.current())


def _choose_method(plan: methods.Plan) -> str:
    captions = [f"What suits your drawing best: now **{plan.automatic}**."]
    captions += [plan.promises[name].text for name in methods.METHODS[1:]]
    chosen = bound(
        st.radio,
        "**Method**",
        methods.METHODS,
        format_func=str.capitalize,
        captions=captions,
        key="method",
    )
    return plan.automatic if chosen == methods.AUTOMATIC else chosen


def _suggest_orders(model: LoadedModel, plan: methods.Plan, tolerance: float) -> None:
    """Point to a model of eight orders, where it makes exact what this model cannot."""
    if plan.promises[methods.PREFIX].possible or tolerance:
        return
    if name := settings.exact_elsewhere(model, session_sketch.current().known):
        st.button(
            f"Exact with {literal(name)}",
            icon=":material/swap_vert:",
            on_click=_change_model,
            args=(name,),
            help="That model knows eight orders. In one of them it reads all that you gave first.",
        )


def _change_model(name: str) -> None:
    st.session_state["change_model_to"] = name


def _why_not_live(model: LoadedModel, request: Request, plan: methods.Plan) -> str:
    """Say why completions cannot begin again after each stroke; "" if they can."""
    sketch = session_sketch.current()
    quick = outcome.posterior_is_quick(model.model, sketch, plan.order, request)
    if not request.inferred or quick:
        return ""
    return (
        "Not now: this model guesses the class of such a drawing by particles, which takes "
        "minutes. Choose a class, or *Any class*."
    )


def _offer_completion(
    model: LoadedModel, request: Request, plan: methods.Plan, waits: str
) -> None:
    state, sketch, run = st.session_state, session_sketch.current(), results.current()
    can_read = model.model.reads_evidence
    left, right = st.columns(2)
    live = bound(
        left.toggle,
        "Complete while I draw",
        True,
        key="live",
        disabled=bool(waits),
        help=waits or "Completions begin again a moment after each stroke.",
    )
    toggle = partial(bound, right.toggle) if can_read else right.toggle
    exactly = toggle(
        "Use my pixels exactly",
        not can_read,
        key="exactly" if can_read else "exactly-always",
        disabled=not can_read,
        help="Off: your strokes are hints, and the model may draw over them. On: every pixel that "
        "you drew stays as it is. Pixels from a picture always stay."
        + ("" if can_read else " This model has no encoder, so it cannot take hints."),
    )
    if can_read and exactly != request.exactly:
        st.rerun()  # the methods and their words depend on it
    hindrance = None
    if not sketch.known.any():
        hindrance = "Nothing to complete yet: draw something, or start from a picture."
    elif sketch.evidence(request.exactly).known.all():
        hindrance = "Every pixel is known: erase some, or cover a part of the picture."
    elif not plan.promises[request.method].possible:
        title = request.method.capitalize()
        hindrance = f"{title} is not possible with this drawing. Choose another method."
    from_link = state.get("begin_from_link", False)
    # The callback only notes the click: it may come in one message with a request of the sheet, of
    # which Streamlit then runs the fragment alone.
    st.button(
        "Complete",
        type="primary",
        icon=":material/auto_awesome:",
        disabled=hindrance is not None,
        width="stretch",
        on_click=lambda: state.update(complete_asked=True),
    )
    is_asked = run is not None and _is_asked(run, request)
    tried = (to_text(sketch), request)
    live_now = live and not waits and not is_asked and state.get("live_tried") != tried
    asked = "complete_asked" in state
    begin = hindrance is None and (from_link or live_now or asked)
    if begin:
        results.begin(model, sketch, request, quiet=live_now and not asked)
        state["live_tried"] = tried
    elif hindrance:
        st.caption(hindrance)
    elif run is not None and not is_asked:
        st.caption("The completions belong to an earlier drawing or other settings.")
    # Noted only now: any access to the session's state may end this run for another one.
    for note in ("complete_asked", "begin_from_link"):
        state.pop(note, None)
    if begin or asked:
        st.rerun()
