"""Drawing with convolutions: what a row needs once, and what each pixel needs.

Every masked convolution is split in two. The part that reads *rows above* is complete when a row
begins: one product per layer computes it for all columns. The part that reads *this row, to the
left* is one small product per pixel and layer over its last few positions. All results are kept,
none is computed twice; `make bench` prints what a picture costs in passes of the whole network.

At batch 1 the cost is the number of calls, so all runs in numpy, whose calls are cheaper than
torch's, on weights laid out once. Arrays are (..., B, F), features last.

References:
    Ramachandran et al. 2017, arXiv 1704.06001.
"""

import copy
import os
from abc import abstractmethod
from typing import ClassVar, Self

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray
from torch import Tensor, nn

from pixelcnn.models.base import Array, Stepper
from pixelcnn.models.convolutions import ConvolutionModel, acting_weight
from pixelcnn.models.threads import use_blas_threads

MANY_IMAGES = 4
"""From here on a row's products are large enough to be shared out to all cores."""


class FeatureMap:
    """A feature map with a zero border, (rows, B, columns, F), and views of it for taps."""

    def __init__(
        self, height: int, width: int, batch: int, features: int, border: int, dtype: np.dtype
    ) -> None:
        self.border = border
        self.width = width
        self.values = np.zeros((height + border, batch, width + 2 * border, features), dtype)

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

    def at(self, row: int, col: int) -> Array:
        """Return the features (B, F) of one position; row -1 is the border, 0."""
        return self.values[row + self.border, :, col + self.border]

    def put(self, row: int, col: int, features: Array) -> None:
        """Store the features (B, F) of one position."""
        self.values[row + self.border, :, col + self.border] = features

    def put_row(self, row: int, features: Array) -> None:
        """Store the features (W, B, F) of one row."""
        inside = slice(self.border, self.border + self.width)
        self.values[row + self.border, :, inside] = features.swapaxes(0, 1)

    def copy(self) -> "FeatureMap":
        """Copy the values."""
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


class RowStepper(Stepper):
    """What the steppers of convolutional models share: rows, input features, position, head."""

    kept: ClassVar[tuple[str, ...]] = ()
    """Names of the lists of feature maps that are kept beside the input."""

    def __init__(self, model: ConvolutionModel, condition: Tensor) -> None:
        c = self.config = model.config
        self.different, case = condition.unique(return_inverse=True)
        self.case = case.numpy()  # (B,), which of the conditions that differ
        self.dtype = model.row_bias.numpy().dtype
        position = model.position_features(self.different).permute(2, 3, 0, 1)
        self.position_features = position.contiguous().numpy()  # (H, W, conditions, F)
        self.head_weights = [pointwise(layer) for layer in model.head]
        self.encoded = model.encoded_levels().numpy()
        self.input = self.map(c.num_channels * c.features_per_channel, c.first_kernel_size // 2)
        self.row = -1  # the row that is begun
        self.position_in_row = np.empty(0)  # (W, B, F), what the row begun adds for its place
        self.from_above: list[Array] = []  # for each block (W, B, .), what its row begun reads

    @property
    def batch(self) -> int:
        """B."""
        return len(self.case)

    @abstractmethod
    def begin_row(self, row: int) -> None:
        """Do the work that a whole row needs once; the rows above must be written."""

    @abstractmethod
    def pixel(self, row: int, col: int) -> Array:
        """Return the features (B, F) that the head reads at one pixel."""

    def logits(self) -> Array:
        """Predict one dimension.

        The features of all earlier pixels are in the maps, after a rewind too: only what lies
        later in the order has been written since.
        """
        row, col, channel = self.config.coordinates(self.position)
        if row != self.row:
            use_blas_threads((os.cpu_count() or 1) if self.batch >= MANY_IMAGES else 1)
            self.begin_row(row)
            self.row = row
        use_blas_threads(1)
        (first, first_bias), (last, last_bias) = self.head_weights
        hidden = np.maximum(self.pixel(row, col), 0) @ first + first_bias
        logits = np.maximum(hidden, 0) @ last + last_bias  # (B, C * K)
        return logits.reshape(self.batch, self.config.num_channels, -1)[:, channel]

    def write(self, level: NDArray[np.int64]) -> None:
        """Store the input features of these levels."""
        row, col, channel = self.config.coordinates(self.position)
        border, size = self.input.border, self.config.features_per_channel
        part = slice(channel * size, (channel + 1) * size)
        self.input.values[row + border, :, col + border, part] = self.encoded[level]
        self.position += 1

    def fork(self) -> Self:
        """Copy all maps."""
        other = copy.copy(self)
        other.input = self.input.copy()
        for name in self.kept:
            setattr(other, name, [m.copy() for m in getattr(self, name)])
        return other

    def select(self, indices: NDArray[np.int64]) -> None:
        """Keep these images; of the rows above only what is still read."""
        row = self.config.coordinates(self.position)[0]
        self.case = self.case[indices]
        for kept in [self.input, *(m for name in self.kept for m in getattr(self, name))]:
            kept.select(indices, row)
        if self.row == row:
            self.position_in_row = self.position_in_row[:, indices]
            self.from_above = [above[:, indices] for above in self.from_above]
        else:
            self.row = -1

    def map(self, features: int, border: int) -> FeatureMap:
        """Make an empty feature map."""
        c = self.config
        return FeatureMap(c.height, c.width, self.batch, features, border, self.dtype)

    def per_column(self, values: Array) -> Array:
        """View (W * B, F) as (W, B, F)."""
        return values.reshape(self.config.width, self.batch, -1)


def pointwise(layer: nn.Conv2d) -> tuple[Array, Array]:
    """Lay a 1x1 convolution out as a matrix (in, out) and a bias."""
    weight = acting_weight(layer)[:, :, 0, 0]
    return np.ascontiguousarray(weight.numpy().T), layer.bias.numpy()


def taps(weight: Tensor) -> Array:
    """Lay a kernel (out, in, rows, columns) out as a matrix (rows * columns * in, out)."""
    return np.ascontiguousarray(weight.permute(2, 3, 1, 0).flatten(0, 2).numpy())
