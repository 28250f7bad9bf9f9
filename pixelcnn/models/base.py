"""What every architecture is: a configuration, a training pass, a stepper that draws.

Shapes: B batch, C image channels, H rows, W columns, N = C*H*W dimensions, K levels.

A new architecture is one file: a subclass of `Model` with its own `Config`, registered by
`@register`. Pages, commands, presets and tests then take it in.
"""

import copy
import math
import reprlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import fields
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, PlainSerializer
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from pixelcnn.config import Settings, read_by, settings

Array = NDArray[np.floating]
Features = Annotated[int, Field(ge=1, le=1024)]
MAX_DIMS = 3 * 64 * 64
"""Most dimensions of an image; `Model.dependencies` has the square of it."""


@settings
class ModelConfig(Settings):
    """Shape of a model; with the weights, all that is needed to rebuild it.

    Subclasses add the settings of their architecture.
    """

    _taken_back = {
        "copy_features": (0, "models that copy features"),
        "num_kinds": (0, "models with hidden kinds"),
    }

    architecture: ClassVar[str] = ""
    """Name in `ARCHITECTURES`."""

    num_levels: Annotated[int, Field(ge=2, le=256)] = 256
    """K, intensity levels of one channel."""
    num_channels: Literal[1, 3] = 1
    """C, image channels: grey, or R, G, B."""
    height: Annotated[int, Field(ge=1, le=128)] = 28
    """H, rows."""
    width: Annotated[int, Field(ge=1, le=128)] = 28
    """W, columns."""
    num_classes: Annotated[int, Field(ge=0, le=1000)] = 0
    """Classes that the model can be asked for; 0 for a model without labels."""
    num_orders: Literal[1, 8] = 1
    """Raster orders that the model can be asked for: one, or all eight of a square image."""
    num_frequencies: Annotated[int, Field(ge=0, le=8)] = 6
    """Sines and cosines of a level that the first layer reads, each of twice the frequency before;
    they tell near levels apart."""

    def __post_init__(self) -> None:
        square = self.num_orders == 1 or self.height == self.width
        self.require("num_orders", square, "be 1 unless height and width are equal")
        rule = (
            f"be smaller: channels * height * width (={self.num_dims}) must be at most {MAX_DIMS}"
        )
        self.require("width", self.num_dims <= MAX_DIMS, rule)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields, and the name of the architecture, as plain JSON values."""
        return {"architecture": self.architecture} | super().to_dict()

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """C, H and W."""
        return self.num_channels, self.height, self.width

    @property
    def features_per_channel(self) -> int:
        """E, input features of one channel: the level, "is zero", sines and cosines."""
        return 2 + 2 * self.num_frequencies

    @property
    def num_conditions(self) -> int:
        """Rows of a condition table: every order with every class and with "any class"."""
        return self.num_orders * (self.num_classes + 1)

    @property
    def num_dims(self) -> int:
        """N = C * H * W, the number of scalars that are predicted."""
        return self.num_channels * self.height * self.width

    def coordinates(self, position: int) -> tuple[int, int, int]:
        """Give row, column and channel of a position.

        Positions count dimensions in raster order, the channels of a pixel one after the other:
        position = (row * W + column) * C + channel.
        """
        pixel, channel = divmod(position, self.num_channels)
        return *divmod(pixel, self.width), channel


class Model(nn.Module, ABC):
    """An autoregressive model: from the levels before it, a distribution for every dimension."""

    Config: ClassVar[type[ModelConfig]] = ModelConfig
    """Its settings."""
    title: ClassVar[str] = ""
    """Name as people write it."""
    about: ClassVar[str] = ""
    """What is special about it, in a sentence or two."""

    begins_with: "ClassVar[type[Model] | None]" = None
    """The architecture whose trained weights its own training must begin with, if any."""
    reads_evidence: ClassVar[bool] = False
    """Whether it can be `given` known pixels and hints, see `pixelcnn.models.conditioned`."""
    judges_hints: ClassVar[bool] = False
    """Whether it says how well a picture fits hints, see `ConditionedPixelCNN.log_fit`."""
    num_residual_blocks: int = 0
    """Blocks that add to the features they receive."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config

    @property
    def num_parameters(self) -> int:
        """Number of weights."""
        return sum(p.numel() for p in self.parameters())

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def forward(
        self, levels: Tensor, label: Tensor | None = None, order: Tensor | None = None
    ) -> Tensor:
        """Predict the distribution of every dimension from the ones before it, in one pass.

        Arguments:
            levels: int64 (B, C, H, W), values 0..K-1; turned by `pixelcnn.orders.to_raster` if the
                order is not 0.
            label: int64 (B,), values 0..num_classes-1; `num_classes`, or None, means any class.
            order: int64 (B,), values 0..num_orders-1; None means order 0.

        Returns:
            Logits (B, K, C, H, W), turned like the levels.

        Raises:
            ValueError: if a shape, type or value breaks the rules above.
        """
        self.check_levels(levels)
        condition = self.condition(levels.shape[0], label, order)
        return self.logits_from_features(self.encode(levels), condition)

    def encode(self, levels: Tensor) -> Tensor:
        """Turn levels int64 (B, C, H, W) into features, each of its own pixel and channel only.

        Returns:
            (B, C * E, H, W), E = `config.features_per_channel`: for each channel the level scaled
            to [-1, 1], 1 if it is exactly 0 (background, half of all pixels in Fashion-MNIST), and
            sines and cosines of rising frequency, by which the first layer tells levels apart.
        """
        scaled = levels.to(next(self.parameters()).dtype) * (2 / (self.config.num_levels - 1)) - 1
        features = [scaled, (levels == 0).to(scaled.dtype)]
        for octave in range(self.config.num_frequencies):
            angle = math.pi * 2**octave * scaled
            features += [torch.sin(angle), torch.cos(angle)]
        return torch.stack(features, dim=2).flatten(1, 2)

    def encoded_levels(self) -> Tensor:
        """List the input features of each level, (K, E): the same in every channel."""
        c = self.config
        every = torch.arange(c.num_levels, device=self.device).view(-1, 1, 1, 1)
        return self.encode(every.expand(-1, c.num_channels, 1, 1))[
            :, : c.features_per_channel, 0, 0
        ]

    @abstractmethod
    def logits_from_features(self, features: Tensor, condition: Tensor) -> Tensor:
        """Predict from the output of `encode`; differentiable, for the causality check.

        Maps features (B, C * E, H, W) and `condition` int64 (B,) to logits (B, K, C, H, W).
        """

    def stepper(self, condition: Tensor) -> "Stepper":
        """Begin to draw a batch, dimension by dimension, under these conditions, int64 (B,).

        The default runs the whole network for every dimension.
        """
        return FullPass(self, condition)

    def dependencies(self) -> NDArray[np.bool_]:
        """Say which dimension may act on which prediction; the default is all of the past.

        Entry [j, i] of the bool (N, N) says whether dimension i can influence the prediction of j.
        """
        return np.tri(self.config.num_dims, k=-1, dtype=bool)

    def convolutions(self) -> dict[str, nn.Conv2d]:
        """List the convolutions by their path in the model, in the order of use; perhaps none."""
        return {}

    @torch.inference_mode()
    def attention(
        self,
        levels: Tensor,
        position: int,
        label: Tensor | None = None,
        order: Tensor | None = None,
    ) -> Tensor:
        """Say what each head of each layer of attention looked at for one prediction.

        Arguments:
            levels: int64 (B, C, H, W), turned like those of `forward`.
            position: the predicted dimension, 0..N-1.
            label: see `forward`.
            order: see `forward`.

        Returns:
            Weights (layers, B, heads, H, W) of all channels of a pixel together, 0 from the
            predicted pixel on if it has one channel. What is missing to 1 went to the start, which
            tells of no pixel.
        """
        self.check_levels(levels)
        condition = self.condition(len(levels), label, order)
        return self.attention_maps(self.encode(levels), condition, position)

    def attention_maps(self, features: Tensor, condition: Tensor, position: int) -> Tensor:
        """Give what `attention` returns, from the output of `encode`; the default is no layer."""
        return features.new_zeros(0, len(features), 0, *self.config.image_shape[1:])

    def matrices(self) -> list[str]:
        """Name the weights that Muon trains: those of all layers but the last."""
        layers = [(n, m) for n, m in self.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]
        return [f"{name}.weight" for name, layer in layers if layer is not self.last_layer]

    @property
    def last_layer(self) -> nn.Module:
        """The layer whose outputs are the logits; the default is the one made last."""
        return [m for m in self.modules() if isinstance(m, nn.Conv2d | nn.Linear)][-1]

    def condition(
        self, batch: int, label: Tensor | None = None, order: Tensor | None = None
    ) -> Tensor:
        """Number the pair (order, label) of each image, the row of every condition table.

        The numbers are int64 (B,), order * (num_classes + 1) + label.

        Raises:
            ValueError: if a shape, type or value breaks the rules of `forward`.
        """
        classes, orders = self.config.num_classes, self.config.num_orders
        if label is None:
            label = torch.full((batch,), classes, device=self.device)
        elif classes == 0:
            raise ValueError("`label` must be None: this model was trained without labels.")
        if order is None:
            order = torch.zeros(batch, dtype=torch.int64, device=self.device)
        rule = f"0..{classes - 1}, or be {classes} for any class"
        _check_condition("label", label, batch, classes, rule)
        _check_condition("order", order, batch, orders - 1, f"0..{orders - 1}")
        return order * (classes + 1) + label

    def check_levels(self, levels: Tensor) -> None:
        """Check images before they are used.

        Raises:
            ValueError: if they are not int64 (B, C, H, W) with values 0..K-1 and B at least 1.
        """
        c, expected = self.config, self.config.image_shape
        if levels.ndim != 4 or levels.shape[1:] != expected or levels.dtype != torch.int64:
            raise ValueError(
                f"`levels` (shape {tuple(levels.shape)}, {levels.dtype}) must be int64 "
                f"(B, {', '.join(map(str, expected))})."
            )
        if levels.shape[0] == 0:
            raise ValueError("`levels` must hold at least one image.")
        low, high = int(levels.min()), int(levels.max())
        if low < 0 or high >= c.num_levels:
            raise ValueError(
                f"`levels` (values {low} to {high}) must lie in 0..{c.num_levels - 1}."
            )


