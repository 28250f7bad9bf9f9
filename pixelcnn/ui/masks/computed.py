"""What the sections compute from a model, kept by the content it is computed from."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
import torch
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

CHECKED = 2
"""Predictions differentiated for the switch of the first mask: enough to find its leak."""


@lru_cache(16)
def fields(model: LoadedModel, wrong: bool = False) -> list[LayerField]:
    """Compose the masks of the loaded weights, or of the leaking copy, layer by layer."""
    return layer_fields(chosen_model(model, wrong))


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
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return layer_fields(build_model(small))


@lru_cache(64)
def one_kernel(model: LoadedModel, path: str) -> kernels.Kernel:
    """Lay out one convolution of the loaded model."""
    return kernels.kernel(model.model, path)


@lru_cache(8)
def _leaking(model: LoadedModel) -> Model:
    return trial.leaking_copy(model.model)


@lru_cache(1)
def trained_wrong() -> Model:
    """Load the net that was trained with mask B in its first layer."""
    return load_wrong()


def chosen_model(model: LoadedModel, wrong: bool) -> Model:
    """Return the loaded model, or its copy with mask B in the first layer."""
    return _leaking(model) if wrong else model.model


def quick_check(model: LoadedModel, wrong: bool) -> CausalityReport:
    """Differentiate a few predictions of the model, or of its leaking copy."""
    first, *others = checked(model)
    return sum((check_at(model, wrong, p) for p in others), check_at(model, wrong, first))


def checked(model: LoadedModel) -> list[int]:
    """Give the dimensions whose predictions `quick_check` differentiates."""
    return spread_positions(model.model, CHECKED)


@lru_cache(32)
def check_at(model: LoadedModel, wrong: bool, position: int) -> CausalityReport:
    """Differentiate one prediction: a part of `quick_check`."""
    return check_causality(chosen_model(model, wrong), [position])


@lru_cache(256)
def leaks(model: LoadedModel, wrong: bool, shown: ShownPicture, pixel: int) -> NDArray[np.bool_]:
    """Find the pixels that the prediction at one pixel reads and must not: bool (H, W)."""
    position = pixel * model.model.config.num_channels
    return forbidden_pixels(chosen_model(model, wrong), shown.levels, position, shown.label)


@lru_cache(256)
def effective(
    model: LoadedModel, shown: ShownPicture, pixel: int, channel: int
) -> NDArray[np.float32]:
    """Measure the effective receptive field of one prediction: (H, W)."""
    position = pixel * model.model.config.num_channels + channel
    return trial.effective_receptive_field(model.model, shown.levels, shown.label, position)


@lru_cache(64)
def logits(model: LoadedModel, shown: ShownPicture, wrong: bool = False) -> Tensor:
    """Predict every pixel of the picture in one pass: (1, K, C, H, W)."""
    return trial.logits(chosen_model(model, wrong), shown.levels, shown.label)


@lru_cache(256)
def influence(
    model: LoadedModel,
    shown: ShownPicture,
    changed: int,
    level: int,
    predicted: int,
    wrong: bool = False,
) -> trial.Influence:
    """Change one level of the picture and look at one prediction."""
    return trial.influence(
        chosen_model(model, wrong), shown.levels, shown.label, changed=changed, level=level,
        predicted=predicted, known=logits(model, shown, wrong),
    )  # fmt: skip


@lru_cache(32)
def block_features(model: LoadedModel, shown: ShownPicture, block: int) -> tuple[Tensor, Tensor]:
    """Give the features before a residual block, and what it adds: (F, H, W) each."""
    return kernels.block_features(model.model, shown.levels, shown.label, block)


def drawn(model: LoadedModel, shown: ShownPicture) -> Tensor:
    """Return a picture that the model drew: the one shown, or beside a real one a sample."""
    if shown.key[0] == SAMPLE:
        return shown.levels
    return sample_of(model, 0, shown.label)
