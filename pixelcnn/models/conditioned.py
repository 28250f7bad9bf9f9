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
from pixelcnn.models.base import Model, Stepper, register
from pixelcnn.models.convolutions import Features
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


@settings
class ConditionedConfig(GatedConfig):
    """Settings of the conditioned model: those of the gated one, and of its encoder."""

    architecture: ClassVar[str] = "conditioned"

    encoder_features: Features = 96
    """Features of the unmasked network that reads the evidence."""


class EncoderBlock(nn.Module):
    """Residual block of the encoder: a 3x3 convolution, then 1x1."""

    def __init__(self, size: int, dilation: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(size, size, 3, padding=dilation, dilation=dilation)
        self.expand = nn.Conv2d(size, size, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, E, H, W) to the same shape."""
        return x + self.expand(F.relu(self.conv(F.relu(x))))


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
        self.num_levels = config.num_levels
        self.first = nn.Conv2d(2 + config.num_channels, size, 3, padding=1)
        self.down = nn.Conv2d(size, size, 3, stride=2, padding=1)
        self.blocks = nn.ModuleList(EncoderBlock(size, dilation) for dilation in self.dilations)
        self.last = nn.Conv2d(size, size, 3, padding=1)
        # The last gated block has no vertical gate. Without a bias: no features, no change.
        gates = [2 * gate] * (config.num_blocks - 1) + [gate]
        self.biases = nn.ModuleList(nn.Conv2d(size, size_, 1, bias=False) for size_ in gates)
        for layer in self.biases:
            nn.init.zeros_(layer.weight)
        self.classes = nn.Linear(size, config.num_classes)

    def forward(self, evidence: Evidence) -> tuple[list[Tensor], Tensor]:
        """Read the evidence.

        Returns:
            The biases (B, 4F, H, W) of each gated block; the last has (B, 2F, H, W). The first 2F
            are those of the horizontal gate. All are 0 for a picture of which nothing is given.
            And logits of the classes that the evidence speaks for, (B, Y).
        """
        levels, known, hints = evidence
        given = known | hints
        dtype = self.first.weight.dtype
        scaled = (levels.to(dtype) * (2 / (self.num_levels - 1)) - 1) * given
        maps = torch.cat([known.to(dtype), hints.to(dtype), scaled], 1)  # (B, 2 + C, H, W)
        fine = self.first(maps)
        coarse = self.down(F.relu(fine))  # (B, E, H / 2, W / 2), rounded up
        for block in self.blocks:
            coarse = block(coarse)
        x = fine + F.interpolate(coarse, size=fine.shape[2:])
        x = F.relu(self.last(F.relu(x))) * given.any((1, 2, 3), keepdim=True)
        return [layer(x) for layer in self.biases], self.classes(F.relu(coarse).mean((2, 3)))


@register
class ConditionedPixelCNN(GatedPixelCNN):
    """A gated PixelCNN and an encoder: each pixel is drawn knowing all evidence, also what follows.

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
        self.check_evidence(evidence)
        other = copy.copy(self)
        with torch.no_grad():
            other.evidence_biases, _ = self.encoder(evidence)
        return other

    @torch.inference_mode()
    def class_probabilities(self, evidence: Evidence) -> Tensor:
        """Say how probable each class is given the evidence, as the encoder learned it: (B, Y).

        Raises:
            ValueError: if a shape, type or value breaks the rules of `Evidence`.
        """
        self.check_evidence(evidence)
        return self.encoder(evidence)[1].double().softmax(1)

    def check_evidence(self, evidence: Evidence) -> None:
        """Check evidence before it is used.

        Raises:
            ValueError: if it breaks the rules of `Evidence`.
        """
        self.check_levels(evidence.levels)
        shape = (len(evidence.levels), 1, self.config.height, self.config.width)
        for name, values in (("known", evidence.known), ("hints", evidence.hints)):
            if values.shape != shape or values.dtype != torch.bool:
                raise ValueError(
                    f"`{name}` (shape {tuple(values.shape)}, {values.dtype}) must be bool {shape}."
                )
        if both := int((evidence.known & evidence.hints).sum()):
            raise ValueError(f"`hints` ({both} of its pixels) must not be in `known` too.")

    def forward(
        self,
        levels: Tensor,
        label: Tensor | None = None,
        order: Tensor | None = None,
        evidence: Evidence | None = None,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Predict every dimension from the ones before it and from the evidence, in one pass.

        Arguments:
            levels, label, order: see `Model.forward`.
            evidence: for training, what is given of each picture, turned like the levels.

        Returns:
            Logits (B, K, C, H, W); with evidence also logits of the classes, (B, Y).
        """
        if evidence is None:
            return super().forward(levels, label, order)
        biases, class_logits = self.encoder(evidence)
        condition = self.condition(len(levels), label, order)
        return self.logits_from_features(self.encode(levels), condition, biases), class_logits

    def logits_from_features(
        self, features: Tensor, condition: Tensor, biases: Sequence[Tensor] | None = None
    ) -> Tensor:
        """Predict from the output of `encode`: (B, K, C, H, W)."""
        biases = self.evidence_biases if biases is None else biases
        return self.logits_from_head(self._run(features, condition, biases)[1])

    def residual_stream(self, features: Tensor, condition: Tensor) -> list[Tensor]:
        """Give the features of the horizontal stack; the last block adds to none."""
        return self._run(features, condition, self.evidence_biases)[0]

    def convolutions(self) -> dict[str, nn.Conv2d]:
        """List the masked convolutions; the encoder has no masks."""
        layers = super().convolutions()
        return {path: layer for path, layer in layers.items() if not path.startswith("encoder")}

    @torch.inference_mode()
    def stepper(self, condition: Tensor) -> Stepper:
        """Draw row by row and pixel by pixel; the encoder has run in `given`."""
        return GatedStepper(self, condition, self.evidence_biases)
