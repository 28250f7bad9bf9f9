"""Attention to the past: for a whole sequence in training, with a key/value cache in drawing.

Shapes: B batch, N positions, Q and S features of queries and sources, A features of all heads.
"""

import copy
import math
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from pixelcnn.models.base import Array, ModelConfig
from pixelcnn.models.sequence import linear

Heads = Annotated[int, Field(ge=1, le=32)]
HeadFeatures = Annotated[int, Field(ge=1, le=256)]


class CausalAttention(nn.Module):
    """Let each position look at what the sources at it and before it tell.

    Arguments:
        query_size: Q.
        source_size: S.
        num_heads: heads.
        features_per_head: A / heads.
        out_size: O, features that it adds up to.

    References:
        Vaswani et al. 2017, arXiv 1706.03762, section 3.2.
    """

    def __init__(
        self,
        query_size: int,
        source_size: int,
        num_heads: int,
        features_per_head: int,
        out_size: int,
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        size = num_heads * features_per_head
        self.query = nn.Linear(query_size, size)
        self.key_value = nn.Linear(source_size, 2 * size)
        self.out = nn.Linear(size, out_size)

    def forward(self, queries: Tensor, sources: Tensor) -> Tensor:
        """Map queries (B, N, Q) and sources (B, N, S) to (B, N, O)."""
        query, key, value = self._heads(queries, sources)
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.out(mixed.transpose(1, 2).flatten(2))

    def weights(self, queries: Tensor, sources: Tensor, position: int) -> Tensor:
        """Say how much one position looks at each up to it: (B, heads, position + 1)."""
        query, key, _ = self._heads(queries, sources)
        at = query[:, :, position : position + 1] / math.sqrt(query.shape[-1])
        return (at @ key[:, :, : position + 1].mT).softmax(-1)[:, :, 0]

    def _heads(self, queries: Tensor, sources: Tensor) -> tuple[Tensor, ...]:
        """Give queries, keys and values of each head, (B, heads, N, A / heads)."""
        both = (self.query(queries), *self.key_value(sources).chunk(2, -1))
        return tuple(x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for x in both)


class KeyValueCache:
    """The keys and values of the positions so far, and attention to them for one more."""

    def __init__(self, attention: CausalAttention, num_positions: int, batch: int) -> None:
        self.num_heads = attention.num_heads
        query, bias = linear(attention.query)
        size = query.shape[1] // self.num_heads
        self.query = query / math.sqrt(size), bias / math.sqrt(size)
        self.key_value, self.out = linear(attention.key_value), linear(attention.out)
        self.keys = np.zeros((batch, self.num_heads, size, num_positions), query.dtype)
        self.values = np.zeros((batch, self.num_heads, num_positions, size), query.dtype)

    def look(self, position: int, queries: Array, sources: Array) -> Array:
        """Do what `CausalAttention` does at one position: (B, Q) and (B, S) to (B, O)."""
        (w_q, b_q), (w_kv, b_kv), (w_out, b_out) = self.query, self.key_value, self.out
        heads = len(queries), self.num_heads, -1
        both = sources @ w_kv + b_kv  # (B, 2 A)
        self.keys[..., position] = both[:, : len(w_out)].reshape(heads)
        self.values[:, :, position] = both[:, len(w_out) :].reshape(heads)
        query = (queries @ w_q + b_q).reshape(heads)[:, :, None]  # (B, heads, 1, A / heads)
        scores = query @ self.keys[..., : position + 1]
        scores -= np.maximum.reduce(scores, -1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= np.add.reduce(scores, -1, keepdims=True)
        mixed = scores @ self.values[:, :, : position + 1]
        return mixed.reshape(len(queries), -1) @ w_out + b_out

    def copy(self) -> "KeyValueCache":
        """Copy keys and values."""
        other = copy.copy(self)
        other.keys, other.values = self.keys.copy(), self.values.copy()
        return other

    def select(self, indices: NDArray[np.int64], _row: int = 0) -> None:
        """Keep these images, at every position: all of them are looked at again."""
        self.keys, self.values = self.keys[indices], self.values[indices]


class Norm:
    """A layer's `nn.LayerNorm`, in numpy."""

    def __init__(self, layer: nn.LayerNorm) -> None:
        self.weight, self.bias, self.eps = layer.weight.numpy(), layer.bias.numpy(), layer.eps
        size = len(self.weight)
        self.mean = np.full((size, 1), 1 / size, self.weight.dtype)  # np.mean takes much longer

    def __call__(self, x: Array) -> Array:
        """Map (B, F) to (B, F)."""
        x = x - x @ self.mean
        x /= np.sqrt(x * x @ self.mean + self.eps)
        x *= self.weight
        x += self.bias
        return x


def maps_of_pixels(weights: list[Tensor], config: ModelConfig, dims_at_once: int) -> Tensor:
    """Turn what layers looked at, each (B, heads, n), into maps (layers, B, heads, H, W).

    Source 0 is the start; source n tells of the `dims_at_once` dimensions before position n.
    """
    seen = torch.stack(weights)[..., 1:]  # (layers, B, heads, n - 1)
    seen = F.pad(seen, (0, config.num_dims // dims_at_once - seen.shape[-1]))
    return seen.unflatten(-1, (config.height, config.width, -1)).sum(-1)
