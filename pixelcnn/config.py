"""Settings as frozen dataclasses: what a model is, how it is trained, how pixels are drawn.

Every setting exists once, here. Checkpoints store `to_dict()`, the command line and the pages
return these objects, and `from_dict` accepts exactly what `to_dict` wrote.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Literal, Self


class _Config:
    _taken_back: ClassVar[tuple[tuple[str, Any], ...]] = ()
    """Fields that files of earlier versions may have, with the value that means nothing."""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON values."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build the configuration from exactly the fields that `to_dict` writes, or wrote once.

        Raises:
            ValueError: if a field is unknown or missing, or a value breaks its rule.
        """
        values = dict(values)
        values = {k: v for k, v in values.items() if (k, v) not in cls._taken_back}
        names = {f.name for f in fields(cls)}
        unknown, missing = sorted(set(values) - names), sorted(names - set(values))
        if unknown or missing:
            raise ValueError(
                f"{cls.__name__}: unknown fields {unknown}, missing fields {missing}; "
                f"expected exactly {sorted(names)}."
            )
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})

    def _require(self, name: str, holds: bool, rule: str) -> None:
        if not holds:
            raise ValueError(f"`{name}` (={getattr(self, name)!r}) must {rule}.")

    def _require_integer(self, name: str, low: int, high: int) -> None:
        value = getattr(self, name)
        whole = isinstance(value, int) and not isinstance(value, bool)
        self._require(name, whole and low <= value <= high, f"be an integer from {low} to {high}")

    def _require_number(self, name: str, low: float, high: float) -> None:
        value = getattr(self, name)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        # NaN fails the comparison, so it is refused here as well.
        self._require(name, number and low <= value <= high, f"be a number from {low} to {high}")


@dataclass(frozen=True, kw_only=True)
class ModelConfig(_Config):
    """Shape of a model; with the weights, all that is needed to rebuild it."""

    _taken_back = (("copy_features", 0), ("num_kinds", 0))

    architecture: Literal["classic", "gated"] = "gated"
    """`classic` is the masked-convolution PixelCNN, `gated` has vertical and horizontal stacks."""
    num_levels: int = 256
    """K, intensity levels of one channel, 2 to 256."""
    num_channels: int = 1
    """C, image channels, 1 (grey) or 3 (R, G, B)."""
    height: int = 28
    """H, rows, 1 to 64."""
    width: int = 28
    """W, columns, 1 to 64."""
    num_classes: int = 0
    """Classes that the model can be asked for; 0 for a model without labels."""
    num_orders: int = 1
    """Raster orders that the model can be asked for: 1, or all 8 of a square image."""
    num_frequencies: int = 6
    """Sines and cosines of a level that the first layer reads, each of twice the frequency before,
    0 to 8; they tell near levels apart."""
    num_features: int = 64
    """F, features of every stack; a multiple of the number of channels."""
    head_features: int = 128
    """Features between the two 1x1 convolutions of the head; a multiple of the channels."""
    first_kernel_size: int = 7
    """Width of the first, type A, convolution; odd, 3 to 9."""
    kernel_size: int = 3
    """Width of the type B convolutions; odd, 3 to 9."""
    dilations: tuple[int, ...] = (1, 2, 4, 8, 1, 2, 4, 8)
    """Dilation of each residual block, 1 to 16; its length is the number of blocks."""
    dropout: float = 0.0
    """Probability with which a feature inside a block is dropped in training, 0 to 0.9."""

    def __post_init__(self) -> None:
        self._require(
            "architecture", self.architecture in ("classic", "gated"), "be 'classic' or 'gated'"
        )
        self._require_integer("num_levels", 2, 256)
        self._require(
            "num_channels",
            type(self.num_channels) is int and self.num_channels in (1, 3),
            "be 1 or 3",
        )
        for name in ("height", "width"):
            self._require_integer(name, 1, 64)
        self._require_integer("num_classes", 0, 1000)
        self._require_integer("num_frequencies", 0, 8)
        self._require("num_orders", self.num_orders in (1, 8), "be 1 or 8")
        square = self.num_orders == 1 or self.height == self.width
        self._require("num_orders", square, "be 1 unless height and width are equal")
        for name in ("num_features", "head_features"):
            self._require_integer(name, 1, 1024)
            multiple = getattr(self, name) % self.num_channels == 0
            self._require(name, multiple, f"be a multiple of num_channels (={self.num_channels})")
        for name in ("first_kernel_size", "kernel_size"):
            self._require_integer(name, 3, 9)
            self._require(name, getattr(self, name) % 2 == 1, "be odd")
        valid = isinstance(self.dilations, tuple) and 1 <= len(self.dilations) <= 64
        valid = valid and all(type(d) is int and 1 <= d <= 16 for d in self.dilations)
        self._require("dilations", valid, "be a list of 1 to 64 integers from 1 to 16")
        self._require_number("dropout", 0.0, 0.9)

    @property
    def num_blocks(self) -> int:
        """Number of residual blocks."""
        return len(self.dilations)

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
        """C * H * W, the number of scalars that are predicted."""
        return self.num_channels * self.height * self.width


