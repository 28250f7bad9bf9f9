"""Models of the raster sequence: what those share that read one dimension after the other.

Shapes: B batch, C image channels, E input features of one dimension, F features, H rows,
W columns, N = C*H*W dimensions, K levels.
"""

import copy
from abc import abstractmethod
from typing import Annotated, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from pixelcnn.config import settings
from pixelcnn.models.base import Array, Features, Model, ModelConfig, Stepper
from pixelcnn.models.threads import use_blas_threads


@settings
class SequenceConfig(ModelConfig):
    """Settings of a model of the raster sequence."""

    num_features: Features = 128
    """F, features of every layer."""
    num_layers: Annotated[int, Field(ge=1, le=24)] = 1
    """Layers, one on the other."""


class SequenceModel(Model):
    """A model that goes through the dimensions in order, each with its place and a few before it.

    Subclasses make `head`, a linear layer to the logits, last.
    """

    def __init__(self, config: SequenceConfig) -> None:
        super().__init__(config)
        c = config
        self.first = nn.Linear(len(self.told) * c.features_per_channel, c.num_features)
        self.condition_bias = nn.Embedding(c.num_conditions, c.num_features)
        sides = [(c.num_orders, c.height), (c.num_orders, c.width), (c.num_channels,)]
        self.row_bias, self.col_bias, self.channel_bias = (
            nn.Parameter(0.1 * torch.randn(*side, c.num_features)) for side in sides
        )
        nn.init.normal_(self.condition_bias.weight, std=0.1)

    @property
    def told(self) -> tuple[int, ...]:
        """How far back, in dimensions, those are that each step is told directly."""
        return (1,)

    @abstractmethod
    def read(self, x: Tensor) -> Tensor:
        """Map inputs (B, N, F) to what `head` reads, (B, N, F); step n may read up to step n."""

    def logits_from_features(self, features: Tensor, condition: Tensor) -> Tensor:
        """Predict from the output of `encode`: (B, K, C, H, W)."""
        c = self.config
        logits = self.head(self.read(self.inputs(features, condition)))  # (B, N, K)
        return logits.unflatten(1, (c.height, c.width, c.num_channels)).permute(0, 4, 3, 1, 2)

    def inputs(self, features: Tensor, condition: Tensor) -> Tensor:
        """Give what each step is told: (B, N, F)."""
        c = self.config
        # (B, C * E, H, W) to (B, N, E), in the order of prediction
        known = features.unflatten(1, (c.num_channels, -1)).permute(0, 3, 4, 1, 2).flatten(1, 3)
        told = [F.pad(known, (0, 0, back, 0))[:, : c.num_dims] for back in self.told]
        return self.first(torch.cat(told, 2)) + self.places(condition)

    def places(self, condition: Tensor) -> Tensor:
        """Give the features that stand for class and place: (B, N, F)."""
        order = condition // (self.config.num_classes + 1)
        rows, cols = self.row_bias[order][:, :, None, None], self.col_bias[order][:, None, :, None]
        places = rows + cols + self.channel_bias  # (B, H, W, C, F)
        return places.flatten(1, 3) + self.condition_bias(condition)[:, None]


class SequenceStepper(Stepper):
    """What the steppers of sequence models share: the levels so far, and what a step is told.

    At batch 1 the cost is the number of calls, so all runs in numpy, see `pixelcnn.models.rows`.
    Every position must be predicted before it is written.
    """

    def __init__(self, model: SequenceModel, condition: Tensor) -> None:
        c = self.config = model.config
        different, case = condition.unique(return_inverse=True)
        self.case = case.numpy()  # (B,), which of the conditions that differ
        self.places = (model.places(different) + model.first.bias).numpy()  # (conditions, N, F)
        weights = model.first.weight.unflatten(1, (-1, c.features_per_channel)).unbind(1)
        # What each level adds to the input of a step so far ahead: (K, F).
        tables = [(model.encoded_levels() @ weight.T).numpy() for weight in weights]
        self.told = list(zip(model.told, tables, strict=True))
        self.head = linear(model.head)
        self.levels = np.zeros((c.num_dims, len(condition)), np.int64)

    @property
    def batch(self) -> int:
        """B."""
        return len(self.case)

    @abstractmethod
    def step(self, x: Array) -> Array:
        """Go through the layers for one position: (B, F) to (B, F)."""

    def logits(self) -> Array:
        """Predict one dimension."""
        use_blas_threads(1)
        x = self.places[self.case, self.position]  # (B, F), a copy
        for back, table in self.told:
            if back <= self.position:
                x += table[self.levels[self.position - back]]
        weight, bias = self.head
        return self.step(x) @ weight + bias

    def write(self, level: NDArray[np.int64]) -> None:
        """Store the levels."""
        self.levels[self.position] = level
        self.position += 1

    def fork(self) -> Self:
        """Copy the levels; subclasses copy what else they keep."""
        other = copy.copy(self)
        other.levels = self.levels.copy()
        return other

    def select(self, indices: NDArray[np.int64]) -> None:
        """Keep these images; subclasses keep theirs of what else they hold."""
        self.case, self.levels = self.case[indices], self.levels[:, indices]


def linear(layer: nn.Linear) -> tuple[Array, Array]:
    """Lay a linear layer out as a matrix (in, out) and a bias."""
    return np.ascontiguousarray(layer.weight.numpy().T), layer.bias.numpy()
