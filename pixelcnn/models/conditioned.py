"""A gated PixelCNN that is given evidence: pixels that are known, and hints drawn by hand.

Shapes: B batch, C image channels, F features, H rows, W columns.
"""

import copy
from collections.abc import Sequence
from typing import ClassVar, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pixelcnn.config import settings
from pixelcnn.models.base import Array, Features, Model, Stepper, register
from pixelcnn.models.gated import GatedConfig, GatedPixelCNN, GatedStepper


class Evidence(NamedTuple):
    """What is given of B pictures."""

    levels: Tensor
    """int64 (B, C, H, W), values 0..K-1; only known pixels and hints matter."""
    known: Tensor
    """bool (B, 1, H, W), True where a pixel is a fact."""
    hints: Tensor
    """bool (B, 1, H, W), True where somebody drew what the picture is to be like about there;
    disjoint from `known`."""

    def check(self, model: Model) -> None:
        """Check evidence before it is used.

        Raises:
            ValueError: if a shape, type or level is wrong, or a pixel is both known and a hint.
        """
        model.check_levels(self.levels)
        expected = (len(self.levels), 1, *self.levels.shape[2:])
        for name, values in (("known", self.known), ("hints", self.hints)):
            if values.shape != expected or values.dtype != torch.bool:
                raise ValueError(
                    f"`{name}` (shape {tuple(values.shape)}, {values.dtype}) must be bool "
                    f"{expected}."
                )
        if both := int((self.known & self.hints).sum()):
            raise ValueError(
                f"`hints`: {both} of its pixels are in `known` too; they must be apart."
            )


class Reading(NamedTuple):
    """What the encoder makes of evidence."""

    features: Tensor
    """(B, E, H, W); 0 for a picture of which nothing is given."""
    class_logits: Tensor
    """Which class the evidence speaks for, (B, Y), or (B, 1) without any."""
    marginals: Tensor
    """What each dimension is likely to be, given the evidence alone: logits (B, C * K, H, W)."""


@settings
class ConditionedConfig(GatedConfig):
    """Settings of the conditioned model: those of the gated one, and of its encoder."""

    architecture: ClassVar[str] = "conditioned"

    _added_later = {"twist": False}

    encoder_features: Features = 96
    """Features of the unmasked network that reads the evidence."""
    twist: bool = False
    """Whether a network judges how well a picture fits hints, so that completions follow them."""


