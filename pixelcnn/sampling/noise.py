"""The random numbers of a picture: one for each dimension, fixed by seed and index."""

import numpy as np
from numpy.typing import NDArray

from pixelcnn.models import ModelConfig

STREAMS = ("samples", "completions", "resampling", "choice", "classes")
"""What random numbers are for; each has a stream of its own, so that none tells of another."""
LARGEST_SEED = 2**53 - 1
"""Whole numbers beyond are not exact in a browser, so a link could not bring the picture back."""
LARGEST_IMAGE = 2**32 - 1


def random_stream(seed: int, stream: str = "samples", image: int = 0) -> np.random.Generator:
    """Make the generator of one use, fixed by seed and image.

    Arguments:
        seed: 0 to 2**53 - 1.
        stream: one of `STREAMS`.
        image: 0 to 2**32 - 1.

    Raises:
        ValueError: if a number is out of range.
    """
    for name, value, last in (("seed", seed, LARGEST_SEED), ("image", image, LARGEST_IMAGE)):
        whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
        if not whole or not 0 <= value <= last:
            raise ValueError(f"`{name}` (={value!r}) must be an integer from 0 to {last}.")
    high, low = divmod(int(seed), 2**32)
    number = STREAMS.index(stream)
    # A key keeps streams apart, and the upper half of a seed from the image.
    key = (number, high) if number or high else ()
    return np.random.default_rng(np.random.SeedSequence([low, int(image)], spawn_key=key))


def make_noise(
    config: ModelConfig,
    *,
    num_images: int,
    seed: int,
    first_image: int = 0,
    stream: str = "samples",
) -> NDArray[np.float64]:
    """Draw the uniform numbers of some images, from index `first_image` on.

    Image i depends on (seed, i, stream) only: it is the same in any batch and for any sampler.
    Seeds go to 2**53 - 1; a stream is one of `STREAMS`.

    Returns:
        (B, C, H, W), in [0, 1), B = num_images.

    Raises:
        ValueError: if a number is out of range.
    """
    for name, value, low in (("num_images", num_images, 1), ("first_image", first_image, 0)):
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < low:
            raise ValueError(f"`{name}` (={value!r}) must be an integer of at least {low}.")
    shape = config.image_shape
    images = range(first_image, first_image + num_images)
    return np.stack([random_stream(seed, stream, i).random(shape) for i in images])


def check_noise(noise: NDArray[np.float64], config: ModelConfig) -> None:
    """Check that noise fits a model.

    Raises:
        ValueError: if its shape is not (B, C, H, W), or a number lies outside [0, 1).
    """
    expected = config.image_shape
    if noise.ndim != 4 or noise.shape[1:] != expected or noise.shape[0] == 0:
        raise ValueError(
            f"`noise` (shape {noise.shape}) must be (B, {', '.join(map(str, expected))})."
        )
    if not ((noise >= 0) & (noise < 1)).all():  # NaN fails as well
        raise ValueError(f"`noise` (values {noise.min()} to {noise.max()}) must lie in [0, 1).")
