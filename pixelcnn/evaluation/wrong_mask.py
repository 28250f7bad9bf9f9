"""The mistake of mask B in the first layer, trained once: what became of the bits and pictures."""

from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from pixelcnn.config import STRICT
from pixelcnn.evaluation.stored import NotNegative
from pixelcnn.inspection.influence import leaking_copy
from pixelcnn.models import Model, ModelConfig
from pixelcnn.storage import CHECKPOINT_DIR, load_model

NAME = "wrong-mask/classic"
"""The weights, in `checkpoints/`; in a folder of their own, since no menu should offer them."""
WEIGHTS = CHECKPOINT_DIR / f"{NAME}.safetensors"
PATH = WEIGHTS.with_name("numbers.json")

Picture = list[list[Annotated[int, Field(ge=0, le=255)]]]
Curve = list[NotNegative]


@dataclass(frozen=True, config=STRICT)
class WrongMask:
    """Two nets trained on the same images, with mask A and with mask B in the first layer."""

    images_seen: list[int]
    """Where the curves have their points."""
    right: Curve
    """Training bits/dim with mask A: means over the images since the point before."""
    wrong: Curve
    """The same with mask B."""
    drawn: list[Picture]
    """What the net with mask B drew over each of `canvases`, levels (H, W)."""


def canvases(config: ModelConfig) -> Tensor:
    """Give what stands in the places to be drawn: black, and noise; int64 (2, 1, H, W)."""
    shape = 1, config.height, config.width
    noise = np.random.default_rng(0).integers(0, config.num_levels, shape)
    return torch.from_numpy(np.stack([np.zeros_like(noise), noise]))


def load_wrong() -> Model:
    """Load the net with mask B in its first layer.

    Raises:
        CheckpointError: as `load_model` does.
    """
    return leaking_copy(load_model(WEIGHTS))
