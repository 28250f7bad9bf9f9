"""Settings as frozen dataclasses: how a model is trained, how pixels are drawn.

Every setting exists once, with its range and one line of documentation: checkpoints store
`to_dict()`, the command line and the pages make their controls from the fields, and `from_dict`
accepts exactly what `to_dict` wrote. What a model is made of stands beside the model, see
`pixelcnn.models`.
"""

import functools
import reprlib
import typing
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from typing import Annotated, Any, ClassVar, Literal, Self, get_args, get_origin

import pydantic
from pydantic import ConfigDict, Field, ValidationError

Count = Annotated[int, Field(ge=1, le=10**9)]
Text = Annotated[str, Field(max_length=4096), "be a text of at most 4096 characters, in UTF-8"]
Share = Annotated[float, Field(ge=0, le=1)]
STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
"""How everything from outside is read: no value is converted, nothing unknown is taken in."""


class Settings:
    """What all configurations share; made into frozen, checked dataclasses by `settings`."""

    _added_later: ClassVar[dict[str, Any]] = {}
    """Fields that files of earlier versions lack, with what held then."""
    _taken_back: ClassVar[dict[str, tuple[Any, str]]] = {}
    """Fields that files of earlier versions may have: the value that means nothing, and what any
    other value says."""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON values."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build the configuration from exactly the fields that `to_dict` writes, or wrote once.

        Raises:
            ValueError: if a field is unknown, missing or no longer supported, or a value breaks
                its rule.
        """
        if not isinstance(values, Mapping):
            raise ValueError(f"{cls.__name__} (={reprlib.repr(values)}) must be an object.")
        values = cls._added_later | dict(values)
        for name, (nothing, what) in cls._taken_back.items():
            if (value := values.pop(name, nothing)) != nothing:
                shown = reprlib.repr(value)
                raise ValueError(f"`{name}` (={shown}): {what} are no longer supported.")
        names = {f.name for f in fields(cls)}
        unknown, missing = sorted(values.keys() - names), sorted(names - values.keys())
        if unknown or missing:
            raise ValueError(
                f"{cls.__name__}: unknown fields {reprlib.repr(unknown)}, missing fields "
                f"{missing}; expected exactly {sorted(names)}."
            )
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})

    def require(self, name: str, holds: bool, rule: str) -> None:
        """Check a rule that a range cannot say.

        Raises:
            ValueError: names field, value and rule, if it does not hold.
        """
        if not holds:
            raise ValueError(f"`{name}` (={getattr(self, name)!r}) must {rule}.")


@typing.dataclass_transform(frozen_default=True, kw_only_default=True)
def settings(cls: type) -> type:
    """Make a frozen dataclass whose fields are checked: types strictly, ranges, no others."""
    config = STRICT | ConfigDict(use_attribute_docstrings=True)
    made = pydantic.dataclasses.dataclass(cls, frozen=True, kw_only=True, config=config)
    check = made.__init__

    @functools.wraps(check)
    def initialize(self: Any, /, **values: Any) -> None:
        try:
            check(self, **values)
        except ValidationError as error:
            raise ValueError(f"{fault_of(error, made)}.") from None

    made.__init__ = initialize
    return made


def read_by(read: Callable[[Any], Settings]) -> pydantic.BeforeValidator:
    """Let a field take what a file holds: settings, or what `read` makes of other values."""
    return pydantic.BeforeValidator(lambda v: v if isinstance(v, Settings) else read(v))


def fault_of(error: Exception, cls: type | None = None) -> str:
    """Say in one line, without a full stop, what is wrong with values from outside.

    It is the first fault; of the fields of `cls`, if they are such, with the rule of the field.
    """
    if isinstance(error, OSError):
        return error.strerror or str(error)
    if not isinstance(error, ValidationError):
        return str(error).removesuffix(".")
    fault = error.errors(include_url=False)[0]
    if text := str(fault.get("ctx", {}).get("error", "")):  # of `require`
        return text.removesuffix(".")
    # What people chose as a name may be long, or no text that can be shown.
    names = [reprlib.repr(str(part)).strip("'") for part in fault["loc"]]
    value = reprlib.repr(fault["input"])
    if cls is None:
        return f"{'.'.join(names)} (={value}): {fault['msg']}" if names else fault["msg"]
    if names[0] not in cls.__pydantic_fields__:
        return f"{cls.__name__} has no field `{names[0]}`"
    return f"`{names[0]}` (={value}) must {rule_of(cls, names[0])}"


def rule_of(cls: type, name: str) -> str:
    """Say which values a field takes: "be an integer from 1 to 256"."""
    info = cls.__pydantic_fields__[name]
    if text := next((m for m in info.metadata if isinstance(m, str)), None):
        return text
    if choices := choices_of(cls, name):
        *most, last = map(repr, choices)
        return f"be {', '.join(most)} or {last}"
    if (limits := limits_of(cls, name)) is not None:
        kinds = (info.annotation, *get_args(info.annotation))
        kind = "a number" if float in kinds else "an integer"
        return f"be {kind} from {limits[0]} to {limits[1]}"
    return "be true or false" if info.annotation is bool else "be a text"


def choices_of(cls: type, name: str) -> tuple[Any, ...]:
    """List the values of a field that takes only some; empty for any other field."""
    annotation = cls.__pydantic_fields__[name].annotation
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def limits_of(cls: type, name: str) -> tuple[float, float] | None:
    """Give the smallest and the largest value of a field that is a number."""
    rules = cls.__pydantic_fields__[name].metadata
    found = {
        bound: getattr(m, bound) for m in rules for bound in ("ge", "le") if hasattr(m, bound)
    }
    return (found["ge"], found["le"]) if len(found) == 2 else None


def doc_of(cls: type, name: str) -> str:
    """Return the text under a field, where it is declared."""
    return next(
        info.description
        for base in cls.__mro__
        if (info := vars(base).get("__pydantic_fields__", {}).get(name)) and info.description
    )


def _rising(stages: tuple[int, ...]) -> tuple[int, ...]:
    if any(b <= a for a, b in zip((0, *stages), stages, strict=False)):
        raise ValueError
    return stages


@settings
class TrainConfig(Settings):
    """How a model is trained."""

    _added_later = {"label_contrast": 0.0, "encoder_images": 0}

    dataset: Text = "fashion-mnist"
    """Name of a data set, see `pixelcnn.data.datasets.DATASETS`."""
    total_images: Count = 60_000
    """Images to be seen in all; the learning rate reaches zero there."""
    batch_size: Annotated[int, Field(ge=1, le=4096)] = 16
    """Images in one optimizer update."""
    learning_rate: Share = 8e-3
    """Highest learning rate, reached after the warm-up."""
    warmup_fraction: Share = 0.03
    """Share of `total_images` over which the learning rate rises linearly."""
    weight_decay: Share = 0.01
    """Decoupled weight decay of both optimizers, Muon and AdamW."""
    max_grad_norm: Annotated[float, Field(ge=1e-6, le=1e6)] = 1.0
    """Gradients are scaled down to this norm."""
    ema_decay: Annotated[float, Field(ge=0, le=0.999999)] = 0.999
    """Decay of the exponential moving average of the weights, per update."""
    label_dropout: Share = 0.1
    """Share of the images whose label is hidden, so that the model can also draw any class."""
    label_contrast: Annotated[float, Field(ge=0, le=1e6)] = 0.0
    """Weight of telling the class of each image from another one, beside its likelihood. 200 makes
    samples keep to their class, for twice the work; 0 leaves it out."""
    encoder_images: Annotated[int, Field(ge=0, le=10**9)] = 0
    """Images over which a model that reads evidence trains its encoder alone, which is quicker."""
    bfloat16: bool = True
    """Run forward and backward passes in bfloat16 where the operation allows it."""
    validation_images: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """Images of the validation split that are scored at each evaluation."""
    evaluate_every: Count = 5000
    """Images between two evaluations."""
    stages: Annotated[
        tuple[int, ...],
        pydantic.AfterValidator(_rising),
        "be a list of rising integers greater than 0",
    ] = ()
    """Images seen after which the checkpoint is also kept as a stage, in NAME-stages/."""
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    """Fixes the initial weights, the order of the images and the dropout."""

    def check_fits(self, num_classes: int) -> None:
        """Check what depends on the model too.

        Raises:
            ValueError: if there are no two classes to be told apart, but they should be.
        """
        fits = self.label_contrast == 0 or num_classes > 1
        self.require("label_contrast", fits, f"be 0 with num_classes (={num_classes})")


StoredTrainConfig = Annotated[TrainConfig, read_by(TrainConfig.from_dict)]


@settings
class SamplingRule(Settings):
    """How the predicted distribution is changed before a level is drawn from it.

    The order is temperature, then top-k, then top-p.
    """

    temperature: Annotated[float, Field(ge=0, le=100)] = 1.0
    """Logits are divided by it; 1 is the model itself, 0 always takes the most probable level."""
    top_k: Annotated[int | None, Field(ge=1, le=256)] = None
    """Keep only the k most probable levels; None keeps all."""
    top_p: Share = 1.0
    """Keep the smallest set of levels whose probability reaches p; 1 keeps all."""

    def __post_init__(self) -> None:
        # A logit divided by less could overflow.
        cold = 0 < self.temperature < 1e-6
        self.require("temperature", not cold, "be 0, or at least 1e-06")
        self.require("top_p", self.top_p > 0, "be greater than 0")
