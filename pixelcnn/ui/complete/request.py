"""The upper part of the Complete page: the drawing, and how it is to be completed."""

import streamlit as st

from pixelcnn.ui import resources
from pixelcnn.ui.canvas import canvas
from pixelcnn.ui.complete import desk, methods, results, starts
from pixelcnn.ui.complete.run import CompletionRun, Wish
from pixelcnn.ui.complete.settings import Settings, rerun_if_changed
from pixelcnn.ui.complete.sketch import DRAWN, to_text
from pixelcnn.ui.resources import LoadedModel

TITLES = {
    methods.AUTOMATIC: "Automatic",
    methods.PREFIX: "Prefix",
    methods.CLAMPING: "Clamping",
    methods.PARTICLES: "Particles",
}


@st.fragment
def draw(model: LoadedModel, settings: Settings) -> None:
    """Show the canvas, what it can start from, and how it would be completed."""
    if "change_model_to" in st.session_state:  # the whole page has to change
        st.rerun()
    rerun_if_changed()
    config = model.model.config
    state = st.session_state
    plan = methods.plan(
        desk.current().known, config.num_orders, settings.num_particles, settings.tolerance
    )
    left, right = st.columns(2, gap="medium")
    with right:
        st.markdown("**Start from**")
        start = st.container()
        st.markdown("**Cover**")
        starts.choose_cover(config, desk.put, desk.current)
        method = _choose_method(plan)
        st.caption(methods.order_text(plan.order, config.num_orders))
        _suggest_orders(model, plan, settings)
        if (desk.current().state == DRAWN).any() and not settings.tolerance:
            st.caption(
                "A brush leaves harder edges than the data has. With a *tolerance*, at the left, "
                "what you drew is a hint instead of certain."
            )
        with st.expander("What is exact, and what is not"):
            st.markdown(methods.EXPLANATION)
    wish = _wish(model, settings, method)
    _keep_link(wish)
    with left:
        with st.container(key="canvas-frame"):
            canvas(
                desk.current(),
                key=desk.CANVAS,
                revision=state["sketch_revision"],
                fresh=state["sketch_fresh"],
                link=state["sketch_link"],
                order=plan.order,
                ignored=plan.ignored if method == methods.CLAMPING else None,
                on_change=desk.on_change,
            )
        _offer_completion(model, wish, plan)
    with start:  # last, for drawing the gallery takes a while
        starts.choose_start(config, model.info.dataset, desk.put)


def _keep_link(wish: Wish) -> None:
    """Keep the drawing in the address as long as the address reproduces the completions shown."""
    state, run = st.session_state, results.current()
    if state.get("begin_from_link"):
        return
    text = to_text(run.sketch) if run is not None and _is_asked(run, wish) else ""
    state["sketch_link"] = text
    if text and st.query_params.get("drawing") != text:
        st.query_params["drawing"] = text
    elif not text and "drawing" in st.query_params:
        del st.query_params["drawing"]


def _is_asked(run: CompletionRun, wish: Wish) -> bool:
    """Say whether completions are those of the present drawing and settings."""
    return run.wish == wish and run.sketch.same_evidence(desk.current())


def _choose_method(plan: methods.Plan) -> str:
    best = "exact" if plan.promises[plan.automatic].exact else "approximate"
    captions = [f"The best for this drawing: now **{plan.automatic}**, {best}."]
    captions += [plan.promises[name].text for name in list(TITLES)[1:]]
    chosen = st.radio(
        "**Method**",
        list(TITLES),
        format_func=TITLES.get,
        captions=captions,
        key="method",
        bind="query-params",
    )
    return plan.automatic if chosen == methods.AUTOMATIC else chosen


def _suggest_orders(model: LoadedModel, plan: methods.Plan, settings: Settings) -> None:
    """Point to a model of eight orders, where it makes exact what this model cannot."""
    if plan.promises[methods.PREFIX].possible or settings.tolerance:
        return
    if not methods.exact_from_a_side(desk.current().known):
        return
    config = model.model.config
    for name, info in resources.grey_checkpoints(config.height, config.width).items():
        if info.config.num_orders > 1 and info.dataset == model.info.dataset:
            st.button(
                f"Exact with {name}",
                icon=":material/swap_vert:",
                on_click=_change_model,
                args=(name,),
                help="That model knows eight orders, and reads all that is known here first.",
            )
            return


def _change_model(name: str) -> None:
    st.session_state["change_model_to"] = name


def _offer_completion(model: LoadedModel, wish: Wish, plan: methods.Plan) -> None:
    sketch, run, method = desk.current(), results.current(), wish.method
    hindrance = None
    if not sketch.known.any():
        hindrance = "Nothing is known yet: draw something, or choose a picture to start from."
    elif sketch.known.all():
        hindrance = "Every pixel is known: erase something, or cover a part."
    elif not plan.promises[method].possible:
        hindrance = f"{TITLES[method]} is not possible with this drawing: choose another method."
    if st.session_state.pop("begin_from_link", False) and hindrance is None:
        results.begin(model, sketch, wish)
        st.rerun()
    # The callback only notes the click: it may come in one message with a request of the sheet, of
    # which Streamlit then runs the fragment alone.
    st.button(
        "Complete",
        type="primary",
        icon=":material/auto_awesome:",
        disabled=hindrance is not None,
        width="stretch",
        on_click=lambda: st.session_state.update(complete_asked=True),
    )
    if hindrance:
        st.caption(hindrance)
    elif run is not None and not _is_asked(run, wish):
        st.caption("The completions below are of an earlier drawing or other settings.")
    if "complete_asked" in st.session_state:
        if hindrance is None:
            results.begin(model, sketch, wish)
        del st.session_state["complete_asked"]
        st.rerun()


def _wish(model: LoadedModel, settings: Settings, method: str) -> Wish:
    return Wish(
        checkpoint=model.name,
        method=method,
        num_images=settings.num_images,
        num_particles=settings.num_particles,
        tolerance=settings.tolerance,
        label=settings.label,
        inferred=settings.inferred,
        seed=settings.seed,
        rule=settings.rule,
    )
