"""Whole models: what a prediction may and must depend on, and what is refused."""

from functools import partial

import numpy as np
import pytest
import torch

from pixelcnn.evaluation.likelihoods import (
    bits_per_dim,
    entropy_bits,
    nats_to_bits_per_dim,
    surprise_bits,
)
from pixelcnn.inspection.receptive_field import (
    check_causality,
    dependency_maps,
    past_coverage,
    spread_positions,
)
from pixelcnn.models import read_config

from .tiny import (
    ARCHITECTURES,
    dependence,
    pixel_offsets,
    random_levels,
    randomize,
    tiny_config,
    tiny_model,
)

WIDE = {"num_features": 24, "head_features": 24}  # enough that no whole channel is dead
GEOMETRIES = [
    {"height": 5, "width": 7},
    {"height": 7, "width": 3, "first_kernel_size": 5, "dilations": (1, 2)},
    {"height": 6, "width": 9, "dilations": (2, 3)},
    {"height": 4, "width": 9, "kernel_size": 5, "dilations": (1,)},
    {"height": 1, "width": 6},
    {"height": 6, "width": 1},
    {"height": 3, "width": 4, "reads_above": False, "attention_every": 2, "num_layers": 1},
]
COLOURS_AND_CLASSES = [(1, 0), (3, 2), (1, 3), (3, 0), (1, 3), (3, 2), (1, 0)]
"""Number of channels and of classes, one pair for each geometry."""


@pytest.mark.parametrize(
    ("num_channels", "num_classes", "geometry"),
    [(*pair, g) for pair, g in zip(COLOURS_AND_CLASSES, GEOMETRIES, strict=True)],
)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_non_zero_gradients_are_the_dependencies_that_a_model_promises(
    architecture, num_channels, num_classes, geometry
):
    shape = {"num_channels": num_channels, "num_classes": num_classes, **geometry, **WIDE}
    model = tiny_model(architecture, **shape)
    promised = model.dependencies()
    assert not np.triu(promised).any()  # so nothing depends on itself, or on what comes later
    assert ((dependence(model) != 0) == promised).all()
    by_pixel = dependency_maps(model)
    others = ~np.eye(len(by_pixel), dtype=bool)
    assert (by_pixel == promised[::num_channels, ::num_channels])[others].all()


