"""The fast exact sampler: computes for each pixel only what that pixel changes.

Every masked convolution is split in two. The part that reads *rows above* is complete when a row
begins: one product per layer computes it for all columns. The part that reads *this row, to the
left* is one small product per pixel and layer over its last few positions. All results are kept,
none is computed twice; `make bench` prints what a picture costs in passes of the whole network.

At batch 1 the cost is the number of calls, so the loop runs in numpy, whose calls are cheaper than
torch's, on weights laid out once. Arrays are (..., B, F), features last.

References:
    Ramachandran et al. 2017, arXiv 1704.06001.
"""

import copy
import functools
from contextlib import AbstractContextManager
from typing import Protocol

import numpy as np
import torch
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController
from torch import Tensor, nn

from pixelcnn.config import SamplingRule
from pixelcnn.models import (
    FEATURES_PER_CHANNEL,
    AutoregressiveModel,
    GatedPixelCNN,
    PixelCNN,
)
from pixelcnn.sampling.rules import draw, probabilities

Array = NDArray[np.floating]


class CachedSampler:
    """Draws a batch of images dimension by dimension; can be rewound and forked at any point.

    Dimensions are counted in raster order, channels within a pixel: position = (row * W + col) * C
    + channel. The memory belongs to this object, nothing is stored on the model.

    Arguments:
        model: either model, in evaluation mode.
        noise: (B, C, H, W), see `make_noise`.
        label: int64 (B,), or None for any class.

    Raises:
        ValueError: if noise or label do not fit the model.
    """

    def __init__(
        self,
        model: AutoregressiveModel,
        noise: NDArray[np.float64],
        label: Tensor | None = None,
    ) -> None:
        c = model.config
        expected = (c.num_channels, c.height, c.width)
        if noise.ndim != 4 or noise.shape[1:] != expected or noise.shape[0] == 0:
            raise ValueError(
                f"`noise` (shape {noise.shape}) must be (B, {', '.join(map(str, expected))})."
            )
        label = model.label_or_any(label, noise.shape[0])
        self.config = c
        self.noise = noise
        self.levels = np.zeros(noise.shape, dtype=np.int64)
        self.position = 0
        networks = {PixelCNN: _ClassicNetwork, GatedPixelCNN: _GatedNetwork}
        with torch.inference_mode():
            self._network: _Network = networks[type(model)](model, label)
        self._row = -1  # the row that the network has begun

    @property
    def done(self) -> bool:
        """Whether every dimension is drawn."""
        return self.position == self.config.num_dims

    def step(
        self, rule: SamplingRule, forced: NDArray[np.int64] | int | None = None
    ) -> tuple[NDArray[np.int64], Array]:
        """Draw the next dimension.

        Arguments:
            rule: in force for this dimension only.
            forced: level to put there instead of the one drawn.

        Returns:
            The levels (B,) and the logits (B, K) that they were drawn from.

        Raises:
            StopIteration: if every dimension is drawn.
            ValueError: if `forced` is not a level, or the rule does not fit the model.
        """
        if self.done:
            raise StopIteration
        row, col, channel = self.coordinates(self.position)
        logits = self._logits(row, col)[:, channel]
        if forced is None:
            level = draw(probabilities(logits, rule), self.noise[:, channel, row, col])
        else:
            level = np.broadcast_to(np.asarray(forced), logits.shape[:1])
            if level.min() < 0 or level.max() >= self.config.num_levels:
                raise ValueError(
                    f"`forced` (={forced}) must lie in 0..{self.config.num_levels - 1}."
                )
        self.levels[:, channel, row, col] = level
        self._network.write(row, col, channel, level)
        self.position += 1
        return level, logits

    def rewind(self, position: int) -> None:
        """Go back so that `position` is drawn next; the rows above are not computed again.

        Raises:
            ValueError: if the position is not drawn yet.
        """
        if not 0 <= position <= self.position:
            raise ValueError(f"`position` (={position}) must lie in 0..{self.position}.")
        self.position = position

    def fork(self) -> "CachedSampler":
        """Copy the sampler; the copies go on independently, with the same noise."""
        other = copy.copy(self)
        other.levels = self.levels.copy()
        other._network = self._network.fork()
        return other

    def coordinates(self, position: int) -> tuple[int, int, int]:
        """Give row, column and channel of a position."""
        pixel, channel = divmod(position, self.config.num_channels)
        return *divmod(pixel, self.config.width), channel

    def _logits(self, row: int, col: int) -> Array:
        """Predict all channels of a pixel: (B, C, K)."""
        if row != self._row:
            self._network.begin_row(row)
            self._row = row
        # The features of all earlier pixels are in the caches, after a rewind too: only what lies
        # later in the order has been written since.
        logits = self._network.head(self._network.pixel(row, col))  # (B, C * K)
        return logits.reshape(len(logits), self.config.num_channels, -1)