class EncoderBlock(nn.Module):
    """Residual block of the encoder: a 3x3 convolution, then 1x1."""

    def __init__(self, size: int, dilation: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(size, size, 3, padding=dilation, dilation=dilation)
        self.expand = nn.Conv2d(size, size, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, E, H, W) to the same shape."""
        return x + self.expand(F.silu(self.conv(F.silu(x))))


class Reader(nn.Sequential):
    """Say something about a whole picture: maps (B, inputs, H, W) to numbers (B, outputs)."""

    def __init__(
        self, inputs: int, outputs: int, sizes: Sequence[int], strides: Sequence[int]
    ) -> None:
        layers: list[nn.Module] = []
        for size, stride in zip(sizes, strides, strict=True):
            layers += [nn.Conv2d(inputs, size, 3, stride=stride, padding=1)]
            layers += [nn.GroupNorm(1, size), nn.SiLU()]
            inputs = size
        layers += [nn.Conv2d(inputs, inputs, 3, padding=1), nn.SiLU()]
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, outputs)]
        super().__init__(*layers)


class Encoder(nn.Module):
    """Read all evidence at once, without a mask: a bias for every block at every position.

    Most of it works on half the rows and columns, where six 3x3 kernels reach across a picture of
    28 pixels.

    References:
        Dupont and Suresha 2018, arXiv 1810.03728, section 3 (pixel constrained CNN), where the
        other network adds to the logits only.
    """

    dilations = (1, 2, 4, 1, 2, 4)

    def __init__(self, config: ConditionedConfig) -> None:
        super().__init__()
        size, gate = config.encoder_features, 2 * config.num_features
        features = config.num_channels * config.features_per_channel
        self.first = nn.Conv2d(2 + features, size, 3, padding=1)
        self.down = nn.Conv2d(size, size, 3, stride=2, padding=1)
        self.blocks = nn.ModuleList(EncoderBlock(size, dilation) for dilation in self.dilations)
        self.last = nn.Conv2d(size, size, 3, padding=1)
        self.norm = nn.GroupNorm(1, size)  # biases far from 0 would close the gates for good
        # The last gated block has no vertical gate. Without a bias: no features, no change.
        gates = [2 * gate] * (config.num_blocks - 1) + [gate]
        self.biases = nn.ModuleList(nn.Conv2d(size, size_, 1, bias=False) for size_ in gates)
        for layer in self.biases:
            nn.init.zeros_(layer.weight)
        self.logits = nn.Conv2d(size, config.num_channels * config.num_levels, 1, bias=False)
        nn.init.zeros_(self.logits.weight)
        self.marginals = nn.Conv2d(size, config.num_channels * config.num_levels, 1)
        count = max(1, config.num_classes)
        self.classes = Reader(2 + features, count, (48, 96, 160), (2, 2, 2))
        self.twist = None
        if config.twist:  # `benchmarks/readers.py` trains it; until then everything fits
            self.twist = Reader(4, count, (32, 64, 128), (1, 2, 2)).requires_grad_(False)
            nn.init.zeros_(self.twist[-1].weight)
            nn.init.zeros_(self.twist[-1].bias)

    def forward(self, evidence: Evidence, features: Tensor) -> Reading:
        """Read the evidence, and its levels as `Model.encode` turns them into features."""
        given = evidence.known | evidence.hints
        maps = self.maps(evidence, features)
        fine = self.first(maps)
        coarse = self.down(F.silu(fine))  # (B, E, H / 2, W / 2), rounded up
        for block in self.blocks:
            coarse = block(coarse)
        x = fine + F.interpolate(coarse, size=fine.shape[2:])
        x = self.norm(self.last(F.silu(x))) * given.any((1, 2, 3), keepdim=True)
        return Reading(x, self.classes(maps), self.marginals(x))

    @staticmethod
    def maps(evidence: Evidence, features: Tensor) -> Tensor:
        """Lay out what is known, what is a hint, and its levels: (B, 2 + C * E, H, W)."""
        _, known, hints = evidence
        levels = features * (known | hints)
        return torch.cat([known.to(levels.dtype), hints.to(levels.dtype), levels], 1)

    def steer(self, reading: Reading) -> list[Tensor]:
        """Give what steers the gated network; all is 0 where nothing is given.

        Returns:
            For each gated block (B, 4F, H, W): for the horizontal gate, then the vertical one; for
            the last block (B, 2F, H, W). At the end what is added to the logits, (B, C * K, H, W).
        """
        return [layer(reading.features) for layer in [*self.biases, self.logits]]


@register
class ConditionedPixelCNN(GatedPixelCNN):
    """A gated PixelCNN and an encoder: every pixel is drawn knowing all evidence.

    One ordinary pass of ancestral sampling draws from p(x | evidence) as it was learned. Without
    evidence it is the gated model that its training began with, whose weights stay as they are;
    only the encoder learns.

    References:
        Dupont and Suresha 2018, arXiv 1810.03728; Ivanov et al. 2019, arXiv 1806.02382; Strauss
        and Oliva 2021, arXiv 2102.04426.
    """

    Config = ConditionedConfig
    title = "Conditioned PixelCNN"
    about = "A gated PixelCNN that an encoder tells what is known of the picture, to complete it."
    begins_with = GatedPixelCNN
    reads_evidence = True

    def __init__(self, config: ConditionedConfig) -> None:
        super().__init__(config)
        for parameter in self.parameters():
            parameter.requires_grad_(False)
        self.encoder = Encoder(config)
        self.evidence_biases: Sequence[Tensor] | None = None

    def given(self, evidence: Evidence) -> Self:
        """Return the model that has read this evidence; it shares its weights.

        Arguments:
            evidence: of one drawing, B = 1, for any number of pictures; or of B pictures.

        Raises:
            ValueError: if a shape, type or value breaks the rules of `Evidence`.
        """
        evidence.check(self)
        other = copy.copy(self)
        with torch.no_grad():
            other.evidence_biases = self.encoder.steer(self.read(evidence))
        return other

    @torch.inference_mode()
    def class_probabilities(self, evidence: Evidence) -> Tensor:
        """Say how probable each class is given the evidence, as the encoder learned it: (B, Y).

        Raises:
            ValueError: if a shape, type or value breaks the rules of `Evidence`.
        """
        evidence.check(self)
        maps = self.encoder.maps(evidence, self.encode(evidence.levels))
        return self.encoder.classes(maps).double().softmax(1)

    @property
    def judges_hints(self) -> bool:
        """Whether `log_fit` says how well a picture fits hints."""
        return self.encoder.twist is not None

    def log_fit(self, levels: Tensor, drawn: Tensor, evidence: Evidence) -> Tensor:
        """Say how well pictures fit hints, as far as they are drawn.

        It sees brightness only, in squares of 2 x 2 pixels: shapes count, not patterns.

        Arguments:
            levels: int64 (B, C, H, W).
            drawn: bool (B, 1, H, W), what of them counts.
            evidence: of one picture, B = 1, for all of them; or of B pictures.

        Returns:
            log p(hints | drawn levels, class) - log p(hints | class), as learned, for each class:
            (B, Y), or (B, 1) without any, nats.
        """
        hints, ink = evidence.hints.expand_as(drawn), evidence.levels.expand_as(levels)
        bright = (
            where * values.float().mean(1, keepdim=True) / (self.config.num_levels - 1)
            for values, where in ((levels, drawn), (ink, hints))
        )
        maps = torch.cat([drawn, hints, *bright], 1).to(next(self.parameters()).dtype)
        return self.encoder.twist(F.avg_pool2d(maps, 2, ceil_mode=True))

    def read(self, evidence: Evidence) -> Reading:
        """Run the encoder."""
        return self.encoder(evidence, self.encode(evidence.levels))

    def forward(
        self,
        levels: Tensor,
        label: Tensor | None = None,
        order: Tensor | None = None,
        evidence: Evidence | None = None,
        encoder_only: bool = False,
    ) -> Tensor | tuple[Tensor | None, Reading]:
        """Predict every dimension from the ones before it and from the evidence, in one pass.

        Arguments:
            levels: int64 (B, C, H, W).
            label: see `Model.forward`.
            order: see `Model.forward`.
            evidence: for training, what is given of each picture, turned like the levels.
            encoder_only: leave the gated network out, and return None for its logits.

        Returns:
            Logits (B, K, C, H, W); with evidence also what the encoder reads.
        """
        if evidence is None:
            return super().forward(levels, label, order)
        reading = self.read(evidence)
        if encoder_only:
            return None, reading
        condition = self.condition(len(levels), label, order)
        features = self.encode(levels)
        biases = self.encoder.steer(reading)
        return self.logits_from_features(features, condition, biases), reading

    def logits_from_features(
        self, features: Tensor, condition: Tensor, biases: Sequence[Tensor] | None = None
    ) -> Tensor:
        """Predict from the output of `encode`: (B, K, C, H, W)."""
        biases = self.evidence_biases if biases is None else biases
        if biases is None:
            return super().logits_from_features(features, condition)
        *biases, more = biases
        logits = self.logits_from_head(self._run(features, condition, biases)[1])
        return logits + more.unflatten(1, (self.config.num_channels, -1)).transpose(1, 2)

    def residual_stream(self, features: Tensor, condition: Tensor) -> list[Tensor]:
        """Give the features of the horizontal stack; the last block adds to none."""
        biases = None if self.evidence_biases is None else self.evidence_biases[:-1]
        return self._run(features, condition, biases)[0]

    def convolutions(self) -> dict[str, nn.Conv2d]:
        """List the masked convolutions; the encoder has no masks."""
        layers = super().convolutions()
        return {path: layer for path, layer in layers.items() if not path.startswith("encoder")}

    @torch.inference_mode()
    def stepper(self, condition: Tensor) -> Stepper:
        """Draw row by row and pixel by pixel; the encoder has run in `given`."""
        biases = self.evidence_biases
        if biases is None:
            return super().stepper(condition)
        if len(biases[-1]) > 1:
            raise ValueError(
                f"`given` was told of {len(biases[-1])} drawings; only one can be drawn at a time."
            )
        return ConditionedStepper(self, condition, biases)


class ConditionedStepper(GatedStepper):
    """`ConditionedPixelCNN` after it has read the evidence."""

    def __init__(
        self, model: ConditionedPixelCNN, condition: Tensor, biases: Sequence[Tensor]
    ) -> None:
        super().__init__(model, condition, biases[:-1])
        self.more = biases[-1].permute(2, 3, 0, 1).numpy()  # (H, W, 1, C * K)

    def logits(self) -> Array:
        """Add what the encoder says of the dimension itself."""
        row, col, channel = self.config.coordinates(self.position)
        levels = slice(channel * self.config.num_levels, (channel + 1) * self.config.num_levels)
        return super().logits() + self.more[row, col, :, levels]
