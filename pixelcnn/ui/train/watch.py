"""Watching one run: how far it is, its curve, its pictures, and what can be done with it."""

import reprlib
import time
from collections.abc import Callable
from pathlib import Path

import streamlit as st

from pixelcnn.commands.train import command_line
from pixelcnn.data.pictures import Picture
from pixelcnn.evaluation.stored import percent
from pixelcnn.training import launch
from pixelcnn.training.runs import MAX_NAME, MAX_NOTE, Run, RunConfig, RunError, Status, list_runs
from pixelcnn.ui.shared.charts import curves
from pixelcnn.ui.shared.literal import literal
from pixelcnn.ui.shared.public import is_public
from pixelcnn.ui.train import gallery, transfer, words

LATEST = 0
"""Where a stage is chosen: the newest checkpoint, whatever images it has seen."""


def show() -> None:
    """Draw the view."""
    runs = list_runs()
    left, right = st.columns([4, 1], vertical_alignment="bottom")
    if not is_public():
        with right:
            transfer.import_checkpoint()
    if not runs:
        start = (
            " Start one under **New run**: the first pictures come within half a minute."
            if not is_public()
            else ""
        )
        left.info(f"There is no run yet.{start}", icon=":material/info:")
        return
    with left:
        run = _choose_run(runs)
    status = run.status()
    try:
        config = run.config()
    except RunError as error:
        st.error(f"This run cannot be shown. {literal(error)}", icon=":material/error:")
        if not is_public():
            _delete(run, status)
        return
    every = 1.0 if status.is_active else None
    st.fragment(_live, run_every=every, key="live_run")(run, config, status.state)
    st.fragment(_pictures, run_every=every, key="run_pictures")(run)
    _use(run, config)
    if not is_public():
        _about(run, config, status)


def is_any_active() -> bool:
    """Say whether there is something to watch."""
    return any(run.status().is_active for run in list_runs())


def _choose_run(runs: list[Run]) -> Run:
    by_id = {run.id: run for run in runs}
    asked = st.query_params.get("run")
    if asked is not None and asked not in by_id:
        st.warning(
            f"There is no run {literal(reprlib.repr(asked))} here.", icon=":material/warning:"
        )
    names = words.unique_names(runs)
    states = {run.id: run.status().state for run in runs}
    active = [run.id for run in reversed(runs) if states[run.id] == "training"]
    # The address decides, and follows. Not bound by Streamlit, which would put the label there.
    # It can miss for a moment, while others change it: then it is the run that was shown before.
    wanted = (asked, st.session_state.get("run_shown"), *active, runs[0].id)
    chosen = next(run_id for run_id in wanted if run_id in by_id)
    st.session_state["run_shown"] = st.session_state["run_choice"] = chosen
    if asked is None:
        st.query_params["run"] = chosen
    st.selectbox(
        "Run",
        list(by_id),
        format_func=lambda run_id: f"{names[run_id]} · {states[run_id]}",
        key="run_choice",
        on_change=_follow_choice,
    )
    return by_id[chosen]


def _follow_choice() -> None:
    st.query_params["run"] = st.session_state["run_choice"]


def _live(run: Run, config: RunConfig, known_state: str) -> None:
    """Everything that changes while a run goes on."""
    status, total = run.status(), config.train.total_images
    if status.state != known_state:
        st.rerun()  # other buttons, another timer
    name = run.about().name
    st.markdown(
        f"#### {literal(name)} :{words.BADGES[status.state]}-badge[{status.state}]",
    )
    done = min(status.images_seen / total, 1.0)
    st.progress(done, f"{percent(done, 0)} · {words.progress_text(status, total)}")
    detail = [words.score_text(status), status.device, status.doing]
    if status.memory_bytes:
        detail.append(f"{words.bytes_text(status.memory_bytes)} of memory")
    if known := " · ".join(part for part in detail if part):
        st.caption(literal(known))
    # Until the next action: an automatic rerun must not wipe it away.
    of, problem = st.session_state.get("run_problem") or (None, "")
    if of == run.id:
        st.error(literal(problem), icon=":material/error:")
    _say(run, status)
    if not is_public():
        _buttons(run, status)
    _curves(run, config)