@dataclass(frozen=True, kw_only=True)
class TrainConfig(_Config):
    """How a model is trained."""

    _added_later = {"label_contrast": 0.0}

    dataset: str = "fashion-mnist"
    """Name of a data set, see `pixelcnn.data.datasets.DATASETS`."""
    total_images: int = 60_000
    """Images to be seen in all; the learning rate reaches zero there."""
    batch_size: int = 16
    """Images in one optimizer update."""
    learning_rate: float = 8e-3
    """Highest learning rate, reached after the warm-up."""
    warmup_fraction: float = 0.03
    """Share of `total_images` over which the learning rate rises linearly."""
    weight_decay: float = 0.01
    """Decoupled weight decay of AdamW."""
    max_grad_norm: float = 1.0
    """Gradients are scaled down to this norm."""
    ema_decay: float = 0.999
    """Decay of the exponential moving average of the weights, per update."""
    label_dropout: float = 0.1
    """Share of the images whose label is hidden, so that the model can also draw any class."""
    label_contrast: float = 0.0
    """Weight of telling the class of each image from another one, beside its likelihood. 200 makes
    samples keep to their class, for twice the work; 0 leaves it out."""
    bfloat16: bool = True
    """Run forward and backward passes in bfloat16 where the operation allows it."""
    validation_images: int = 1000
    """Images of the validation split that are scored at each evaluation."""
    evaluate_every: int = 5000
    """Images between two evaluations."""
    stages: tuple[int, ...] = ()
    """Images seen after which the checkpoint is also kept as a stage, in NAME-stages/."""
    seed: int = 0
    """Fixes the initial weights, the order of the images and the dropout."""

    def __post_init__(self) -> None:
        whole = isinstance(self.stages, tuple) and all(type(s) is int for s in self.stages)
        rising = whole and all(a < b for a, b in zip((0, *self.stages), self.stages, strict=False))
        self._require("stages", rising, "be a list of rising integers greater than 0")
        for name, low, high in (
            ("total_images", 1, 10**9),
            ("batch_size", 1, 4096),
            ("validation_images", 1, 100_000),
            ("evaluate_every", 1, 10**9),
            ("seed", 0, 2**31 - 1),
        ):
            self._require_integer(name, low, high)
        for name, low, high in (
            ("learning_rate", 0.0, 1.0),
            ("warmup_fraction", 0.0, 1.0),
            ("weight_decay", 0.0, 1.0),
            ("max_grad_norm", 1e-6, 1e6),
            ("ema_decay", 0.0, 0.999999),
            ("label_dropout", 0.0, 1.0),
            ("label_contrast", 0.0, 1e6),
        ):
            self._require_number(name, low, high)
        self._require("bfloat16", isinstance(self.bfloat16, bool), "be true or false")

    def check_fits(self, model: ModelConfig) -> None:
        """Check what depends on the model too.

        Raises:
            ValueError: if there are no two classes to be told apart, but they should be.
        """
        fits = self.label_contrast == 0 or model.num_classes > 1
        self._require("label_contrast", fits, f"be 0 with num_classes (={model.num_classes})")


@dataclass(frozen=True, kw_only=True)
class SamplingRule(_Config):
    """How the predicted distribution is changed before a level is drawn from it.

    The order is temperature, then top-k, then top-p.
    """

    temperature: float = 1.0
    """Logits are divided by it; 1 is the model itself, 0 always takes the most probable level."""
    top_k: int | None = None
    """Keep only the k most probable levels; None keeps all."""
    top_p: float = 1.0
    """Keep the smallest set of levels whose probability reaches p; 1 keeps all."""

    def __post_init__(self) -> None:
        self._require_number("temperature", 0.0, 100.0)
        # A logit divided by less could overflow.
        cold = 0 < self.temperature < 1e-6
        self._require("temperature", not cold, "be 0, or at least 1e-06")
        if self.top_k is not None:
            self._require_integer("top_k", 1, 256)
        self._require_number("top_p", 0.0, 1.0)
        self._require("top_p", self.top_p > 0, "be greater than 0")
