"""Pictures of one seed, drawn with several settings and played side by side."""

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass

import streamlit as st

from pixelcnn.config import SamplingRule
from pixelcnn.evaluation.common_noise import Drawn, draw_with_record
from pixelcnn.progress import part_of
from pixelcnn.sampling import make_noise
from pixelcnn.ui.browser.messages import Panel, encode_panels, panel_columns
from pixelcnn.ui.shared.chart_view import offer_data
from pixelcnn.ui.shared.jobs import JOBS
from pixelcnn.ui.shared.literal import literal
from pixelcnn.ui.shared.long_work import result_of
from pixelcnn.ui.shared.resources import LoadedModel
from pixelcnn.ui.shared.side_by_side import together


@dataclass(frozen=True)
class Setting:
    """What one of the pictures is drawn with."""

    model: LoadedModel
    label: int | None
    temperature: float
    caption: str
    """What is special about it."""

    @property
    def key(self) -> tuple[object, ...]:
        """Everything that the picture depends on, but for the noise."""
        return self.model, self.label, self.temperature


def show_together(settings: Sequence[Setting], seed: int) -> None:
    """Draw the pictures, or show how far that is; then play them, and offer their numbers."""
    drawn = _draw(settings, seed) if _same_size(settings) else None
    if drawn is None:
        return
    panels = [
        Panel(setting.caption, setting.model.model.config, picture, _note(picture, seconds))
        for setting, (picture, seconds) in zip(settings, drawn, strict=True)
    ]
    noise = make_noise(panels[0].config, num_images=1, seed=seed)[0]
    with st.container(key="together-frame"):
        together(encode_panels(panels, noise), key="together")
    offer_data(f"common-noise-seed{seed}", panel_columns(panels, noise), "common-noise")


def _note(drawn: Drawn, seconds: float) -> str:
    return f"{drawn.surprise_bits.mean():.2f} bits/dim, drawn in {seconds:.2f} s"


def _same_size(settings: Sequence[Setting]) -> bool:
    sizes = {setting.model.model.config.image_shape: setting.caption for setting in settings}
    if len(sizes) > 1:
        found = ", ".join(f"{name}: {h} x {w} x {c}" for (c, h, w), name in sizes.items())
        st.warning(
            f"Only pictures of one size can be compared ({literal(found)}).",
            icon=":material/warning:",
        )
    return len(sizes) == 1


def _draw(settings: Sequence[Setting], seed: int) -> list[tuple[Drawn, float]] | None:
    """Draw them, each with the seconds that it took."""
    keys = [("drawn", *setting.key, seed) for setting in settings]

    def work() -> Generator[float, None, list[tuple[Drawn, float]]]:
        found = []
        for number, (key, setting) in enumerate(zip(keys, settings, strict=True)):
            picture = JOBS.results.get(key)
            if picture is None:  # the same setting may have been drawn before
                model, started = setting.model.model, time.perf_counter()
                noise = make_noise(model.config, num_images=1, seed=seed)
                rule = SamplingRule(temperature=setting.temperature)
                steps = draw_with_record(model, noise, rule, setting.label)
                drawn = yield from part_of(steps, number, len(keys))
                picture = drawn, time.perf_counter() - started
                JOBS.results.put(key, picture)
            found.append(picture)
        return found

    return result_of(
        ("together", *keys), work, slot="together", button=None, what="Drawing the pictures"
    )
