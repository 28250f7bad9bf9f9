"""Calibration: whether what the model predicts happens as often as it says."""

from collections.abc import Generator

import streamlit as st

from pixelcnn.data.datasets import data_dir, quantize
from pixelcnn.evaluation.calibration import GROUPS, UNSURE_BITS, Calibration, measure_calibration
from pixelcnn.evaluation.stored import percent
from pixelcnn.ui.measure.live import (
    ask_images,
    choose_numbers,
    content_of,
    learned_whole_set,
    stored_numbers,
)
from pixelcnn.ui.shared.chart_view import offer_data, show_chart
from pixelcnn.ui.shared.charts.measured import reliability_chart
from pixelcnn.ui.shared.links import bound
from pixelcnn.ui.shared.long_work import result_of
from pixelcnn.ui.shared.real_images import test_set
from pixelcnn.ui.shared.resources import LoadedModel


def show(model: LoadedModel) -> None:
    """Show stored counts, or count here."""
    if not learned_whole_set(model):
        return
    st.caption(
        "A forecast of 30 % rain is calibrated if it rains on 30 % of such days. The same can be "
        "asked of every level that the model predicts, on test images that it never saw."
    )
    live = choose_numbers("calibration")
    calibration = _measured_here(model) if live else _stored(model)
    if calibration is None:
        return
    _intervals(calibration)
    st.markdown("#### Reliability curve")
    logarithmic = bound(
        st.toggle,
        "Logarithmic axes",
        key="logarithmic",
        help="Shows the small probabilities, which most levels have.",
    )
    show_chart(reliability_chart(calibration, logarithmic), f"reliability-{logarithmic}")
    st.caption(
        "All pairs of a pixel and a level, sorted into bins by the predicted probability: on the "
        "dashed line, it happens exactly as often as predicted, above it more often, below "
        "it less often. Points with few predictions scatter by chance."
    )


def _intervals(calibration: Calibration) -> None:
    rows, columns = [], {"predictions": [], "interval": [], "promised": [], "observed": []}
    titles = {"all": "all pixels", "unsure": f"entropy of at least {UNSURE_BITS:g} bit"}
    for group in GROUPS:
        for nominal, promised, observed in calibration.coverage(group):
            if calibration.dims[group] == 0:
                continue
            rows.append(
                f"| {percent(nominal, 0)} | {titles[group]}, {calibration.dims[group]:,} | "
                f"{percent(promised)} | **{percent(observed)}** |"
            )
            for name, value in zip(
                columns, (titles[group], nominal, promised, observed), strict=True
            ):
                columns[name].append(value)
    st.markdown("#### How often did the level fall inside the interval?")
    st.markdown(
        "| Interval | Predictions | Promised | Observed |\n|---|---|---|---|\n" + "\n".join(rows)
    )
    st.caption(
        "The central interval of 50 % leaves at most a quarter of the probability below it and a "
        "quarter above. Levels are whole numbers, so an interval holds 50 % or more; *promised* "
        "is what it holds on average. If the model is calibrated, *observed* equals *promised* up "
        "to chance; the reverse does not follow, since errors can cancel."
    )
    offer_data("intervals", columns, "intervals")


def _stored(model: LoadedModel) -> Calibration | None:
    how = "given their class" if model.model.config.num_classes else "without a class"
    return stored_numbers(
        "calibration", model, Calibration, lambda found: f"{found.num_images} test images, {how}"
    )


def _measured_here(model: LoadedModel) -> Calibration | None:
    images = ask_images("calibration")
    data = test_set(model.info.dataset, "download-calibration")
    if data is None:
        return None

    def work() -> Generator[float, None, Calibration]:
        config = model.model.config
        levels = quantize(data[0][:images], config.num_levels)
        label = data[1][:images] if config.num_classes else None
        return measure_calibration(model.model, levels, label)

    return result_of(
        ("calibration", content_of(model), str(data_dir()), images),
        work,
        slot="calibration",
        button=f"Count over {images:,} images",
        what="Counting",
    )
