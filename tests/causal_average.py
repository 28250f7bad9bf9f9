"""A third architecture, registered by the tests alone: the proof that the house is open."""

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from pixelcnn.config import settings
from pixelcnn.models import Model, ModelConfig, register


@settings
class CausalAverageConfig(ModelConfig):
    """Settings of the causal average."""

    architecture: ClassVar[str] = "average"

    num_features: Annotated[int, Field(ge=1, le=64)] = 8
    """Features between the average and the logits."""


@register
class CausalAverage(Model):
    """Predicts every dimension from the mean of all that come before it."""

    Config = CausalAverageConfig
    title = "Causal average"
    about = "The mean of all earlier levels, and a linear head."

    def __init__(self, config: CausalAverageConfig) -> None:
        super().__init__(config)
        self.inner = nn.Linear(config.features_per_channel, config.num_features)
        self.table = nn.Embedding(config.num_conditions, config.num_features)
        self.head = nn.Linear(config.num_features, config.num_levels)

    def logits_from_features(self, features: Tensor, condition: Tensor) -> Tensor:
        c = self.config
        # (B, C * E, H, W) to (B, N, E), in the order of prediction
        inputs = features.unflatten(1, (c.num_channels, -1)).permute(0, 3, 4, 1, 2).flatten(1, 3)
        count = torch.arange(1, c.num_dims + 1, device=features.device)[:, None]
        mean = F.pad(inputs.cumsum(1)[:, :-1], (0, 0, 1, 0)) / count
        inner = torch.tanh(self.inner(mean) + self.table(condition)[:, None])
        logits = self.head(inner).unflatten(1, (c.height, c.width, c.num_channels))
        return logits.permute(0, 4, 3, 1, 2)  # (B, K, C, H, W)
