"""Tiny models with random weights, and what gradients and a slow loop say about them.

Images are never square, so that rows and columns cannot be confused, and everything is float64, so
that "equal" can mean 1e-10. Biases and label tables are random too: no activation is dead for all
inputs, and a label that is not used would be noticed.
"""

import numpy as np
import torch
from torch import nn

from pixelcnn.config import SamplingRule
from pixelcnn.inspection.receptive_field import in_order
from pixelcnn.models import ARCHITECTURES as REGISTERED
from pixelcnn.models import ModelConfig, architecture, build_model
from pixelcnn.models.convolutions import ConvolutionModel
from pixelcnn.sampling.rules import draw, probabilities

from . import causal_average  # noqa: F401 - registers a third architecture

ARCHITECTURES = tuple(REGISTERED)
TRAINED_WHOLE = tuple(n for n, m in REGISTERED.items() if m.begins_with is None)
CONVOLUTIONAL = tuple(n for n, m in REGISTERED.items() if issubclass(m, ConvolutionModel))
RULES = (
    SamplingRule(),
    SamplingRule(temperature=0.8, top_k=3, top_p=0.9),
    SamplingRule(temperature=0.0),
)


def tiny_config(name="gated", **changes) -> ModelConfig:
    """A model of two blocks for 5 x 6 images of 4 levels."""
    values = {
        "num_levels": 4,
        "height": 5,
        "width": 6,
        "num_frequencies": 3,
        "num_features": 6,
        "head_features": 6,
        "first_kernel_size": 3,
        "kernel_size": 3,
        "dilations": (1, 2),
        "encoder_features": 8,
        "num_layers": 2,
        "num_heads": 2,
        "features_per_head": 3,
        "attention_every": 1,
    }
    config = architecture(name).Config
    return config(**{k: v for k, v in (values | changes).items() if hasattr(config, k)})


def tiny_model(architecture="gated", *, dtype=torch.float64, seed=0, **changes):
    """The model of `tiny_config` with weights, biases and label tables all random."""
    return randomize(build_model(tiny_config(architecture, **changes)), seed).to(dtype)


def randomize(module: nn.Module, seed=0):
    """Give every parameter random values, biases included; no gradient is recorded for them."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        fan_in = max(1, parameter[0].numel()) if parameter.ndim == 4 else 1
        scale = 2.0 / fan_in**0.5 if parameter.ndim == 4 else 0.2
        values = torch.randn(parameter.shape, generator=generator) * scale
        parameter.data = values.half().float()  # as precise as stored weights
    return module.eval().requires_grad_(False)


def random_levels(config: ModelConfig, num_images: int, seed=0):
    """Random images, int64 (B, C, H, W)."""
    shape = (num_images, config.num_channels, config.height, config.width)
    return torch.randint(
        0, config.num_levels, shape, generator=torch.Generator().manual_seed(seed)
    )


def label_of(config: ModelConfig, num_images: int):
    """Classes 0, 1, .. in turn and "any class" last; None for a model without labels."""
    return torch.arange(num_images) % (config.num_classes + 1) if config.num_classes else None


def dependence(model, *, inputs=6):
    """Absolute gradients of every prediction with respect to every dimension, (N, N).

    Summed over the features of a dimension and over several random inputs.
    """
    c = model.config
    position = torch.arange(c.num_dims)
    total = 0
    for seed in range(inputs):
        levels = random_levels(c, c.num_dims, seed)  # another image for each output
        features = model.encode(levels).requires_grad_(True)
        condition = model.condition(c.num_dims, label_of(c, c.num_dims))
        logits = in_order(model.logits_from_features(features, condition))[position, position]
        weights = torch.randn(logits.shape, generator=torch.Generator().manual_seed(seed))
        (gradient,) = torch.autograd.grad((logits * weights).sum(), features)
        total = total + gradient.abs()
    return total.unflatten(1, (c.num_channels, -1)).sum(2).permute(0, 2, 3, 1).flatten(1).numpy()


def naive_levels(model, noise, rules, label=None, forced=None):
    """Sample by one full pass per dimension; `rules` and `forced` are by position.

    A forced level is one for all images, or one for each.
    """
    forced = forced or {}
    levels = torch.zeros(noise.shape, dtype=torch.int64)
    c = model.config
    for position in range(c.num_dims):
        row, col, channel = c.coordinates(position)
        with torch.no_grad():
            logits = model(levels, label)[:, :, channel, row, col].numpy()
        rule = rules(position) if callable(rules) else rules
        level = draw(probabilities(logits, rule), noise[:, channel, row, col])
        levels[:, channel, row, col] = torch.as_tensor(forced.get(position, level))
    return levels


def pixel_offsets(height, width):
    """Row and column distance of every pair of pixels: two arrays (H*W output, H*W input).

    Positive means that the input lies below, or to the right of, the output.
    """
    row, col = np.divmod(np.arange(height * width), width)
    return row[None, :] - row[:, None], col[None, :] - col[:, None]