def _check_condition(name: str, values: Tensor, batch: int, last: int, rule: str) -> None:
    if values.shape != (batch,) or values.dtype != torch.int64:
        raise ValueError(
            f"`{name}` (shape {tuple(values.shape)}, {values.dtype}) must be int64 ({batch},)."
        )
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > last:
        raise ValueError(f"`{name}` (values {low} to {high}) must lie in {rule}.")


class Stepper(ABC):
    """A model drawing a batch dimension by dimension, with a memory of its own.

    Nothing is stored on the model. What the memory is, and how to go back in it, is the
    architecture's own affair; `pixelcnn.sampling.Sampler` draws with any stepper.
    """

    position: int = 0
    """The dimension that is predicted next, see `ModelConfig.coordinates`."""

    @abstractmethod
    def logits(self) -> Array:
        """Predict the dimension at `position`: (B, K)."""

    @abstractmethod
    def write(self, level: NDArray[np.int64]) -> None:
        """Take in the levels (B,) of the dimension at `position`, and go to the next."""

    @abstractmethod
    def fork(self) -> "Stepper":
        """Copy what was computed; the copies go on independently and share the weights."""

    @abstractmethod
    def select(self, indices: NDArray[np.int64]) -> None:
        """Keep these images, in this order and as often as named; no way back from here."""

    def rewind(self, position: int) -> None:
        """Go back, so that an earlier dimension is predicted next."""
        self.position = position