def one_thread() -> AbstractContextManager:
    """Let matrix products run in one thread: for products this small, more threads only wait."""
    return _controller().limit(limits=1, user_api="blas")


@functools.cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()  # looking for the libraries takes a while, using them does not


def sample_cached(
    model: AutoregressiveModel,
    noise: NDArray[np.float64],
    rule: SamplingRule,
    label: Tensor | None = None,
) -> Tensor:
    """Draw images with the cached sampler; the same levels as `sample_naive`.

    Arguments and result are those of `sample_naive`.
    """
    sampler = CachedSampler(model, noise, label)
    with one_thread():
        while not sampler.done:
            sampler.step(rule)
    return torch.from_numpy(sampler.levels)


class _Network(Protocol):
    """A model split into work per row and work per pixel."""

    def begin_row(self, row: int) -> None: ...
    def pixel(self, row: int, col: int) -> Array: ...
    def head(self, features: Array) -> Array: ...
    def write(self, row: int, col: int, channel: int, level: NDArray[np.int64]) -> None: ...
    def fork(self) -> "_Network": ...


class _Map:
    """A feature map with a zero border, (rows, B, columns, F), and views of it for taps."""

    def __init__(
        self, height: int, width: int, batch: int, features: int, border: int, dtype: np.dtype
    ) -> None:
        self.border = border
        self.width = width
        shape = (height + border, batch, width + 2 * border, features)
        self.values = np.zeros(shape, dtype)

    def above(self, row: int, rows: int, columns: int, dilation: int, own_row: bool) -> Array:
        """Gather what a kernel reads at every column: (W * B, rows * columns * F).

        The lowest kernel row reads this row if `own_row`, else the one `dilation` above.
        """
        v = self.values
        top = row + self.border - dilation * (rows - int(own_row))
        left = self.border - dilation * (columns // 2)
        r, b, c, f = v.strides
        _, batch, _, features = v.shape
        taps = as_strided(
            v[top:, :, left:],
            (self.width, batch, rows, columns, features),
            (c, b, dilation * r, dilation * c, f),
            writeable=False,
        )
        return taps.reshape(self.width * batch, -1)

    def left(self, row: int, col: int, columns: int, dilation: int) -> Array:
        """Gather this position and the ones to its left: (B, columns * F)."""
        at = col + self.border
        taps = self.values[row + self.border, :, at - dilation * (columns - 1) : at + 1 : dilation]
        return taps.reshape(len(taps), -1)

    def put(self, row: int, col: int, features: Array) -> None:
        """Store the features (B, F) of one position."""
        self.values[row + self.border, :, col + self.border] = features

    def put_row(self, row: int, features: Array) -> None:
        """Store the features (W, B, F) of one row."""
        inside = slice(self.border, self.border + self.width)
        self.values[row + self.border, :, inside] = features.swapaxes(0, 1)

    def copy(self) -> "_Map":
        other = copy.copy(self)
        other.values = self.values.copy()
        return other


class _Head:
    """What both networks share: input features, position, head."""

    def __init__(self, model: AutoregressiveModel, batch: int) -> None:
        c = self.config = model.config
        self.batch = batch
        self.dtype = model.row_bias.numpy().dtype
        self.row_bias = model.row_bias[0, :, :, 0].numpy().T  # (H, F)
        self.col_bias = model.col_bias[0, :, 0, :].numpy().T  # (W, F)
        self.head_weights = [_pointwise(layer) for layer in model.head]
        every_level = torch.arange(c.num_levels).view(-1, 1, 1, 1).expand(-1, c.num_channels, 1, 1)
        encoded = model.encode(every_level)[:, :FEATURES_PER_CHANNEL, 0, 0]
        self.encoded = encoded.numpy()  # (K, E), input features of each level
        border = c.first_kernel_size // 2
        inputs = c.num_channels * FEATURES_PER_CHANNEL
        self.input = self.map(inputs, border)

    def map(self, features: int, border: int) -> _Map:
        return _Map(
            self.config.height, self.config.width, self.batch, features, border, self.dtype
        )

    def per_column(self, values: Array) -> Array:
        """View (W * B, F) as (W, B, F)."""
        return values.reshape(self.config.width, self.batch, -1)

    def head(self, features: Array) -> Array:
        """Map features (B, F) to logits (B, C * K)."""
        (first, first_bias), (last, last_bias) = self.head_weights
        hidden = np.maximum(features, 0) @ first + first_bias
        return np.maximum(hidden, 0) @ last + last_bias

    def write(self, row: int, col: int, channel: int, level: NDArray[np.int64]) -> None:
        border, size = self.input.border, FEATURES_PER_CHANNEL
        part = slice(channel * size, (channel + 1) * size)
        self.input.values[row + border, :, col + border, part] = self.encoded[level]


class _GatedNetwork(_Head):
    """`GatedPixelCNN`, row by row and pixel by pixel."""

    def __init__(self, model: GatedPixelCNN, label: Tensor) -> None:
        super().__init__(model, len(label))
        c = self.config
        size = c.num_features
        # All a's of the gates first, then all b's halved: sigmoid(b) = (tanh(b / 2) + 1) / 2, so
        # one tanh serves both, and the last factor 1/2 goes into the next weights.
        gate = np.arange(2 * size).reshape(c.num_channels, 2, -1).swapaxes(0, 1).reshape(-1)
        half = np.where(np.arange(2 * size) < size, 1.0, 0.5).astype(self.dtype)
        self.gate = gate
        self.first_vertical = (
            _taps(model.first_vertical.weight),
            _vector(model.first_vertical.bias),
        )
        first = model.first_horizontal
        self.first_horizontal = _taps(first.masked_weight()), _vector(first.bias)
        self.row_weights, self.pixel_weights, self.label_biases = [], [], []
        self.vertical, self.horizontal = [], []
        for block, dilation in zip(model.blocks, c.dilations, strict=True):
            link = block.vertical_to_horizontal
            to_horizontal, to_bias = _pointwise(link)
            self.row_weights.append(
                (
                    _taps(block.vertical.weight),
                    _vector(block.vertical.bias),
                    np.ascontiguousarray(to_horizontal[:, gate] * half),
                    (to_bias + _vector(block.horizontal.bias))[gate] * half,
                )
            )
            outputs = [_pointwise(block.residual), _pointwise(block.skip)]
            self.pixel_weights.append(
                (
                    np.ascontiguousarray(_taps(block.horizontal.masked_weight())[:, gate] * half),
                    np.ascontiguousarray(0.5 * np.concatenate([w for w, _ in outputs], 1)),
                    np.concatenate([b for _, b in outputs]),
                )
            )
            self.label_biases.append(
                (
                    block.vertical_label_bias(label).numpy(),  # (B, 2F)
                    block.horizontal_label_bias(label).numpy()[:, gate] * half,
                )
            )
            border = dilation * (c.kernel_size // 2)
            self.vertical.append(self.map(size, border))
            self.horizontal.append(self.map(size, border))
        self.from_above: list[Array] = []

    def fork(self) -> "_GatedNetwork":
        other = copy.copy(self)
        other.input = self.input.copy()
        other.vertical = [m.copy() for m in self.vertical]
        other.horizontal = [m.copy() for m in self.horizontal]
        return other

    def begin_row(self, row: int) -> None:
        """Run the vertical stack for a whole row, and its link to the horizontal stack."""
        c, size = self.config, self.config.num_features
        k = c.first_kernel_size
        weight, bias = self.first_vertical
        position = self.row_bias[row] + self.col_bias[:, None]  # (W, 1, F)
        taps = self.input.above(row, k // 2, k, 1, own_row=False)
        vertical = self.per_column(taps @ weight + bias) + position  # (W, B, F)
        self.position = position + self.first_horizontal[1]
        self.from_above = []
        k = c.kernel_size
        for i, dilation in enumerate(c.dilations):
            cache = self.vertical[i]
            cache.put_row(row, vertical)
            weight, bias, link, link_bias = self.row_weights[i]
            vertical_bias, horizontal_bias = self.label_biases[i]
            above = cache.above(row, k // 2 + 1, k, dilation, own_row=True) @ weight + bias
            self.from_above.append(self.per_column(above @ link + link_bias) + horizontal_bias)
            gates = (self.per_column(above) + vertical_bias)[:, :, self.gate]
            gates[..., size:] *= 0.5
            np.tanh(gates, out=gates)
            vertical = vertical + gates[..., :size] * (gates[..., size:] + 1) * 0.5

    def pixel(self, row: int, col: int) -> Array:
        """Run the horizontal stack for one position; returns the sum of skips (B, F)."""
        c, size = self.config, self.config.num_features
        taps = self.input.left(row, col, c.first_kernel_size // 2 + 1, 1)
        state = np.empty((self.batch, 2 * size), self.dtype)  # residual | skips
        residual, skips = state[:, :size], state[:, size:]
        np.add(taps.dot(self.first_horizontal[0]), self.position[col], out=residual)
        skips[:] = 0
        columns = c.kernel_size // 2 + 1
        for dilation, cache, above, (weight, out_weight, out_bias) in zip(
            c.dilations, self.horizontal, self.from_above, self.pixel_weights, strict=True
        ):
            cache.put(row, col, residual)
            gates = cache.left(row, col, columns, dilation).dot(weight)
            gates += above[col]
            np.tanh(gates, out=gates)
            gated = gates[:, size:]
            gated += 1
            gated *= gates[:, :size]
            state += gated.dot(out_weight)
            state += out_bias
        return skips


class _ClassicNetwork(_Head):
    """`PixelCNN`, row by row and pixel by pixel."""

    def __init__(self, model: PixelCNN, label: Tensor) -> None:
        super().__init__(model, len(label))
        c = self.config
        self.first_above, self.first_left = _split(model.first.masked_weight())
        self.first_bias = _vector(model.first.bias)
        self.blocks, self.inner = [], []
        for block, dilation in zip(model.blocks, c.dilations, strict=True):
            above, left = _split(block.conv.masked_weight())
            bias = _vector(block.conv.bias) + block.label_bias(label).numpy()  # (B, inner)
            self.blocks.append(
                (_pointwise(block.reduce), above, left, bias, _pointwise(block.expand))
            )
            self.inner.append(self.map(block.conv.in_channels, dilation * (c.kernel_size // 2)))
        self.from_above: list[Array] = []

    def fork(self) -> "_ClassicNetwork":
        other = copy.copy(self)
        other.input = self.input.copy()
        other.inner = [m.copy() for m in self.inner]
        return other

    def begin_row(self, row: int) -> None:
        """Compute what the upper rows of every kernel read, for a whole row."""
        c = self.config
        k = c.first_kernel_size
        taps = self.input.above(row, k // 2, k, 1, own_row=False)
        position = self.row_bias[row] + self.col_bias[:, None] + self.first_bias
        self.position = self.per_column(taps @ self.first_above) + position
        k = c.kernel_size
        self.from_above = []
        for cache, dilation, (_, above, _, bias, _) in zip(
            self.inner, c.dilations, self.blocks, strict=True
        ):
            taps = cache.above(row, k // 2, k, dilation, own_row=False)
            self.from_above.append(self.per_column(taps @ above) + bias)

    def pixel(self, row: int, col: int) -> Array:
        """Run all layers for one position; returns the features (B, F)."""
        c = self.config
        taps = self.input.left(row, col, c.first_kernel_size // 2 + 1, 1)
        x = taps @ self.first_left
        x += self.position[col]
        columns = c.kernel_size // 2 + 1
        for i, dilation in enumerate(c.dilations):
            (reduce, reduce_bias), _, left, _, (expand, expand_bias) = self.blocks[i]
            cache = self.inner[i]
            inner = np.maximum(x, 0) @ reduce
            inner += reduce_bias
            cache.put(row, col, np.maximum(inner, 0))
            inner = cache.left(row, col, columns, dilation) @ left
            inner += self.from_above[i][col]
            x += np.maximum(inner, 0, out=inner) @ expand
            x += expand_bias
        return x


def _vector(bias: Tensor) -> Array:
    return bias.numpy()


def _pointwise(layer: nn.Conv2d) -> tuple[Array, Array]:
    """Lay a 1x1 convolution out as a matrix (in, out) and a bias."""
    masked = getattr(layer, "masked_weight", None)
    weight = masked() if masked else layer.weight
    return np.ascontiguousarray(weight[:, :, 0, 0].numpy().T), _vector(layer.bias)


def _taps(weight: Tensor) -> Array:
    """Lay a kernel (out, in, rows, columns) out as a matrix (rows * columns * in, out)."""
    return np.ascontiguousarray(weight.permute(2, 3, 1, 0).flatten(0, 2).numpy())


def _split(weight: Tensor) -> tuple[Array, Array]:
    """Split a square kernel into its rows above and its row up to the centre."""
    centre = weight.shape[-1] // 2
    return _taps(weight[:, :, :centre]), _taps(weight[:, :, centre : centre + 1, : centre + 1])
