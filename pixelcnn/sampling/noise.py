"""The random numbers of a picture: one for each dimension, fixed by seed and index."""

import numpy as np
from numpy.typing import NDArray

from pixelcnn.models import ModelConfig


def make_noise(
    config: ModelConfig, *, num_images: int, seed: int, first_image: int = 0
) -> NDArray[np.float64]:
    """Draw the uniform numbers of some images, from index `first_image` on.

    Image i depends on (seed, i) only: it is the same in any batch and for any sampler.

    Returns:
        (B, C, H, W), in [0, 1), B = num_images.

    Raises:
        ValueError: if a number is out of range.
    """
    for name, value, low in (
        ("num_images", num_images, 1), ("seed", seed, 0), ("first_image", first_image, 0)
    ):  # fmt: skip
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < low:
            raise ValueError(f"`{name}` (={value!r}) must be an integer of at least {low}.")
    shape = (config.num_channels, config.height, config.width)
    images = range(first_image, first_image + num_images)
    return np.stack([np.random.default_rng([seed, i]).random(shape) for i in images])


def check_noise(noise: NDArray[np.float64], config: ModelConfig) -> None:
    """Check that noise fits a model.

    Raises:
        ValueError: if its shape is not (B, C, H, W), or a number lies outside [0, 1).
    """
    expected = (config.num_channels, config.height, config.width)
    if noise.ndim != 4 or noise.shape[1:] != expected or noise.shape[0] == 0:
        raise ValueError(
            f"`noise` (shape {noise.shape}) must be (B, {', '.join(map(str, expected))})."
        )
    if not ((noise >= 0) & (noise < 1)).all():  # NaN fails as well
        raise ValueError(f"`noise` (values {noise.min()} to {noise.max()}) must lie in [0, 1).")
