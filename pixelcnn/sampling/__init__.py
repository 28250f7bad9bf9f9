"""Drawing pictures: rules, noise, the naive reference and the fast exact sampler."""

from collections.abc import Generator, Sequence
from typing import Any

import torch
from torch import Tensor

from pixelcnn.config import SamplingRule
from pixelcnn.models import Model
from pixelcnn.orders import from_raster
from pixelcnn.progress import drain
from pixelcnn.sampling.naive import iter_naive, sample_naive
from pixelcnn.sampling.noise import make_noise
from pixelcnn.sampling.rules import Explanation, draw, explain, probabilities
from pixelcnn.sampling.sampler import Sampler, iter_cached, sample_cached

__all__ = [
    "Sampler",
    "Explanation",
    "draw",
    "explain",
    "iter_samples",
    "label_tensor",
    "make_noise",
    "probabilities",
    "sample",
    "sample_cached",
    "sample_naive",
]


def sample(model: Model, **settings: Any) -> Tensor:
    """Draw pictures. Seed and image index fix a picture, whatever the batch or the method.

    In float64 that is exact. In float32 the two methods, and batches of other sizes, round in
    other places: where a uniform number lies within that of an edge, another level is drawn.

    Settings, result and errors are those of `iter_samples`.
    """
    return drain(iter_samples(model, **settings))


def iter_samples(
    model: Model,
    *,
    num_images: int = 1,
    seed: int = 0,
    rule: SamplingRule | None = None,
    label: int | Sequence[int] | Tensor | None = None,
    method: str = "cached",
    first_image: int = 0,
    order: int = 0,
) -> Generator[float, None, Tensor]:
    """Draw pictures, and yield after each row the share that is done.

    Arguments:
        model: a model in evaluation mode.
        num_images: B, at least 1.
        seed: 0 or greater.
        rule: temperature, top-k and top-p; None is the model itself.
        label: one class for all, B classes, or None for any class.
        method: "cached" (fast) or "naive" (the reference); the same result.
        first_image: index of the first picture.
        order: raster order, see `pixelcnn.orders.ORDER_NAMES`; other than 0 only for a model
            trained for it.

    Returns:
        Levels int64 (B, C, H, W), values 0..K-1.

    Raises:
        ValueError: if an argument breaks its rule.
    """
    if method not in ("cached", "naive"):
        raise ValueError(f"`method` (={method!r}) must be 'cached' or 'naive'.")
    if model.training:
        raise ValueError("`model` must be in evaluation mode: call model.eval() first.")
    noise = make_noise(model.config, num_images=num_images, seed=seed, first_image=first_image)
    iterate = {"cached": iter_cached, "naive": iter_naive}[method]
    labels, orders = label_tensor(label, num_images), torch.full((num_images,), order)
    in_row = model.config.width * model.config.num_channels
    steps = iterate(model, noise, rule or SamplingRule(), labels, orders)
    for position, step in enumerate(steps, 1):
        levels, _ = step
        if position % in_row == 0:
            yield position / model.config.num_dims
    return from_raster(levels, order)


def label_tensor(label: int | Sequence[int] | Tensor | None, num_images: int) -> Tensor | None:
    """Turn one class, or one class per image, into int64 (B,); None stays None."""
    if label is None:
        return None
    label = torch.as_tensor(label, dtype=torch.int64)
    return label.expand(num_images) if label.ndim == 0 else label