def _say(run: Run, status: Status) -> None:
    if status.state == "queued":
        st.info(
            "It waits until the runs before it end: one at a time is quickest.",
            icon=":material/hourglass_top:",
        )
    if not status.message:
        return
    st.error(literal(status.message), icon=":material/error:")
    if not is_public() and (log := words.log_tail(run)):
        with st.expander("Log of the process"):
            st.code(log, language=None, wrap_lines=True)


def _buttons(run: Run, status: Status) -> None:
    with st.container(horizontal=True):
        st.button(
            "Stop",
            icon=":material/stop:",
            disabled=not status.is_active or status.state == "stopping",
            on_click=_try,
            args=(launch.stop, run),
            key="stop",
            help="After the current update; the state is saved, and the run can go on later.",
        )
        st.button(
            "Start" if status.state == "new" else "Resume",
            icon=":material/play_arrow:",
            disabled=not status.can_start,
            on_click=_try,
            args=(launch.start, run),
            key="resume",
            help="Go on from the last save, exactly as if the run had not been interrupted.",
        )
        if status.state == "finished":
            _train_longer(run, status)
        if status.state == "stopping":
            st.button(
                "End by force",
                icon=":material/dangerous:",
                on_click=_try,
                args=(launch.end_by_force, run),
                key="force",
                help="Only if it does not stop: what it did since its last save is lost.",
            )


def _train_longer(run: Run, status: Status) -> None:
    with st.popover("Train longer", icon=":material/fast_forward:"):
        seen = status.images_seen
        key = f"longer-{run.id}-{seen}"
        st.number_input("Images to see in all", seen + 1, 10**8, 2 * seen, 1000, key=key)
        st.caption("The learning rate goes on as if the run had been meant to be so long.")
        st.button("Go on", type="primary", on_click=_go_on, args=(run, key), key="go_on")


def _go_on(run: Run, key: str) -> None:
    total = st.session_state[key]  # read here: what was typed just before the click counts
    _try(lambda run: launch.start(run, total_images=total), run)


def _try(action: Callable[[Run], None], run: Run) -> None:
    st.session_state["run_problem"] = None
    try:
        action(run)
    except (RunError, OSError) as error:
        st.session_state["run_problem"] = run.id, str(error)


def _curves(run: Run, config: RunConfig) -> None:
    records = run.metrics()
    if not curves.training(records):
        st.caption("The curve begins with the first update.")
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        axis = choose_axis("axis")
        late = st.toggle("Later part only", key="late", help="The heights that it has by now.")
        logarithmic = st.toggle("Logarithmic axis", key="log", help="Of images seen, or minutes.")
        smoothing = st.select_slider(
            "Smoothing",
            [0, 1, 2, 5, 10, 20],
            curves.SMOOTHING,
            format_func=lambda percent: f"{percent} %",
            key="smoothing",
            width=220,
            help="Of the updates so far, the share over which the training curve is averaged.",
        )
    levels = curves.references(config.model, records) + words.shipped_references(config)
    figure = curves.learning_curve(
        records, levels, axis=axis, late=late, smoothing=smoothing, logarithmic=logarithmic,
        run=run.id,
    )  # fmt: skip
    st.plotly_chart(
        figure, key="curve", config={"displaylogo": False}, alt="Bits/dim over the run"
    )
    with st.expander("Gradient norm and learning rate"):
        for number, title in (("grad_norm", "gradient norm"), ("learning_rate", "learning rate")):
            figure = curves.optimiser_curve(records, number, title, axis=axis)
            st.plotly_chart(figure, key=number, config={"displaylogo": False}, alt=title)


def choose_axis(key: str) -> curves.Axis:
    """Let the visitor choose what is to the right."""
    return st.segmented_control(
        "Axis",
        ["Images seen", "Minutes"],
        default="Images seen",
        required=True,
        key=key,
        label_visibility="collapsed",
    )