class FullPass(Stepper):
    """The obvious stepper: a pass of the whole network for every dimension."""

    def __init__(self, model: Model, condition: Tensor) -> None:
        c = model.config
        self.model, self.condition = model, condition
        self.levels = torch.zeros(len(condition), *c.image_shape).long()

    @torch.inference_mode()
    def logits(self) -> Array:
        """Predict every dimension, although only one is needed."""
        row, col, channel = self.model.config.coordinates(self.position)
        features = self.model.encode(self.levels)
        everything = self.model.logits_from_features(features, self.condition)
        return everything[:, :, channel, row, col].numpy()

    def write(self, level: NDArray[np.int64]) -> None:
        """Put the levels in place."""
        row, col, channel = self.model.config.coordinates(self.position)
        self.levels[:, channel, row, col] = torch.from_numpy(np.array(level))
        self.position += 1

    def fork(self) -> "FullPass":
        """Copy the levels."""
        other = copy.copy(self)
        other.levels = self.levels.clone()
        return other

    def select(self, indices: NDArray[np.int64]) -> None:
        """Keep these images."""
        kept = torch.as_tensor(indices)
        self.levels, self.condition = self.levels[kept], self.condition[kept]


ARCHITECTURES: dict[str, type[Model]] = {}
"""Every architecture by its name."""

