"""Both models split into what a row needs once and what each pixel needs.

Every masked convolution is split in two. The part that reads *rows above* is complete when a row
begins: one product per layer computes it for all columns. The part that reads *this row, to the
left* is one small product per pixel and layer over its last few positions. All results are kept,
none is computed twice; `make bench` prints what a picture costs in passes of the whole network.

At batch 1 the cost is the number of calls, so all runs in numpy, whose calls are cheaper than
torch's, on weights laid out once. Arrays are (..., B, F), features last.
"""

import copy
from typing import Protocol

import numpy as np
import torch
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray
from torch import Tensor, nn

from pixelcnn.models import AutoregressiveModel, GatedPixelCNN, PixelCNN

Array = NDArray[np.floating]


class Network(Protocol):
    """A model split into work per row and work per pixel."""

    def begin_row(self, row: int) -> None:
        """Do the work that a whole row needs once; the rows above must be written."""

    def pixel(self, row: int, col: int) -> Array:
        """Return the features (B, F) that the head reads at one pixel."""

    def head(self, features: Array) -> Array:
        """Map the features (B, F) of one pixel to its logits (B, C * K)."""

    def write(self, row: int, col: int, channel: int, level: NDArray[np.int64]) -> None:
        """Take in the levels (B,) that were drawn."""

    def fork(self) -> "Network":
        """Copy what was computed; the weights are shared."""

    def select(self, indices: NDArray[np.int64], row: int, *, row_begun: bool) -> None:
        """Keep these images, as often as named; of the rows above only what is still read."""


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

    def select(self, indices: NDArray[np.int64], row: int) -> None:
        """Keep these images, with all that a kernel at this row or a later one reads."""
        rows = slice(row, row + self.border + 1)  # the lowest kernel row lies `border` above
        kept = self.values[rows, indices]
        if len(indices) != self.values.shape[1]:
            height, _, width, features = self.values.shape
            self.values = np.zeros((height, len(indices), width, features), kept.dtype)
        self.values[rows] = kept


class _Head:
    """What both networks share: input features, position, head."""

    def __init__(self, model: AutoregressiveModel, condition: Tensor) -> None:
        c = self.config = model.config
        self.batch = len(condition)
        self.condition = condition.numpy()
        self.dtype = model.row_bias.numpy().dtype
        position = model.position_features(condition).permute(2, 3, 0, 1)
        self.position_features = position.contiguous().numpy()  # (H, W, B, F)
        self.head_weights = [_pointwise(layer) for layer in model.head]
        every_level = torch.arange(c.num_levels).view(-1, 1, 1, 1).expand(-1, c.num_channels, 1, 1)
        encoded = model.encode(every_level)[:, : c.features_per_channel, 0, 0]
        self.encoded = encoded.numpy()  # (K, E), input features of each level
        border = c.first_kernel_size // 2
        inputs = c.num_channels * c.features_per_channel
        self.input = self.map(inputs, border)
        self.position = np.empty(0)  # (W, B, F), what the row begun is told of its place
        self.from_above: list[Array] = []  # for each block (W, B, .), what its row begun reads

    def map(self, features: int, border: int) -> _Map:
        return _Map(
            self.config.height, self.config.width, self.batch, features, border, self.dtype
        )

    def per_column(self, values: Array) -> Array:
        """View (W * B, F) as (W, B, F)."""
        return values.reshape(self.config.width, self.batch, -1)

    def head(self, features: Array) -> Array:
        """Map the features (B, F) of one pixel to its logits (B, C * K)."""
        (first, first_bias), (last, last_bias) = self.head_weights
        hidden = np.maximum(features, 0) @ first + first_bias
        return np.maximum(hidden, 0) @ last + last_bias

    def write(self, row: int, col: int, channel: int, level: NDArray[np.int64]) -> None:
        border, size = self.input.border, self.config.features_per_channel
        part = slice(channel * size, (channel + 1) * size)
        self.input.values[row + border, :, col + border, part] = self.encoded[level]

    def select_condition(self, indices: NDArray[np.int64]) -> None:
        """Keep these images in the arrays that depend on the condition alone."""
        self.position_features = self.position_features[:, :, indices]

    def select(self, indices: NDArray[np.int64], row: int, *, row_begun: bool) -> None:
        """Keep these images, in this order and as often as they are named."""
        condition = self.condition[indices]
        if not np.array_equal(condition, self.condition):
            self.select_condition(indices)
        self.condition, self.batch = condition, len(indices)
        for kept in self.maps():  # of the network
            kept.select(indices, row)
        if row_begun:
            self.position = self.position[:, indices]
            self.from_above = [above[:, indices] for above in self.from_above]


