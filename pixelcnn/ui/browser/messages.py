"""What the small components of the Measure page are told, as bytes. Knows no Streamlit."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pixelcnn.data.datasets import dequantize
from pixelcnn.data.pictures import CHANNEL_NAMES
from pixelcnn.evaluation.common_noise import Drawn
from pixelcnn.evaluation.scores import Score
from pixelcnn.models import ModelConfig
from pixelcnn.ui.browser.wire import encode, fingerprint


def encode_score(score: Score, config: ModelConfig, selected: int) -> bytes:
    """Encode a scored image for the maps: display values, bits and the scan.

    Arguments:
        score: of one image.
        config: of the model.
        selected: pixel that is selected at first, row * W + col.
    """
    count = config.height * config.width
    sections = {
        "values": dequantize(score.levels, config.num_levels).flatten(1).T.numpy(),  # (N, C)
        "levels": score.levels.flatten(1).T.numpy().astype(np.uint8),
        "surprise": score.surprise_bits.reshape(count).astype(np.float32),
        "entropy": score.entropy_bits.reshape(count).astype(np.float32),
        "scan": score.scan.astype(np.uint16),
        "step": np.argsort(score.scan).astype(np.uint16),  # of each pixel
        "spent": _sums(score.surprise_bits.reshape(count)[score.scan]),
        "expected": _sums(score.entropy_bits.reshape(count)[score.scan]),
    }
    header = {
        "height": config.height,
        "width": config.width,
        "channels": config.num_channels,
        "uniform_bits": config.num_channels * float(np.log2(config.num_levels)),
        "id": fingerprint(sections),
        "selected": selected,
    }
    return encode(header, sections)


@dataclass(frozen=True)
class Panel:
    """One of the pictures that are drawn side by side."""

    caption: str
    """The setting in a few words."""
    config: ModelConfig
    """Of the model that drew it."""
    drawn: Drawn
    """One picture and its record."""
    note: str = ""
    """What is to be said below it."""


def encode_panels(panels: Sequence[Panel], noise: NDArray[np.float64]) -> bytes:
    """Encode pictures of one size for the synchronized players.

    Arguments:
        panels: at least one; the others are compared with the first.
        noise: the random numbers of all of them, (C, H, W).
    """
    c = panels[0].config
    count = c.height * c.width
    sections = {"uniform": noise.reshape(-1, count).T.astype(np.float32)}
    shown = [dequantize(p.drawn.levels[0], p.config.num_levels).int() for p in panels]
    for number, panel in enumerate(panels):
        drawn = panel.drawn
        gaps = (shown[number] - shown[0]).abs().amax(0).flatten()
        sections[f"difference{number}"] = gaps.numpy().astype(np.uint8)
        sections[f"levels{number}"] = drawn.levels[0].flatten(1).T.numpy().astype(np.uint8)
        surprise = drawn.surprise_bits[0].sum(0).reshape(count)
        sections[f"surprise{number}"] = surprise.astype(np.float32)
        roots = np.sqrt(drawn.expected[0].transpose(1, 2, 0, 3))  # a byte shows small ones too
        sections[f"expected{number}"] = np.round(255 * roots).astype(np.uint8)
    header = {
        "height": c.height,
        "width": c.width,
        "channels": c.num_channels,
        "levels": [panel.config.num_levels for panel in panels],
        "captions": [panel.caption for panel in panels],
        "notes": [panel.note for panel in panels],
        "id": fingerprint(sections),
    }
    return encode(header, sections)


def panel_columns(
    panels: Sequence[Panel], noise: NDArray[np.float64]
) -> dict[str, Sequence[object]]:
    """Tabulate every pixel of every picture: level, and surprise by the model that drew it.

    Arguments are those of `encode_panels`.
    """
    c = panels[0].config
    rows, cols = np.divmod(np.arange(c.height * c.width), c.width)
    columns: dict[str, Sequence[object]] = {"row": rows.tolist(), "column": cols.tolist()}
    names = CHANNEL_NAMES[c.num_channels]
    for name, values in zip(names, noise.reshape(len(names), -1), strict=True):
        columns[f"random number {name}".strip()] = values.tolist()
    for number, panel in enumerate(panels, 1):
        levels = panel.drawn.levels[0].flatten(1).numpy()
        for name, values in zip(names, levels, strict=True):
            columns[f"{number}: {panel.caption}, level {name}".strip()] = values.tolist()
        bits = panel.drawn.surprise_bits[0].sum(0).reshape(-1)
        columns[f"{number}: {panel.caption}, surprise in bits"] = bits.tolist()
    return columns


def _sums(bits: NDArray) -> NDArray[np.float32]:
    """Sum up what the first pixels cost together, from none to all."""
    return np.concatenate([[0.0], np.cumsum(bits, dtype=np.float64)]).astype(np.float32)