@pytest.mark.parametrize("architecture", ["gated", "classic"])
def test_the_classic_model_is_blind_above_to_the_right_and_the_gated_one_nowhere(architecture):
    model = tiny_model(architecture, height=7, width=9, dilations=(1, 1))
    down, right = pixel_offsets(7, 9)
    reach = 1 + 1 + 1
    past = (down < 0) | ((down == 0) & (right < 0))
    inside = past & (down >= -reach) & (abs(right) <= reach)
    blind_spot = inside & (right > -down)  # a step to the right costs a step up
    seen = inside & ~blind_spot if architecture == "classic" else inside
    assert blind_spot.any() and (model.dependencies() == seen).all()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_label_changes_the_prediction_and_none_means_any_class(architecture):
    model = tiny_model(architecture, num_classes=3)
    levels = random_levels(model.config, 1)
    by_class = [model(levels, torch.tensor([k])) for k in range(4)]
    for one, other in zip(by_class, by_class[1:], strict=False):
        assert not torch.allclose(one, other)
    assert torch.equal(model(levels), by_class[3])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_images_of_a_batch_do_not_meet_and_have_logits_for_each_level(architecture):
    model = tiny_model(architecture, num_classes=3, num_channels=3, num_levels=5)
    levels, label = random_levels(model.config, 4), torch.arange(4)
    together = model(levels, label)
    assert together.shape == (4, 5, 3, 5, 6)
    alone = torch.cat([model(levels[i : i + 1], label[i : i + 1]) for i in range(4)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("levels", "message"),
    [
        (torch.zeros(1, 1, 6, 5, dtype=torch.int64), r"shape \(1, 1, 6, 5\).*\(B, 1, 5, 6\)"),
        (torch.zeros(1, 3, 5, 6, dtype=torch.int64), r"must be int64 \(B, 1, 5, 6\)"),
        (torch.zeros(1, 5, 6, dtype=torch.int64), r"must be int64"),
        (torch.zeros(1, 1, 5, 6), r"torch.float32\) must be int64"),
        (torch.zeros(0, 1, 5, 6, dtype=torch.int64), r"at least one image"),
        (torch.full((1, 1, 5, 6), 4), r"values 4 to 4\) must lie in 0..3"),
        (torch.full((1, 1, 5, 6), -1), r"values -1 to -1\) must lie in 0..3"),
    ],
)
def test_wrong_levels_are_refused(levels, message):
    with pytest.raises(ValueError, match=message):
        tiny_model()(levels)


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (torch.tensor([0]), r"must be int64 \(2,\)"),
        (torch.tensor([0.0, 1.0]), r"must be int64 \(2,\)"),
        (torch.tensor([0, 4]), r"values 0 to 4\) must lie in 0..2, or be 3 for any class"),
        (torch.tensor([-1, 0]), r"values -1 to 0\)"),
    ],
)
def test_wrong_labels_are_refused(label, message):
    model = tiny_model(num_classes=3)
    levels = random_levels(model.config, 2)
    with pytest.raises(ValueError, match=message):
        model(levels, label)
    with pytest.raises(ValueError, match="trained without labels"):
        tiny_model()(levels, label)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_levels": 1}, "from 2 to 256"),
        ({"num_channels": 2}, "must be 1 or 3"),
        ({"num_channels": 3, "num_features": 8}, "multiple of num_channels"),
        ({"kernel_size": 4}, r"`kernel_size` \(=4\) must be 3, 5, 7 or 9"),
        ({"dilations": ()}, "1 to 64 integers"),
        ({"dilations": (0,)}, "integers from 1 to 16"),
        ({"height": True}, "be an integer"),
        ({"height": 128, "width": 97}, r"`width` \(=97\) .*\(=12416\) must be at most 12288"),
        ({"dropout": float("nan")}, "be a number from 0 to 0.9"),
        ({"num_orders": 8}, "unless height and width are equal"),
        ({"num_orders": 2}, "be 1 or 8"),
    ],
)
def test_impossible_configurations_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        tiny_config(**change)


def test_a_configuration_is_read_as_it_was_written_and_says_what_is_wrong_with_it():
    for name in ARCHITECTURES:
        config = tiny_config(name, num_classes=3)
        assert read_config(config.to_dict()) == config
    values = tiny_config().to_dict()
    assert read_config(values | {"num_kinds": 0, "copy_features": 0}) == tiny_config()
    for change, message in (
        ({"architecture": "other"}, "`architecture` .*must be 'classic', 'gated'.* or 'average'"),
        ({"architecture": ["gated"]}, "`architecture` .*must be 'classic', 'gated'"),
        ({"num_kinds": 64}, "`num_kinds` .=64.: models with hidden kinds are no longer supported"),
        ({"copy_features": 4}, "`copy_features` .=4.: .* are no longer supported"),
        ({"num_levels": "4"}, "`num_levels` .='4'. must be an integer from 2 to 256"),
        ({"dilations": 3}, "`dilations` .=3. must be"),
        ({"dilations": ["1"]}, "`dilations` .* must be"),
        ({"colour": 1}, r"unknown fields \['colour'\]"),
    ):
        with pytest.raises(ValueError, match=message):
            read_config(values | change)


@pytest.mark.parametrize(("num_channels", "num_orders"), [(1, 1), (3, 1), (1, 8)])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_check_causality_passes_and_counts_what_it_saw(architecture, num_channels, num_orders):
    shape = {"num_channels": num_channels, "num_orders": num_orders, "num_classes": 2}
    model = tiny_model(architecture, width=5 if num_orders == 8 else 6, **shape)
    total = model.config.num_dims
    report = check_causality(model, range(total))
    assert report.is_causal and report.positions_checked == report.num_dims == total
    assert report.future_pairs == total * (total + 1) // 2
    assert report.predictions_changed == 0  # no bit of them, whatever the later levels
    seen, past = past_coverage(model.dependencies())
    assert past == report.past_pairs == total * (total - 1) // 2
    assert 0.8 * seen <= report.past_pairs_seen <= seen  # one input: some units are dead


