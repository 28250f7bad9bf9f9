"""A decoder-only transformer over the raster sequence, with a key/value cache in its stepper.

Shapes: B batch, F features, N dimensions.
"""

import math
from typing import Annotated, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from pixelcnn.config import settings
from pixelcnn.models.base import Array, Stepper, register
from pixelcnn.models.causal_attention import (
    CausalAttention,
    HeadFeatures,
    Heads,
    KeyValueCache,
    Norm,
    maps_of_pixels,
)
from pixelcnn.models.sequence import SequenceConfig, SequenceModel, SequenceStepper, linear


@settings
class TransformerConfig(SequenceConfig):
    """Settings of the transformer."""

    architecture: ClassVar[str] = "transformer"

    num_layers: Annotated[int, Field(ge=1, le=24)] = 4
    num_heads: Heads = 4
    """Heads of each layer of attention."""
    features_per_head: HeadFeatures = 32
    """Features of the keys, and of the values, of each head."""


class TransformerBlock(nn.Module):
    """Attention to the past, then two linear layers; both add to the features, normed before.

    References:
        Radford et al. 2019, "Language models are unsupervised multitask learners", section 2.3.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        size = config.num_features
        self.attention_norm = nn.LayerNorm(size)
        heads = config.num_heads, config.features_per_head
        self.attention = CausalAttention(size, size, *heads, size)
        self.norm = nn.LayerNorm(size)
        self.widen = nn.Linear(size, 4 * size)
        self.narrow = nn.Linear(4 * size, size)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, N, F) to (B, N, F)."""
        normed = self.attention_norm(x)
        x = x + self.attention(normed, normed)
        return x + self.narrow(F.gelu(self.widen(self.norm(x)), approximate="tanh"))


@register
class Transformer(SequenceModel):
    """The architecture of GPT, over pixels: each step looks at all steps before it.

    References:
        Vaswani et al. 2017, arXiv 1706.03762; Chen et al. 2020, "Generative pretraining from
        pixels" (Image GPT).
    """

    Config = TransformerConfig
    title = "Transformer"
    about = "The architecture of GPT, over pixels: attention to everything before."

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__(config)
        self.blocks = nn.ModuleList(TransformerBlock(config) for _ in range(config.num_layers))
        self.norm = nn.LayerNorm(config.num_features)
        self.head = nn.Linear(config.num_features, config.num_levels)

    def read(self, x: Tensor) -> Tensor:
        """Go through all layers: (B, N, F) to (B, N, F)."""
        for block in self.blocks:
            x = block(x)
        return self.norm(x)

    def attention_maps(self, features: Tensor, condition: Tensor, position: int) -> Tensor:
        """Say what each head looked at: (layers, B, heads, H, W)."""
        x, found = self.inputs(features, condition), []
        for block in self.blocks:
            normed = block.attention_norm(x)
            found.append(block.attention.weights(normed, normed, position))
            x = block(x)
        return maps_of_pixels(found, self.config, dims_at_once=1)

    @torch.inference_mode()
    def stepper(self, condition: Tensor) -> Stepper:
        """Draw step by step."""
        return TransformerStepper(self, condition)


class TransformerStepper(SequenceStepper):
    """`Transformer`, step by step."""

    def __init__(self, model: Transformer, condition: Tensor) -> None:
        super().__init__(model, condition)
        self.layers = [
            (
                Norm(block.attention_norm),
                Norm(block.norm),
                linear(block.widen),
                linear(block.narrow),
            )
            for block in model.blocks
        ]
        self.norm = Norm(model.norm)
        dims = self.config.num_dims
        self.caches = [KeyValueCache(block.attention, dims, self.batch) for block in model.blocks]

    def step(self, x: Array) -> Array:
        """Go through all layers; the cache has the positions before this one."""
        for cache, (attention_norm, norm, widen, narrow) in zip(
            self.caches, self.layers, strict=True
        ):
            normed = attention_norm(x)
            x = x + cache.look(self.position, normed, normed)
            x += _gelu(norm(x) @ widen[0] + widen[1]) @ narrow[0] + narrow[1]
        return self.norm(x)

    def fork(self) -> Self:
        """Copy the caches."""
        other = super().fork()
        other.caches = [cache.copy() for cache in self.caches]
        return other

    def select(self, indices: NDArray[np.int64]) -> None:
        """Keep these images."""
        super().select(indices)
        for cache in self.caches:
            cache.select(indices)


def _gelu(x: Array) -> Array:
    inner = x * x
    inner *= 0.044715
    inner += 1
    inner *= x
    inner *= math.sqrt(2 / math.pi)
    np.tanh(inner, out=inner)
    inner += 1
    inner *= x
    inner *= 0.5
    return inner
