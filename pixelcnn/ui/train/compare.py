"""Several runs side by side: settings that differ, curves, pictures under one noise."""

import streamlit as st

from pixelcnn.durations import in_words
from pixelcnn.training.runs import Run, RunConfig, RunError, list_runs
from pixelcnn.ui.shared.charts import curves
from pixelcnn.ui.shared.literal import literal, markdown_table
from pixelcnn.ui.train import gallery, words
from pixelcnn.ui.train.watch import choose_axis

AT_FIRST = 4


def show() -> None:
    """Draw the view."""
    found: dict[str, tuple[Run, RunConfig]] = {}
    for run in list_runs():
        try:
            found[run.id] = run, run.config()
        except RunError:
            continue  # the view of this run says what is wrong with it
    if len(found) < 2:
        st.info(
            "Two runs are needed to compare. Start them under **New run**.", icon=":material/info:"
        )
        return
    names = words.unique_names([run for run, _ in found.values()])
    chosen = st.multiselect(
        "Runs", list(found), list(found)[:AT_FIRST], format_func=names.__getitem__, key="compared"
    )
    if not chosen:
        st.caption("Choose the runs to compare.")
        return
    runs = {names[run_id]: found[run_id] for run_id in chosen}
    active = any(run.status().is_active for run, _ in runs.values())
    st.fragment(_live, run_every=3.0 if active else None, key="compared_runs")(runs)


def _live(runs: dict[str, tuple[Run, RunConfig]]) -> None:
    _table(runs)
    axis = choose_axis("compare_axis")
    records = {name: run.metrics() for name, (run, _) in runs.items()}
    figure = curves.comparison(records, axis=axis)
    st.plotly_chart(figure, key="comparison", config={"displaylogo": False}, alt="Runs compared")
    shapes = {(c.model.num_levels, c.train.dataset) for _, c in runs.values()}
    if len(shapes) > 1:
        st.caption(
            "These runs learn different data or numbers of levels: their bits/dim cannot be "
            "compared."
        )
    _pictures(runs)


def _table(runs: dict[str, tuple[Run, RunConfig]]) -> None:
    settings = {name: words.settings(config) for name, (_, config) in runs.items()}
    differing = words.differing(list(settings.values()))
    everything = st.toggle("Also the settings in which they agree", key="all_settings")
    statuses = {name: run.status() for name, (run, _) in runs.items()}
    facts = {
        "state": lambda s: f":{words.BADGES[s.state]}-badge[{s.state}]",
        "images seen": lambda s: f"{s.images_seen:,}",
        "trained": lambda s: in_words(s.seconds),
        "validation": lambda s: "" if s.validation is None else f"**{s.validation:.3f}**",
        "best": lambda s: "" if s.best is None else f"{s.best:.3f}",
    }
    rows = [
        {"": label} | {literal(name): text(status) for name, status in statuses.items()}
        for label, text in facts.items()
    ]
    shown = differing + [n for n in next(iter(settings.values())) if n not in differing]
    for setting in shown if everything else differing:
        row = {literal(name): literal(settings[name][setting]) for name in runs}
        if setting in differing:
            row = {name: f":orange-background[{value}]" for name, value in row.items()}
        rows.append({"": literal(setting)} | row)
    st.markdown(markdown_table(list(rows[0]), [list(row.values()) for row in rows]))
    st.caption(
        "Settings that differ are coloured. Validation and best: bits/dim."
        if differing
        else "These runs have the same settings. Validation and best: bits/dim."
    )


def _pictures(runs: dict[str, tuple[Run, RunConfig]]) -> None:
    shapes = {c.model.image_shape for _, c in runs.values()}
    noise = "The same noise" if len(shapes) == 1 else "Each shape its own noise"
    st.markdown(f"#### {noise}, each run's newest checkpoint")
    temperature = gallery.choose_temperature("compare_temperature")
    for name, (run, _) in runs.items():
        st.caption(f"**{literal(name)}**")
        above, below = st.container(), st.container()
        try:
            with below:
                slot = f"compare-{run.id}"
                sheet = gallery.sheet_of(run.checkpoint, gallery.COLUMNS, temperature, slot)
        except OSError:
            st.caption("No checkpoint yet.")
            continue
        if sheet is not None:
            caption = f"After {sheet.images_seen:,} images"
            pictures = gallery.laid_out(sheet.pictures)
            above.image(pictures, caption=caption, alt=caption, width="content")
