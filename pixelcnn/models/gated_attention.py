"""A gated PixelCNN with causal attention: convolutions for texture, attention for the far past.

Shapes: B batch, C image channels, E input features of a channel, F features, P = H*W pixels.
"""

import copy
from collections.abc import Iterator
from typing import Annotated, ClassVar

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
from pixelcnn.models.convolutions import Dilations
from pixelcnn.models.gated import GatedConfig, GatedPixelCNN, GatedStepper


@settings
class AttentionConfig(GatedConfig):
    """Settings of the gated model with attention."""

    architecture: ClassVar[str] = "attention"

    dilations: Dilations = (1, 1, 1, 1, 1, 1, 1, 1)
    attention_every: Annotated[int, Field(ge=1, le=64)] = 4
    """Blocks from one layer of attention to the next; the last one stands before the last
    block."""
    num_heads: Heads = 4
    """Heads of each layer of attention."""
    features_per_head: HeadFeatures = 16
    """Features of the keys, and of the values, of each head."""


class LookBack(nn.Module):
    """Attention from each pixel to all pixels before it, and to what the network made of them.

    A query reads the first channel group of the horizontal stack only: it knows no channel of its
    own pixel, so that all groups may use what it finds. Source n tells of pixel n - 1.

    References:
        Chen et al. 2018, arXiv 1712.09763 (PixelSNAIL), section 2.
    """

    def __init__(self, config: AttentionConfig) -> None:
        super().__init__()
        c = config
        self.query_size = c.num_features // c.num_channels
        source_size = c.num_channels * c.features_per_channel + c.num_features
        self.query_norm = nn.LayerNorm(self.query_size)
        self.source_norm = nn.LayerNorm(source_size)
        self.attention = CausalAttention(
            self.query_size, source_size, c.num_heads, c.features_per_head, c.num_features
        )

    def queries_and_sources(self, horizontal: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        """Give (B, P, Q) and (B, P, S); arguments are those of `GatedPixelCNN.before_block`."""
        queries = horizontal[:, : self.query_size].flatten(2).mT
        sources = torch.cat([features, horizontal], 1).flatten(2).mT
        sources = F.pad(sources, (0, 0, 1, 0))[:, :-1]
        return self.query_norm(queries), self.source_norm(sources)

    def forward(self, horizontal: Tensor, features: Tensor) -> Tensor:
        """Return what was found, (B, F, H, W)."""
        found = self.attention(*self.queries_and_sources(horizontal, features))  # (B, P, F)
        return found.mT.unflatten(2, horizontal.shape[2:])


@register
class AttentionPixelCNN(GatedPixelCNN):
    """The gated model, whose horizontal stack looks at all of the past before some blocks.

    References:
        Chen et al. 2018, arXiv 1712.09763 (PixelSNAIL).
    """

    Config = AttentionConfig
    title = "PixelCNN with attention"
    about = "A gated PixelCNN whose row stack also looks at all of the past by attention."
    about_masks = (
        f"{GatedPixelCNN.about_masks} Attention, which has no kernel, reads every earlier pixel."
    )

    def __init__(self, config: AttentionConfig) -> None:
        super().__init__(config)
        last = config.num_blocks - 1
        blocks = sorted(range(last, -1, -config.attention_every))
        self.look_back = nn.ModuleDict({str(number): LookBack(config) for number in blocks})

    def before_block(self, number: int, horizontal: Tensor, features: Tensor) -> Tensor:
        """Add what attention finds, (B, F, H, W)."""
        layer = self._look_back(number)
        return horizontal if layer is None else horizontal + layer(horizontal, features)

    def _look_back(self, number: int) -> LookBack | None:
        """Give the attention that stands before a block, if any."""
        name = str(number)
        return self.look_back[name] if name in self.look_back else None  # noqa: SIM401 - no `get`

    def reads(self) -> Iterator[NDArray[np.uint8]]:
        """Compose the masks; behind the first layer of attention all of the past is read."""
        c = self.config
        first = int(next(iter(self.look_back)))
        past = np.tri(c.height * c.width, k=-1, dtype=bool).repeat(c.num_channels, 1)
        past = np.packbits(past, axis=1).reshape(c.height, c.width, 1, -1)
        for number, reads in enumerate(super().reads()):
            yield reads | past if number > first else reads

    def attention_maps(self, features: Tensor, condition: Tensor, position: int) -> Tensor:
        """Say what each head looked at: (layers, B, heads, H, W)."""
        pixel, found = position // self.config.num_channels, []
        watched = copy.copy(self)  # nothing is stored on the model itself

        def before_block(number: int, horizontal: Tensor, features: Tensor) -> Tensor:
            if layer := self._look_back(number):
                queries, sources = layer.queries_and_sources(horizontal, features)
                found.append(layer.attention.weights(queries, sources, pixel))
            return self.before_block(number, horizontal, features)

        watched.before_block = before_block
        watched._run(features, condition)
        return maps_of_pixels(found, self.config, dims_at_once=self.config.num_channels)

    @torch.inference_mode()
    def stepper(self, condition: Tensor) -> Stepper:
        """Draw row by row and pixel by pixel."""
        return AttentionStepper(self, condition)


class AttentionStepper(GatedStepper):
    """`AttentionPixelCNN`, row by row and pixel by pixel, with a key/value cache."""

    kept = (*GatedStepper.kept, "caches", "found")

    def __init__(self, model: AttentionPixelCNN, condition: Tensor) -> None:
        super().__init__(model, condition)
        c = self.config
        self.numbers = {int(name): at for at, name in enumerate(model.look_back)}
        layers = model.look_back.values()
        self.norms = [(Norm(layer.query_norm), Norm(layer.source_norm)) for layer in layers]
        pixels = c.height * c.width
        self.caches = [KeyValueCache(layer.attention, pixels, self.batch) for layer in layers]
        # The horizontal stack as attention finds it; a pixel needs that of the one before it.
        self.found = [self.map(c.num_features, border=1) for _ in layers]

    def before_block(self, number: int, row: int, col: int, residual: Array) -> None:
        """Add what attention finds to the features (B, F) of one position."""
        if (at := self.numbers.get(number)) is None:
            return
        found, (query_norm, source_norm) = self.found[at], self.norms[at]
        found.put(row, col, residual)
        pixel = row * self.config.width + col
        before = divmod(pixel - 1, self.config.width)
        source = np.concatenate([m.at(*before) for m in (self.input, found)], 1)
        query = query_norm(residual[:, : len(query_norm.weight)])
        residual += self.caches[at].look(pixel, query, source_norm(source))
