"""Settings to begin with: what fits into a minute, ten minutes, an hour. Knows no Streamlit."""

from dataclasses import dataclass, fields
from typing import Any

from pixelcnn.data.datasets import Dataset
from pixelcnn.models import ARCHITECTURES, DEFAULT_ARCHITECTURE

EVALUATIONS = 8
MOST_STAGES = 8
FIRST_STAGE_UPDATES = 8


@dataclass(frozen=True)
class Preset:
    """Settings with a name."""

    name: str
    """As the page shows it."""
    about: str
    """What to expect."""
    model: dict[str, Any]
    """Fields of the model's configuration."""
    train: dict[str, Any]
    """Fields of `TrainConfig`."""


_FULL_SIZE = {"num_features": 48, "kernel_size": 5, "dilations": (1, 2, 4, 8, 1, 2, 4)}
"""That of the shipped model."""

# Times are for two cores of a current CPU with nothing else to do; the form measures them here.
# The longer a run, the lower the best learning rate: see benchmarks/README.md.
PRESETS = (
    Preset(
        "One minute",
        "A small model: the first shapes. Good for trying things out.",
        {
            "num_features": 24,
            "head_features": 64,
            "kernel_size": 5,
            "dilations": (1, 2, 4, 1),
        },
        {"total_images": 5_000, "validation_images": 150, "ema_decay": 0.99},
    ),
    Preset(
        "Ten minutes",
        "The size of the shipped model. Of Fashion-MNIST it learns to draw clothes that one "
        "recognises.",
        _FULL_SIZE,
        {
            "total_images": 16_000,
            "learning_rate": 5e-3,
            "validation_images": 300,
            "ema_decay": 0.998,
        },
    ),
    Preset(
        "An hour",
        "The same model with six times as many images. With Fashion-MNIST it comes close to the "
        "shipped one.",
        _FULL_SIZE,
        {
            "total_images": 100_000,
            "learning_rate": 3e-3,
            "validation_images": 500,
            "ema_decay": 0.999,
        },
    ),
)
OWN = "My own"
"""Name of the choice in which everything is set by hand."""


def preset(name: str) -> Preset:
    """Find a preset; for one's own settings the one to begin with."""
    return next((p for p in PRESETS if p.name == name), PRESETS[1])


def marks(total_images: int, batch_size: int) -> dict[str, Any]:
    """Choose when a run is evaluated and when a stage is kept.

    Stages come at halves, quarters, and so on of the run, because pictures change most early; the
    first ones after some updates only, while there is nothing but noise.

    >>> marks(16_000, 16)
    {'evaluate_every': 2000, 'stages': (250, 500, 1000, 2000, 4000, 8000)}
    """
    halves = (total_images // 2**k for k in range(1, MOST_STAGES + 1))
    return {
        "evaluate_every": max(total_images // EVALUATIONS, batch_size),
        "stages": tuple(sorted({s for s in halves if s >= FIRST_STAGE_UPDATES * batch_size})),
    }


def fit_channels(model: dict[str, Any], dataset: Dataset) -> dict[str, Any]:
    """Round the features up to multiples of the number of image channels."""
    channels = dataset.shape[0]
    name = model.get("architecture", DEFAULT_ARCHITECTURE)
    sizes = {
        field.name: model.get(field.name, field.default)
        for field in fields(ARCHITECTURES[name].Config)
        if field.name in ("num_features", "head_features")
    }
    return model | {name: -(-size // channels) * channels for name, size in sizes.items()}


def blocks(depth: int, largest_dilation: int) -> tuple[int, ...]:
    """Choose dilations: they double up to the largest one, then begin again.

    >>> blocks(7, 8)
    (1, 2, 4, 8, 1, 2, 4)
    """
    cycle = [2**k for k in range(largest_dilation.bit_length())]
    return tuple(cycle[i % len(cycle)] for i in range(depth))