SomeModel = TypeVar("SomeModel", bound=type[Model])


def register(model: SomeModel) -> SomeModel:
    """Make an architecture known to everything outside of `models`."""
    ARCHITECTURES[model.Config.architecture] = model
    return model


def architecture(name: str) -> type[Model]:
    """Look an architecture up.

    Raises:
        ValueError: if there is none of this name.
    """
    if not isinstance(name, str) or name not in ARCHITECTURES:
        *most, last = map(repr, ARCHITECTURES)
        raise ValueError(
            f"`architecture` (={reprlib.repr(name)}) must be {', '.join(most)} or {last}."
        )
    return ARCHITECTURES[name]


def read_config(values: Mapping[str, Any]) -> ModelConfig:
    """Read what `ModelConfig.to_dict` wrote.

    Raises:
        ValueError: if architecture or a field is unknown, one is missing, or a value is wrong.
    """
    if not isinstance(values, Mapping):
        raise ValueError(f"`config` (={reprlib.repr(values)}) must be an object.")
    values = dict(values)
    return architecture(values.pop("architecture", None)).Config.from_dict(values)


StoredConfig = Annotated[ModelConfig, read_by(read_config), PlainSerializer(ModelConfig.to_dict)]
"""How files hold the configuration of a model of any architecture."""


def reshape_config(config: ModelConfig, name: str, **changes: Any) -> ModelConfig:
    """Take the settings over into another architecture, as far as it has them.

    Raises:
        ValueError: if a value breaks its rule.
    """
    other = architecture(name).Config
    shared = {f.name: getattr(config, f.name) for f in fields(other) if hasattr(config, f.name)}
    return other(**shared | changes)


def build_model(config: ModelConfig, most_weights: float = math.inf) -> Model:
    """Make a model with fresh weights from its configuration.

    Raises:
        ValueError: if its layers have more weights than they may have; none is made then.
    """
    with _Bounded(most_weights):
        return architecture(config.architecture)(config)


class _Bounded(TorchFunctionMode):
    """Counts the weights that layers ask for, before they get the memory."""

    def __init__(self, most: float) -> None:
        super().__init__()
        self.left, self.most = most, most

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func is torch.empty:
            size = args[0] if args and not isinstance(args[0], int) else args
            self.left -= math.prod(size)
            if self.left < 0:
                raise ValueError(f"it needs more weights than {self.most:,}")
        return func(*args, **(kwargs or {}))
