"""What the sections compute from a model, kept by the model and by what else it depends on."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pixelcnn.evaluation.wrong_mask import load_wrong
from pixelcnn.inspection import influence as trial
from pixelcnn.inspection import kernels
from pixelcnn.inspection.receptive_field import (
    CausalityReport,
    LayerField,
    check_causality,
    forbidden_pixels,
    layer_fields,
    spread_positions,
)
from pixelcnn.models import Model, ModelConfig, build_model
from pixelcnn.ui.masks.shown import SAMPLE, ShownPicture, sample_of
from pixelcnn.ui.shared.resources import LoadedModel

fields = lru_cache(16)(layer_fields)
one_kernel = lru_cache(64)(kernels.kernel)
leaking_copy = lru_cache(8)(trial.leaking_copy)
trained_wrong = lru_cache(1)(load_wrong)


def fields_of_shape(config: ModelConfig) -> list[LayerField]:
    """Compose the masks of a model of this shape.

    Weights and features do not matter for it, so a net with as few as possible is made.
    """
    return _fields_of_small(
        replace(
            config,
            num_features=config.num_channels,
            head_features=config.num_channels,
            num_levels=2,
            num_classes=0,
            num_orders=1,
        )
    )


@lru_cache(16)
def _fields_of_small(small: ModelConfig) -> list[LayerField]:
    return layer_fields(build_model(small))


@lru_cache(16)
def quick_check(model: Model) -> CausalityReport:
    """Differentiate the first prediction and the last: enough to find a leak of the first mask."""
    return check_causality(model, spread_positions(model, 2))


@lru_cache(256)
def leaks(model: Model, shown: ShownPicture, position: int) -> NDArray[np.bool_]:
    """Find the pixels that a prediction reads and must not: bool (H, W)."""
    return forbidden_pixels(model, shown.levels, position, shown.label)


@lru_cache(256)
def effective(model: Model, shown: ShownPicture, position: int) -> NDArray[np.float32]:
    """Measure the effective receptive field of one prediction: (H, W)."""
    return trial.effective_receptive_field(model, shown.levels, shown.label, position)


@lru_cache(64)
def logits(model: Model, shown: ShownPicture) -> Tensor:
    """Predict every pixel of the picture in one pass: (1, K, C, H, W)."""
    return trial.logits(model, shown.levels, shown.label)


@lru_cache(256)
def influence(
    model: Model, shown: ShownPicture, changed: int, level: int, predicted: int
) -> trial.Influence:
    """Change one level of the picture and look at one prediction."""
    return trial.influence(
        model, shown.levels, shown.label, changed=changed, level=level, predicted=predicted,
        known=logits(model, shown),
    )  # fmt: skip


@lru_cache(32)
def block_features(model: Model, shown: ShownPicture, block: int) -> tuple[Tensor, Tensor]:
    """Give the features before a residual block, and what it adds: (F, H, W) each."""
    return kernels.block_features(model, shown.levels, shown.label, block)


def drawn(model: LoadedModel, shown: ShownPicture) -> Tensor:
    """Return a picture that the model drew: the one shown, or beside a real one a sample."""
    if shown.key[0] == SAMPLE:
        return shown.levels
    return sample_of(model, 0, shown.label)
