"""The fast sampler is the slow one: same numbers, whatever the batch, the rule or the way."""

import itertools
from functools import partial

import numpy as np
import pytest
import torch

from pixelcnn.config import SamplingRule
from pixelcnn.evaluation.likelihoods import bits_per_dim
from pixelcnn.sampling import Sampler, make_noise, sample, sample_cached, sample_naive
from pixelcnn.sampling.naive import iter_naive
from pixelcnn.sampling.rules import draw, probabilities

from .tiny import ARCHITECTURES, RULES, label_of, naive_levels, tiny_config, tiny_model

SHARP = SamplingRule(temperature=0.5, top_k=3)
SHAPES = [
    {"height": 5, "width": 7, "first_kernel_size": 5, "dilations": (1, 2)},
    {"height": 7, "width": 3, "kernel_size": 5, "dilations": (2, 1), "reads_above": False},
    {"height": 3, "width": 5, "num_channels": 3},
    {"height": 1, "width": 6, "dilations": (8,)},
]


def drawn(model, noise, rule, label=None):
    """Levels, and the logits (dimensions, B, K) they were drawn from, by the cached sampler."""
    sampler = Sampler(model, noise, label)
    logits = [sampler.step(rule)[1] for _ in range(model.config.num_dims)]
    assert sampler.done
    return sampler.levels, np.stack(logits)


def begun(model, noise, count, *condition):
    """A sampler that has drawn so many dimensions."""
    sampler = Sampler(model, noise, *condition)
    for _ in range(count):
        sampler.step(RULES[0])
    return sampler


def finished(sampler, rule):
    while not sampler.done:
        sampler.step(rule(sampler.position) if callable(rule) else rule)
    return sampler.levels.copy()


def in_order(logits):
    """Logits (B, K, C, H, W) as the sampler gives them, (dimensions, B, K)."""
    return logits.permute(3, 4, 2, 0, 1).flatten(0, 2).numpy()


@pytest.mark.parametrize("case", range(len(SHAPES)))
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_cached_sampler_equals_naive_sampler_at_every_position(architecture, case):
    num_images, num_classes = (1, 0) if case == 0 else (3, 2)
    rule = RULES[case % len(RULES)]
    model = tiny_model(architecture, num_classes=num_classes, num_levels=5, **SHAPES[case])
    noise = make_noise(model.config, num_images=num_images, seed=3)
    label = label_of(model.config, num_images)
    naive_logits = []
    for naive, logits in iter_naive(model, noise, rule, label):  # noqa: B007 - the last one
        naive_logits.append(logits)
    levels, logits = drawn(model, noise, rule, label)
    assert np.array_equal(levels, naive.numpy())
    np.testing.assert_allclose(logits, np.stack(naive_logits), rtol=0, atol=1e-10)
    np.testing.assert_allclose(logits, in_order(model(naive, label)), rtol=0, atol=1e-10)


