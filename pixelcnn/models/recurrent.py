"""Recurrent models over the raster sequence: a tanh RNN, an LSTM and a GRU.

A step is told the dimension before it (in a row, the pixel to the left), the one above, its class
and its place; everything earlier it knows by its state.

Shapes: B batch, F features, N dimensions, L layers.
"""

from abc import abstractmethod
from typing import ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from pixelcnn.config import settings
from pixelcnn.models.base import Array, Features, Stepper, register
from pixelcnn.models.sequence import SequenceConfig, SequenceModel, SequenceStepper


@settings
class RecurrentConfig(SequenceConfig):
    """Settings of a recurrent model."""

    reads_above: bool = True
    """Whether a step is told the pixel above too; without it the state must carry it for a row."""


class RecurrentModel(SequenceModel):
    """What the recurrent models share."""

    cell: ClassVar[type[nn.RNNBase]]
    """Torch's network."""
    states: ClassVar[int] = 1
    """Vectors of F features that each layer carries along."""

    def __init__(self, config: RecurrentConfig) -> None:
        super().__init__(config)
        c = config
        self.cells = self.cell(c.num_features, c.num_features, c.num_layers, batch_first=True)
        self.head = nn.Linear(c.num_features, c.num_levels)

    @property
    def told(self) -> tuple[int, ...]:
        """The dimension before, and the one above."""
        c = self.config
        return (1, c.width * c.num_channels) if c.reads_above else (1,)

    def matrices(self) -> list[str]:
        """Name the weights that Muon trains, those of the cells too."""
        cells = [f"cells.{n}" for n, weight in self.cells.named_parameters() if weight.ndim == 2]
        return super().matrices() + cells

    def read(self, x: Tensor) -> Tensor:
        """Go through the sequence: (B, N, F) to (B, N, F)."""
        x = F.silu(x)
        if x.is_cuda:
            return self.cells(x)[0]
        with torch.autocast(x.device.type, enabled=False):  # there half precision is slow or fails
            return self.cells(x.to(self.first.weight.dtype))[0]

    @staticmethod
    @abstractmethod
    def advance(x: Array, h: Array, state: Array) -> Array:
        """Give the next state of a layer: (states, B, F), first the one that is read.

        Arguments:
            x: what the input adds to the gates, (B, gates * F).
            h: what the state adds to them.
            state: (states, B, F).
        """

    @torch.inference_mode()
    def stepper(self, condition: Tensor) -> Stepper:
        """Draw step by step."""
        return RecurrentStepper(self, condition)


class RecurrentStepper(SequenceStepper):
    """A recurrent model, step by step; the state after each position is kept, for the way back."""

    def __init__(self, model: RecurrentModel, condition: Tensor) -> None:
        super().__init__(model, condition)
        self.advance = model.advance
        self.layers = []
        for number in range(self.config.num_layers):
            values = [getattr(model.cells, f"{name}_l{number}") for name in _WEIGHTS]
            w_x, w_h, b_x, b_h = (value.numpy() for value in values)
            self.layers.append(tuple(np.ascontiguousarray(w.T) for w in (w_x, w_h)) + (b_x, b_h))
        shape = (len(self.layers), model.states, self.batch, self.config.num_features)
        # Entry n is the state before position n: (N + 1, L, states, B, F).
        self.kept = np.zeros((self.config.num_dims + 1, *shape), self.places.dtype)

    def step(self, x: Array) -> Array:
        """Go from the state before this position to the one after it."""
        x *= sigmoid(x)  # silu
        before, after = self.kept[self.position], self.kept[self.position + 1]
        for number, (w_x, w_h, b_x, b_h) in enumerate(self.layers):
            state = before[number]
            after[number] = self.advance(x @ w_x + b_x, state[0] @ w_h + b_h, state)
            x = after[number, 0]
        return x

    def fork(self) -> Self:
        """Copy the states."""
        other = super().fork()
        other.kept = np.empty_like(self.kept)
        other.kept[: self.position + 1] = self.kept[: self.position + 1]
        return other

    def select(self, indices: NDArray[np.int64]) -> None:
        """Keep these images; no way back, so of the states only the one before this position."""
        super().select(indices)
        state = self.kept[self.position][:, :, indices]
        self.kept = np.empty((len(self.kept), *state.shape), state.dtype)
        self.kept[self.position] = state


_WEIGHTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def sigmoid(x: Array) -> Array:
    """Compute 1 / (1 + exp(-x)) without an overflow."""
    return 0.5 * (np.tanh(0.5 * x) + 1)


@settings
class RNNConfig(RecurrentConfig):
    """Settings of the tanh RNN."""

    architecture: ClassVar[str] = "rnn"
    num_features: Features = 576


@register
class RNN(RecurrentModel):
    """The plain recurrent network: h' = tanh(W x + U h + b).

    References:
        Elman 1990, "Finding structure in time".
    """

    Config = RNNConfig
    title = "RNN"
    about = "A recurrent network over the pixels, the plain one: it forgets soon."
    cell = nn.RNN

    @staticmethod
    def advance(x: Array, h: Array, state: Array) -> Array:
        """Give the next state."""
        return np.tanh(x + h)[None]


@settings
class LSTMConfig(RecurrentConfig):
    """Settings of the LSTM."""

    architecture: ClassVar[str] = "lstm"
    num_features: Features = 320


@register
class LSTM(RecurrentModel):
    """A recurrent network whose gates decide what its cells keep, take in and show.

    References:
        Hochreiter and Schmidhuber 1997, "Long short-term memory"; over pixels: van den Oord et al.
        2016, arXiv 1601.06759.
    """

    Config = LSTMConfig
    title = "LSTM"
    about = "A recurrent network over the pixels, with gates that keep what it needs later."
    cell = nn.LSTM
    states = 2

    @staticmethod
    def advance(x: Array, h: Array, state: Array) -> Array:
        """Give the next state and the next cells."""
        take, keep, new, show = (x + h).reshape(len(x), 4, -1).swapaxes(0, 1)
        cells = sigmoid(keep) * state[1] + sigmoid(take) * np.tanh(new)
        return np.stack([sigmoid(show) * np.tanh(cells), cells])


@settings
class GRUConfig(RecurrentConfig):
    """Settings of the GRU."""

    architecture: ClassVar[str] = "gru"
    num_features: Features = 352


@register
class GRU(RecurrentModel):
    """A recurrent network with two gates and no cells apart.

    References:
        Cho et al. 2014, arXiv 1406.1078, section 2.3.
    """

    Config = GRUConfig
    title = "GRU"
    about = "A recurrent network over the pixels, with fewer gates than an LSTM."
    cell = nn.GRU

    @staticmethod
    def advance(x: Array, h: Array, state: Array) -> Array:
        """Give the next state."""
        x_reset, x_keep, x_new = x.reshape(len(x), 3, -1).swapaxes(0, 1)
        h_reset, h_keep, h_new = h.reshape(len(x), 3, -1).swapaxes(0, 1)
        keep = sigmoid(x_keep + h_keep)
        new = np.tanh(x_new + sigmoid(x_reset + h_reset) * h_new)
        return ((1 - keep) * new + keep * state[0])[None]
