"""Downloads of completions: pictures, animation, and everything as data. Knows no Streamlit."""

import time
from collections.abc import Generator
from dataclasses import asdict

import numpy as np
import torch

from pixelcnn.data.pictures import (
    GIF_FRAMES,
    UNDRAWN,
    enlarge,
    gif_bytes,
    grid,
    pictures,
    png_bytes,
    sheet,
)
from pixelcnn.orders import ORDER_NAMES
from pixelcnn.progress import drain
from pixelcnn.ui.complete.run import SECONDS_PER_ANSWER, CompletionRun
from pixelcnn.ui.shared.downloads import json_bytes, npz_bytes
from pixelcnn.ui.shared.made import Made
from pixelcnn.ui.shared.sketch import to_text


def made(run: CompletionRun) -> Made:
    """Describe completions to the other pages."""
    images = range(run.request.num_images)
    return Made(
        run.config,
        captions=[f"completion {image}, by {run.request.checkpoint}" for image in images],
        classes=[None for _ in images],
        key=lambda: (run.run, run.request.pins),
        finish=lambda: iter_finish(run),
    )


def iter_finish(run: CompletionRun) -> Generator[float, None, torch.Tensor]:
    """Draw the completions to their end, a little at a time so that the sheet is answered.

    Returns:
        Levels, int64 (B, C, H, W).
    """
    while True:
        with run.lock:
            if run.done:
                return torch.from_numpy(run.levels()).long()
            run.draw(SECONDS_PER_ANSWER)
        yield run.count / max(run.steps, 1)
        time.sleep(0.001)  # a lock that is taken again at once is never passed on


def as_png(run: CompletionRun, scale: int) -> bytes:
    """Encode the finished sheet, every pixel `scale` screen pixels wide."""
    levels = drain(iter_finish(run))
    return png_bytes(sheet(levels, run.config.num_levels, columns=run.columns, scale=scale))


def as_gif(run: CompletionRun) -> bytes:
    """Encode the sheet growing in the order of the scan, as an animation of about five seconds."""
    parts = pictures(drain(iter_finish(run)), run.config.num_levels)
    steps = run.steps - run.first
    frames = []
    for count in [*range(0, steps, max(1, steps // GIF_FRAMES)), steps]:
        shown = run.known.flatten()
        shown[run.pixels[: run.first + count]] = True
        shown = shown.reshape(run.known.shape)[:, :, None]
        frames.append([np.where(shown, np.atleast_3d(part), UNDRAWN) for part in parts])
    return gif_bytes([enlarge(grid(frame, run.columns), 4) for frame in frames])


def as_npz(run: CompletionRun) -> bytes:
    """Write all that is known about the completions as arrays."""
    drain(iter_finish(run))
    return npz_bytes(_settings(run), _arrays(run))


def as_json(run: CompletionRun) -> bytes:
    """Write the same as JSON."""
    drain(iter_finish(run))
    return json_bytes(_settings(run), _arrays(run))


def _arrays(run: CompletionRun) -> dict[str, np.ndarray]:
    levels = run.levels()
    sizes, ancestors = run.sizes_and_ancestors()
    return {
        "levels": _without_one(levels),
        "known": run.known.copy(),
        "hints": run.hints,
        "given": _without_one(np.where(run.sketch.known, run.sketch.level, 0)),
        "bits": np.array(run.bits()),
        "log_weights": run.results("log_weights"),
        "mean": _without_one(levels.mean(0)),
        "deviation": _without_one(levels.std(0)),
        "effective_sample_size": sizes,
        "distinct_ancestors": ancestors,
    }


def _without_one(values: np.ndarray) -> np.ndarray:
    """Leave out the axis of the channels, (..., C, H, W), where it has one only."""
    return values.squeeze(-3) if values.shape[-3] == 1 else values


def _settings(run: CompletionRun) -> dict[str, object]:
    return asdict(run.request) | {
        "order": run.order,
        "order_name": ORDER_NAMES[run.order],
        "num_levels": run.config.num_levels,
        "labels": run.labels,
        "exact": all(part.result.is_exact[0] for part in run.parts),
        "drawing": to_text(run.sketch),
    }