class _GatedNetwork(_Head):
    """`GatedPixelCNN`, row by row and pixel by pixel.

    A gate's features are laid out with all a's first, then all b's halved: as sigmoid(b) =
    (tanh(b / 2) + 1) / 2, one tanh serves both, and the factor 1/2 goes into the next weights.
    """

    def __init__(self, model: GatedPixelCNN, condition: Tensor) -> None:
        super().__init__(model, condition)
        c = self.config
        size = c.num_features
        gate = np.arange(2 * size).reshape(c.num_channels, 2, -1).swapaxes(0, 1).reshape(-1)
        half = np.where(np.arange(2 * size) < size, 1.0, 0.5).astype(self.dtype)

        def to_gates(values: Array) -> Array:
            """Reorder and halve the last axis, 2F."""
            values = np.take(values, gate, -1)
            values *= half
            return values

        first = model.first_vertical
        self.first_vertical = _taps(first.weight), _vector(first.bias)
        first = model.first_horizontal
        self.first_horizontal = _taps(first.masked_weight()), _vector(first.bias)
        self.row_weights, self.pixel_weights = [], []
        self.vertical, self.horizontal = [], []
        for block, dilation in zip(model.blocks, c.dilations, strict=True):
            bias = np.zeros((self.batch, 2 * size), self.dtype)
            if not block.is_last:
                bias += block.vertical_condition_bias(condition).numpy()
            link, link_bias = _pointwise(block.vertical_to_horizontal)
            link_bias = link_bias + _vector(block.horizontal.bias) - bias @ link
            # The link reads the vertical features without this bias: it is taken off again.
            link_bias = link_bias + block.horizontal_condition_bias(condition).numpy()
            self.row_weights.append(
                (
                    to_gates(_taps(block.vertical.weight)),
                    to_gates(_vector(block.vertical.bias) + bias),
                    to_gates(link[gate] / half[:, None]),
                    to_gates(link_bias),
                )
            )
            outputs = [block.skip] if block.is_last else [block.residual, block.skip]
            outputs = [_pointwise(layer) for layer in outputs]
            out_weight = 0.5 * np.concatenate([weight for weight, _ in outputs], 1)
            out_bias = np.concatenate([bias for _, bias in outputs])
            self.pixel_weights.append(
                (
                    to_gates(_taps(block.horizontal.masked_weight())),
                    np.vstack([out_weight, out_bias]),  # read with a last input of 1
                )
            )
            border = dilation * (c.kernel_size // 2)
            self.vertical.append(self.map(size, border))
            self.horizontal.append(self.map(size, border))
        self.gated = np.ones((self.batch, size + 1), self.dtype)  # gated features, then the 1

    def fork(self) -> "_GatedNetwork":
        other = copy.copy(self)
        other.gated = self.gated.copy()
        other.input = self.input.copy()
        other.vertical = [m.copy() for m in self.vertical]
        other.horizontal = [m.copy() for m in self.horizontal]
        return other

    def maps(self) -> list[_Map]:
        """All feature maps that are kept."""
        return [self.input, *self.vertical, *self.horizontal]

    def select_condition(self, indices: NDArray[np.int64]) -> None:
        """Keep these images in the arrays that depend on the condition alone."""
        super().select_condition(indices)
        self.row_weights = [
            (weight, bias[indices], link, link_bias[indices])
            for weight, bias, link, link_bias in self.row_weights
        ]

    def select(self, indices: NDArray[np.int64], row: int, *, row_begun: bool) -> None:
        """Keep these images, in this order and as often as they are named."""
        super().select(indices, row, row_begun=row_begun)
        self.gated = np.ones((self.batch, self.config.num_features + 1), self.dtype)

    def begin_row(self, row: int) -> None:
        """Run the vertical stack for a whole row, and its link to the horizontal stack."""
        c, size = self.config, self.config.num_features
        k = c.first_kernel_size
        weight, bias = self.first_vertical
        position = self.position_features[row]  # (W, B, F)
        taps = self.input.above(row, k // 2, k, 1, own_row=False)
        vertical = self.per_column(taps @ weight + bias) + position  # (W, B, F)
        self.position = position + self.first_horizontal[1]
        self.from_above = []
        k = c.kernel_size
        for cache, dilation, (weight, bias, link, link_bias) in zip(
            self.vertical, c.dilations, self.row_weights, strict=True
        ):
            cache.put_row(row, vertical)
            above = cache.above(row, k // 2 + 1, k, dilation, own_row=True) @ weight
            gates = self.per_column(above)  # a view
            gates += bias
            linked = self.per_column(above @ link)
            linked += link_bias
            self.from_above.append(linked)
            np.tanh(gates, out=gates)
            gated = gates[..., size:]
            gated += 1
            gated *= gates[..., :size]
            gated *= 0.5
            vertical += gated

    def pixel(self, row: int, col: int) -> Array:
        """Run the horizontal stack for one position; returns the sum of skips (B, F)."""
        c, size = self.config, self.config.num_features
        taps = self.input.left(row, col, c.first_kernel_size // 2 + 1, 1)
        state = np.zeros((self.batch, 2 * size), self.dtype)  # residual | skips
        residual, skips = state[:, :size], state[:, size:]
        np.add(taps.dot(self.first_horizontal[0]), self.position[col], out=residual)
        gated_and_1 = self.gated
        gated = gated_and_1[:, :size]
        columns = c.kernel_size // 2 + 1
        for dilation, cache, above, (weight, out_weight) in zip(
            c.dilations, self.horizontal, self.from_above, self.pixel_weights, strict=True
        ):
            cache.put(row, col, residual)
            gates = cache.left(row, col, columns, dilation).dot(weight)
            gates += above[col]
            np.tanh(gates, out=gates)
            np.multiply(gates[:, :size], gates[:, size:], out=gated)
            gated += gates[:, :size]
            outputs = gated_and_1.dot(out_weight)
            if outputs.shape == state.shape:
                state += outputs
            else:
                skips += outputs  # the last block has no residual
        return skips


class _ClassicNetwork(_Head):
    """`PixelCNN`, row by row and pixel by pixel."""

    def __init__(self, model: PixelCNN, condition: Tensor) -> None:
        super().__init__(model, condition)
        c = self.config
        self.first_above, self.first_left = _split(model.first.masked_weight())
        self.first_bias = _vector(model.first.bias)
        self.blocks, self.inner = [], []
        for block, dilation in zip(model.blocks, c.dilations, strict=True):
            above, left = _split(block.conv.masked_weight())
            bias = _vector(block.conv.bias) + block.condition_bias(condition).numpy()  # (B, inner)
            self.blocks.append(
                (_pointwise(block.reduce), above, left, bias, _pointwise(block.expand))
            )
            self.inner.append(self.map(block.conv.in_channels, dilation * (c.kernel_size // 2)))

    def fork(self) -> "_ClassicNetwork":
        other = copy.copy(self)
        other.input = self.input.copy()
        other.inner = [m.copy() for m in self.inner]
        return other

    def maps(self) -> list[_Map]:
        """All feature maps that are kept."""
        return [self.input, *self.inner]

    def select_condition(self, indices: NDArray[np.int64]) -> None:
        """Keep these images in the arrays that depend on the condition alone."""
        super().select_condition(indices)
        self.blocks = [
            (reduce, above, left, bias[indices], expand)
            for reduce, above, left, bias, expand in self.blocks
        ]

    def begin_row(self, row: int) -> None:
        """Compute what the upper rows of every kernel read, for a whole row."""
        c = self.config
        k = c.first_kernel_size
        taps = self.input.above(row, k // 2, k, 1, own_row=False)
        position = self.position_features[row] + self.first_bias
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


def split_network(model: AutoregressiveModel, condition: Tensor) -> Network:
    """Lay a model out for drawing images under these conditions, int64 (B,)."""
    networks = {PixelCNN: _ClassicNetwork, GatedPixelCNN: _GatedNetwork}
    return networks[type(model)](model, condition)


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