def _pictures(run: Run) -> None:
    """The same noise at every stage: one sees the same pictures get better."""
    stages = run.stages()
    st.markdown("#### The same noise, as the model learns")
    if not run.checkpoint.exists():
        st.caption("The first pictures come with the first save, some seconds after the start.")
        return
    # A new stage is a new slider; it begins where the one before stood.
    key, kept = f"stage-{run.id}-{len(stages)}", f"stage-{run.id}"
    if key not in st.session_state:
        before = st.session_state.get(kept)
        st.session_state[key] = before if before in stages else LATEST
    with st.container(horizontal=True, vertical_alignment="bottom"):
        stage = st.session_state[kept] = st.select_slider(
            "Checkpoint",
            [*stages, LATEST],
            format_func=lambda n: f"{n:,} images" if n else "newest",
            key=key,
        )
        temperature = gallery.choose_temperature("picture_temperature")
    path = stages.get(stage, run.checkpoint)
    above, below = st.container(), st.container()  # pictures stay in place when a bar comes
    try:
        with below:
            sheet = gallery.sheet_of(path, gallery.PICTURES, temperature, "sheet")
    except OSError as error:
        st.error(f"This checkpoint cannot be read. {literal(error)}", icon=":material/error:")
        return
    if sheet is not None:
        caption = f"After {sheet.images_seen:,} images, seed 0, temperature {temperature:g}"
        with above:
            gallery.show_sheet(sheet.pictures, caption, f"{run.id}-{sheet.images_seen}.png")
    if stages and st.toggle("All stages, one a row", key="strip"):
        _strip(run, stages, temperature)


def _strip(run: Run, stages: dict[int, Path], temperature: float) -> None:
    """Show the first ten pictures of every stage; the early ones are drawn first."""
    rows: dict[int, list[Picture]] = {}
    above, below = st.container(), st.container()
    for images, path in stages.items():
        with below:
            sheet = gallery.sheet_of(path, gallery.COLUMNS, temperature, "strip")
        if sheet is None:
            break
        rows[images] = sheet.pictures
    if rows:
        caption = f"From top to bottom, after {', '.join(f'{n:,}' for n in rows)} images"
        with above:
            gallery.show_sheet([p for row in rows.values() for p in row], caption, f"{run.id}.png")


def _use(run: Run, config: RunConfig) -> None:
    if not run.checkpoint.exists():
        return
    st.markdown("#### Use it")
    with st.container(horizontal=True, vertical_alignment="center"):
        which = st.segmented_control(
            "Which checkpoint",
            ["Newest", "Best"] if run.best.exists() else ["Newest"],
            default="Newest",
            required=True,
            key="use_which",
            label_visibility="collapsed",
            help="*Best*: the one with the lowest validation score.",
        )
        best = which == "Best"
        checkpoint = f"run:{run.id}" + ("@best" if best else "")
        transfer.links(checkpoint, config.model)
        transfer.download(run.best if best else run.checkpoint, run.about().name)


def _about(run: Run, config: RunConfig, status: Status) -> None:
    st.markdown("#### The run")
    about = run.about()
    if about.note:
        st.markdown(f"> {literal(about.note)}")
    with st.container(horizontal=True):
        with st.popover("Name and note", icon=":material/edit:"):
            st.text_input("Name", about.name, max_chars=MAX_NAME, key=f"name-{run.id}")
            st.text_area("Note", about.note, max_chars=MAX_NOTE, key=f"note-{run.id}")
            st.button("Save", on_click=_describe, args=(run,), key="describe")
        _delete(run, status)
        st.download_button(
            "Records",
            run.metrics_path.read_bytes() if run.metrics_path.is_file() else b"",
            file_name=f"{run.id}-metrics.jsonl",
            mime="application/jsonl",
            icon=":material/download:",
            on_click="ignore",
            help="Every recorded update and evaluation, one JSON object a line.",
        )
    made = time.strftime("%Y-%m-%d %H:%M", time.localtime(config.created_at))
    st.caption(f"Made {made}. The command that repeats it:")
    st.code(command_line(config, "NAME"), language=None, wrap_lines=True)
    with st.expander("All settings"):
        st.table({k: literal(v) for k, v in words.settings(config).items()}, border="horizontal")


def _describe(run: Run) -> None:
    # Read here, not passed: what was typed just before the click counts.
    name, note = st.session_state[f"name-{run.id}"], st.session_state[f"note-{run.id}"]
    _try(lambda run: run.describe(name=name, note=note), run)


def _delete(run: Run, status: Status) -> None:
    with st.popover("Delete", icon=":material/delete:", disabled=status.is_active):
        st.markdown("The run, its checkpoints and its curve are gone then, for good.")
        st.button(
            "Delete for good", type="primary", on_click=_delete_now, args=(run,), key="delete"
        )


def _delete_now(run: Run) -> None:
    _try(Run.delete, run)
    if st.session_state["run_problem"] is None:
        st.query_params.pop("run", None)