def leak_in_the_first_layer(model):
    model.first.set_mask("B", model.config.num_channels)
    randomize(model.first).double()


def leak_in_the_middle(model):
    model.blocks[1].horizontal.pad = (1, 1, 0, 0)  # one column too far to the right


def leak_of_a_colour(model, channel):
    mask = model.blocks[0].conv.mask  # (6, 6, 3, 3), two features per channel
    mask[2 * channel : 2 * channel + 2, :2, 2, 1] = 1  # the pixel below


@pytest.mark.parametrize(
    ("name", "num_channels", "leak"),
    [
        *(("classic", channels, leak_in_the_first_layer) for channels in (1, 3)),
        ("gated", 1, leak_in_the_middle),
        *(("classic", 3, partial(leak_of_a_colour, channel=c)) for c in range(3)),
    ],
)
def test_a_leak_is_found(name, num_channels, leak):
    model = tiny_model(name, num_channels=num_channels, num_features=12)
    leak(model)
    report = check_causality(model, range(model.config.num_dims))
    assert not report.is_causal and "NOT CAUSAL" in report.text


@pytest.mark.parametrize(("num_channels", "num_orders"), [(1, 1), (3, 1), (1, 8)])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_leak_through_a_step_is_found_in_any_order(architecture, num_channels, num_orders):
    shape = {"height": 5, "width": 5, "num_channels": num_channels, "num_orders": num_orders}
    model = tiny_model(architecture, **shape)
    assert check_causality(model, [12]).is_causal
    whole = model.logits_from_features

    def leaky(features, condition, *evidence):
        sees = (condition == num_orders - 1)[:, None, None]  # with labels of no class: the order
        is_drawn = (sees & (features[:, 1] == 0))[:, None, None]  # (B, 1, 1, H, W)
        return whole(features, condition, *evidence) + is_drawn * torch.arange(4).view(-1, 1, 1, 1)

    model.logits_from_features = leaky
    report = check_causality(model, [12])
    assert report.largest_future_gradient == 0 < report.predictions_changed
    assert not report.is_causal and "predictions changed" in report.text


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_weights_that_are_not_numbers_do_not_pass_as_causal(architecture):
    names = [name for name, _ in tiny_model(architecture).named_parameters()]
    for name in (n for n in names if not n.startswith("encoder.")):  # nothing is given to read
        model = tiny_model(architecture)
        model.get_parameter(name).fill_(float("nan"))
        assert not check_causality(model, [0, 29]).is_causal, name


@pytest.mark.parametrize(("positions", "message"), [([30], "lie in 0..29"), ([], "at least one")])
def test_check_causality_needs_positions_that_exist(positions, message):
    with pytest.raises(ValueError, match=message):
        check_causality(tiny_model(), positions)


@pytest.mark.parametrize("count", [2, 3, 8, 16, 30])
def test_spread_positions_hold_first_and_last_and_no_more_than_asked(count):
    positions = spread_positions(tiny_model(), count)
    assert positions[0] == 0 and positions[-1] == 29
    assert len(set(positions)) == len(positions) <= count
    assert len(positions) >= count * 0.6


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_probabilities_of_all_images_sum_to_one(architecture):
    model = tiny_model(architecture, num_levels=2, height=2, width=3, num_classes=2)
    images = torch.cartesian_prod(*[torch.arange(2)] * 6).view(-1, 1, 2, 3)
    for label in (0, 1, None):
        total = (2 ** (-6 * bits_per_dim(model, images, label))).sum().item()
        assert total == pytest.approx(1, abs=1e-10)


def test_bits_of_a_uniform_prediction_are_log2_of_the_levels_that_are_possible():
    logits, levels = torch.zeros(2, 8, 1, 3, 4), torch.ones(2, 1, 3, 4, dtype=torch.int64)
    assert torch.allclose(surprise_bits(logits, levels), torch.tensor(3.0))
    assert torch.allclose(entropy_bits(logits), torch.tensor(3.0))
    assert nats_to_bits_per_dim(torch.tensor(6.0), 2).item() == pytest.approx(3 / np.log(2))
    logits = torch.tensor([0.0, 0.0, -torch.inf]).view(1, 3, 1, 1, 1)
    assert entropy_bits(logits).item() == pytest.approx(1)
