"""Scores of one image, against direct computation from the logits."""

import gzip
import io
import math

import numpy as np
import pytest
import torch
from PIL import Image

from pixelcnn.evaluation.scores import (
    auroc,
    code_bits,
    complexity_bits,
    score_classes,
    score_image,
)

from .tiny import ARCHITECTURES, random_levels, tiny_model


def log2_probabilities(model, levels, label=None, order=0):
    """log2 p of every level of every dimension, straight from the logits."""
    labels = None if label is None else torch.tensor([label])
    logits = model(levels[None], labels, torch.tensor([order]))[0].numpy()  # (K, C, H, W)
    exponentials = np.exp(logits - logits.max(0))
    return np.log2(exponentials / exponentials.sum(0))


def of_levels(log2, levels):
    return np.take_along_axis(log2, levels.numpy()[None], 0)[0]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_surprise_and_entropy_are_those_of_the_logits(architecture, channels):
    shape = {"num_channels": channels, "num_features": 12, "head_features": 12}
    model = tiny_model(architecture, num_classes=3, **shape)
    levels = random_levels(model.config, 1)[0]
    score = score_image(model, levels, label=1)
    log2 = log2_probabilities(model, levels, 1)
    np.testing.assert_allclose(score.surprise_bits, -of_levels(log2, levels).sum(0), rtol=1e-10)
    entropy = -(2**log2 * log2).sum((0, 1))
    np.testing.assert_allclose(score.entropy_bits, entropy, rtol=1e-10)
    nats = score.log_probabilities.numpy()
    np.testing.assert_allclose(nats, log2 * math.log(2), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("order", range(8))
def test_maps_are_given_in_the_image_as_it_is_whatever_the_order(order):
    """The image is turned by hand, scored in the usual order, and every pixel is looked up."""
    model = tiny_model(num_classes=3, height=5, width=5, num_orders=8)
    levels = random_levels(model.config, 1)[0]
    score = score_image(model, levels, 2, order)
    pixel = np.arange(25).reshape(5, 5)
    for bit, turn in ((4, np.transpose), (2, np.flipud), (1, np.fliplr)):
        pixel = turn(pixel) if order & bit else pixel
    assert score.scan.tolist() == pixel.ravel().tolist()
    turned = levels.flatten()[torch.from_numpy(pixel.ravel().copy())].view(1, 5, 5)
    log2 = log2_probabilities(model, turned, 2, order)
    surprise = -of_levels(log2, turned).sum(0).ravel()
    np.testing.assert_allclose(score.surprise_bits.ravel()[score.scan], surprise, rtol=1e-10)
    np.testing.assert_allclose(score.cumulative_bits, surprise.cumsum(), rtol=1e-10)
    assert score.total_bits == pytest.approx(score.cumulative_bits[-1])
    assert score.bits_per_dim == pytest.approx(score.total_bits / 25)


def test_the_class_posterior_is_bayes_rule():
    model = tiny_model(num_classes=3)
    levels = random_levels(model.config, 1)[0]
    scores = score_classes(model, levels)
    *bits, any_class = (
        -of_levels(log2_probabilities(model, levels, c), levels).sum() for c in (0, 1, 2, None)
    )
    np.testing.assert_allclose(scores.total_bits, bits, rtol=1e-10)
    likelihood = 2 ** (bits[0] - np.array(bits))
    np.testing.assert_allclose(scores.posterior, likelihood / likelihood.sum(), rtol=1e-8)
    assert scores.any_class_bits == pytest.approx(any_class)
    with pytest.raises(ValueError, match=r"`num_classes` \(=0\)"):
        score_classes(tiny_model(), levels)


def test_codes_are_whole_files_that_can_be_read_again():
    levels = torch.arange(784).view(1, 28, 28) % 256
    bits = code_bits(levels, 256)
    packed = gzip.compress(bytes(levels.flatten().tolist()), 9, mtime=0)
    assert bits["gzip"] == 8 * len(packed)
    sizes = []
    for how in (
        {"optimize": True},
        *({"compress_level": 9, "compress_type": n} for n in range(5)),
    ):
        buffer = io.BytesIO()
        Image.fromarray(levels[0].numpy().astype(np.uint8)).save(buffer, "PNG", **how)
        sizes.append(len(buffer.getvalue()))
    assert bits["PNG"] == 8 * min(sizes)
    assert bits["uniform"] == 784 * 8
    assert complexity_bits(levels, 256) == min(bits["PNG"], bits["gzip"])
    assert code_bits(levels % 2, 2)["uniform"] == 784


def test_auroc_counts_the_pairs_that_are_in_the_right_order():
    random = np.random.default_rng(0)
    inside, outside = random.integers(0, 9, 40), random.integers(2, 12, 30)
    pairs = [(o > i) + 0.5 * (o == i) for i in inside for o in outside]
    assert auroc(inside, outside) == pytest.approx(np.mean(pairs))
    assert auroc(outside, inside) == pytest.approx(1 - np.mean(pairs))
    with pytest.raises(ValueError, match="at least one"):
        auroc([], [1])