@pytest.mark.parametrize("method", ["cached", "naive"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_picture_is_the_same_alone_and_in_any_batch(architecture, method):
    model = tiny_model(architecture, num_classes=3)
    draw = partial(sample, model, seed=4, method=method, rule=RULES[1])
    together = draw(num_images=4, label=[0, 1, 2, 3])
    for i in range(4):
        assert torch.equal(draw(first_image=i, label=i), together[i : i + 1])
    assert torch.equal(draw(num_images=2, first_image=2, label=[2, 3]), together[2:])


@pytest.mark.parametrize("value", [-0.1, 1.0, float("nan")])
@pytest.mark.parametrize("sampler", [sample_naive, sample_cached])
def test_noise_outside_the_unit_interval_is_refused(sampler, value):
    model = tiny_model()
    noise = make_noise(model.config, num_images=2, seed=0)
    noise[1, 0, 2, 2] = value
    with pytest.raises(ValueError, match=r"`noise` .* must lie in \[0, 1\)"):
        sampler(model, noise, RULES[0])


def test_noise_is_fixed_by_seed_and_image_and_lies_in_the_unit_interval():
    config = tiny_config(num_channels=3)
    noise = make_noise(config, num_images=5, seed=9)
    assert noise.shape == (5, 3, 5, 6) and noise.dtype == np.float64
    assert (noise >= 0).all() and (noise < 1).all()
    assert np.array_equal(make_noise(config, num_images=2, seed=9, first_image=3), noise[3:])
    assert len(np.unique(noise)) == noise.size
    others = {"seed": 10}, {"seed": 9 + 2**32}, {"seed": 9, "stream": "completions"}
    for other in others:  # large seeds and other uses share nothing with it
        assert not np.isin(make_noise(config, num_images=5, **other), noise).any()


@pytest.mark.parametrize("label", [None, 1])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_pictures_come_as_often_as_the_model_says(architecture, label):
    model = tiny_model(architecture, num_levels=2, num_classes=2, height=1, width=3)
    images = torch.tensor(list(itertools.product(range(2), repeat=3))).view(-1, 1, 1, 3)
    probability = 2.0 ** (-3 * bits_per_dim(model, images, label)).numpy()
    count = 4000
    levels = sample(model, num_images=count, seed=1, label=label).flatten(1)
    code = (levels * torch.tensor([4, 2, 1])).sum(1).numpy()
    frequency = np.bincount(code, minlength=8) / count
    # Eight frequencies within 4 standard deviations each: chance of failing once, 5e-4; the seed
    # is fixed, so it passes always or never.
    bound = 4 * np.sqrt(probability * (1 - probability) / count)
    assert (abs(frequency - probability) <= bound).all()


@pytest.mark.parametrize(("num_channels", "num_images"), [(1, 2), (3, 1)])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_rewinding_to_any_position_gives_the_same_picture_again(
    architecture, num_channels, num_images
):
    model = tiny_model(architecture, num_channels=num_channels, height=4, width=5)
    noise = make_noise(model.config, num_images=num_images, seed=6)
    rule = RULES[1]
    picture, logits = drawn(model, noise, rule)
    sampler = Sampler(model, noise)
    for position in range(0, model.config.num_dims + 1, 4):
        finished(sampler, rule)
        sampler.rewind(position)
        assert sampler.position == position
        for later in range(position, model.config.num_dims):
            np.testing.assert_allclose(sampler.step(rule)[1], logits[later], rtol=0, atol=1e-12)
        assert np.array_equal(sampler.levels, picture)


@pytest.mark.parametrize("num_channels", [1, 3])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_wandering_back_and_forth_under_other_rules_leaves_no_trace(architecture, num_channels):
    model = tiny_model(architecture, num_channels=num_channels, num_classes=2)
    noise = make_noise(model.config, num_images=2, seed=7)
    label = torch.tensor([1, 2])
    random = np.random.default_rng(0)
    sampler = Sampler(model, noise, label)
    for _ in range(12):  # draw some under a random rule, go back to a random place
        rule = RULES[random.integers(3)]
        for _ in range(min(random.integers(1, 40), model.config.num_dims - sampler.position)):
            sampler.step(rule)
        for _ in range(random.integers(1, 3)):
            sampler.rewind(int(random.integers(sampler.position + 1)))
        if random.random() < 0.3:
            sampler = sampler.fork()
    sampler.rewind(0)
    assert np.array_equal(
        finished(sampler, SHARP), sample_cached(model, noise, SHARP, label).numpy()
    )


@pytest.mark.parametrize("start", [0, 22])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_forks_that_are_drawn_in_turn_are_the_naive_pictures_with_their_levels(
    architecture, start
):
    model = tiny_model(architecture, num_channels=3, height=3, width=4, num_classes=2)
    noise = make_noise(model.config, num_images=2, seed=8)
    label = torch.tensor([0, 2])

    def rules(position):  # a rule may change at any dimension
        return RULES[position // 8 % 3]

    trunk = Sampler(model, noise, label)
    picture = finished(trunk, rules)
    assert np.array_equal(picture, naive_levels(model, noise, rules, label).numpy())
    trunk.rewind(start)
    forks = [trunk.fork() for _ in range(4)]
    for level, fork in enumerate(forks):
        assert (fork.step(rules(start), forced=level)[0] == level).all()
    logits = [[] for _ in forks]
    while not trunk.done:
        for fork, kept in zip(forks, logits, strict=True):
            if not fork.done:
                kept.append(fork.step(rules(fork.position))[1])
        trunk.step(rules(trunk.position))
    assert np.array_equal(trunk.levels, picture)
    # The forks one after the other, each of two pictures.
    forced, label = np.arange(4).repeat(2), label.repeat(4)
    wanted = naive_levels(model, np.tile(noise, (4, 1, 1, 1)), rules, label, {start: forced})
    assert np.array_equal(np.concatenate([fork.levels for fork in forks]), wanted.numpy())
    whole = in_order(model(wanted, label))[start + 1 :]
    np.testing.assert_allclose(np.concatenate(logits, 1), whole, rtol=0, atol=1e-10)


def test_a_model_that_still_records_gradients_can_be_sampled_but_not_in_training_mode():
    model = tiny_model().requires_grad_(True)
    assert torch.equal(sample(model), sample(tiny_model()))
    with pytest.raises(ValueError, match="evaluation mode"):
        sample(model.train())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_images": 0}, r"`num_images` \(=0\) must be an integer of at least 1"),
        ({"seed": -1}, r"`seed` \(=-1\)"),
        ({"seed": 1.5}, r"`seed` \(=1.5\)"),
        ({"first_image": -1}, r"`first_image` \(=-1\)"),
        ({"method": "fast"}, r"must be 'cached' or 'naive'"),
        ({"label": 3}, r"must lie in 0..1, or be 2 for any class"),
        ({"label": [0, 1, 1]}, r"must be int64 \(2,\)"),
        ({"rule": SamplingRule(top_k=5)}, r"`top_k` \(=5\) must be between 1 and num_levels"),
    ],
)
def test_wrong_arguments_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        sample(tiny_model(num_classes=2), **({"num_images": 2} | changes))


def test_wrong_use_of_the_sampler_is_refused():
    model = tiny_model()
    with pytest.raises(ValueError, match=r"`noise` \(shape \(1, 1, 6, 5\)\) must be \(B, 1, 5, 6"):
        Sampler(model, np.zeros((1, 1, 6, 5)))
    with pytest.raises(ValueError, match="trained without labels"):
        Sampler(model, np.zeros((1, 1, 5, 6)), torch.tensor([0]))
    sampler = Sampler(model, make_noise(model.config, num_images=1, seed=0))
    sampler.step(SHARP)
    for position in (-1, 2):
        with pytest.raises(ValueError, match=rf"`position` \(={position}\) must lie in 0..1"):
            sampler.rewind(position)
    for level in (-1, 4):
        with pytest.raises(ValueError, match=rf"`forced` \(={level}\) must lie in 0..3"):
            sampler.step(SHARP, forced=level)
    assert sampler.position == 1  # a refused step draws nothing
    finished(sampler, SHARP)
    with pytest.raises(StopIteration):
        sampler.step(SHARP)


CHOICES = [[0, 0, 1, 1, 2], [2, 2, 0], [1], [0, 1, 2]]


@pytest.mark.parametrize(("shape", "indices"), list(zip(SHAPES, CHOICES, strict=True)))
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_resampled_images_go_on_as_if_they_had_been_drawn_like_that(architecture, shape, indices):
    model = tiny_model(architecture, num_classes=2, num_levels=5, **shape)
    dims, label = model.config.num_dims, torch.tensor([0, 1, 2])
    early = make_noise(model.config, num_images=3, seed=3)
    late = make_noise(model.config, num_images=len(indices), seed=4)
    for position in {0, 1, dims // 2, dims}:
        sampler = begun(model, early, position, label)
        fork, history = sampler.fork(), sampler.levels[indices]
        sampler.resample(np.array(indices), late)
        logits = [sampler.step(RULES[0])[1] for _ in range(position, dims)]
        # The whole network says the same of every picture, so nothing of another was mixed in.
        whole = in_order(model(torch.from_numpy(sampler.levels), label[indices]))
        for step in range(dims):
            row, col, channel = sampler.config.coordinates(step)
            at = np.s_[:, channel, row, col]
            wanted = history[at]
            if step >= position:
                ours = logits[step - position]
                np.testing.assert_allclose(ours, whole[step], rtol=0, atol=1e-10)
                wanted = draw(probabilities(ours, RULES[0]), late[at])
            assert np.array_equal(sampler.levels[at], wanted)
        # The sampler that it was forked from has noticed nothing.
        anew = sample_cached(model, early, RULES[0], label)
        assert np.array_equal(finished(fork, RULES[0]), anew.numpy())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_prediction_is_made_once_and_moves_with_its_image(architecture):
    model = tiny_model(architecture, num_channels=3, num_classes=2)
    noise = make_noise(model.config, num_images=2, seed=1)
    sampler = Sampler(model, noise, torch.tensor([0, 1]))
    for _ in range(20):
        logits = sampler.predict()
        assert sampler.predict() is logits
        assert sampler.step(SHARP)[1] is logits
    logits = sampler.predict().copy()
    sampler.resample(np.array([1, 0]))
    assert np.array_equal(sampler.predict(), logits[[1, 0]])
    sampler.rewind(20)
    np.testing.assert_allclose(sampler.step(SHARP)[1], logits[[1, 0]], rtol=0, atol=1e-12)
    finished(sampler, SHARP)
    with pytest.raises(StopIteration):
        sampler.predict()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_copies_differ_from_the_resampling_on_and_are_rewound_no_further(architecture):
    model = tiny_model(architecture)
    for position in (0, 6, 10, 17):
        sampler = begun(model, make_noise(model.config, num_images=4, seed=0), position)
        sampler.resample(np.array([1, 1, 1, 1]))
        picture = finished(sampler, RULES[0])
        flat = picture.reshape(4, -1)
        assert (flat[:, :position] == flat[0, :position]).all()
        assert len(np.unique(flat, axis=0)) == 4
        sampler.rewind(position)
        assert np.array_equal(finished(sampler, RULES[0]), picture)
        with pytest.raises(ValueError, match=rf"must lie in {position}\.\.30"):
            sampler.rewind(position - 1)


@pytest.mark.parametrize("indices", [[0, 2], [-1], [], [0.5], [[0]], 0])
def test_only_images_of_the_batch_can_be_resampled(indices):
    model = tiny_model()
    sampler = Sampler(model, make_noise(model.config, num_images=2, seed=0))
    with pytest.raises(ValueError, match=r"`indices` .* must be a list of integers 0\.\.1"):
        sampler.resample(np.array(indices))
    with pytest.raises(ValueError, match=r"`noise` \(shape \(2, 1, 5, 6\)\) must be \(3, 1, 5, 6"):
        sampler.resample(np.array([0, 0, 1]))


def test_what_stands_where_nothing_is_drawn_yet_makes_no_difference():
    model = tiny_model("classic")
    noise = make_noise(model.config, num_images=2, seed=3)
    canvas = torch.randint(model.config.num_levels, noise.shape)
    drawn = [sample_naive(model, noise, SamplingRule(), None, None, c) for c in (None, canvas)]
    assert torch.equal(*drawn)
