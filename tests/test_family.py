"""The family: numbers against direct computation, the sentences, the shipped members."""

from dataclasses import replace

import pytest
import torch

from pixelcnn.commands.main import main
from pixelcnn.evaluation.family import (
    CURVES_PATH,
    Member,
    after_same_cpu_time,
    answer_claim,
    measure_range,
    name_leaders,
    read_curves,
)
from pixelcnn.evaluation.likelihoods import bits_per_dim, surprise_bits
from pixelcnn.evaluation.stored import load_numbers, numbers_path, percent
from pixelcnn.inspection.influence import influence
from pixelcnn.inspection.receptive_field import as_images, check_causality, in_order
from pixelcnn.progress import drain
from pixelcnn.storage import list_checkpoints, list_prices, load_checkpoint
from pixelcnn.ui.family.members import families

from .tiny import random_levels, tiny_model

PRICES = list_prices()
FAR = 28


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("gru", (1, 3, 4)), ("transformer", (1, 3, 4)), ("classic", (1, 4, 3)),
        ("gated", (3, 2, 3)), ("lstm", (1, 1, 7)),
    ],
)  # fmt: skip
def test_influence_and_what_is_lost_are_those_of_trying_every_pair(name, shape):
    channels, height, width = shape
    model = tiny_model(name, num_classes=3, num_channels=channels, height=height, width=width)
    c, label = model.config, torch.tensor([2, 0])
    levels, others = (random_levels(c, 2, seed) for seed in (0, 1))
    total = c.num_dims
    moved, moved_in_picture, lost = ([[] for _ in range(total)] for _ in range(3))
    for image, its_label, other in zip(levels, label, others, strict=True):
        flat, far = (x.permute(1, 2, 0).flatten() for x in (image, other))
        score = lambda x: in_order(  # noqa: E731
            surprise_bits(model(x, its_label[None]), image[None])[:, None]  # noqa: B023
        )[0, :, 0]
        known = score(image[None])
        for j in range(total):
            for i in range(j):
                level = int(flat[i] + c.num_levels // 2) % c.num_levels
                found = influence(
                    model, image[None], int(its_label), changed=i, level=level, predicted=j
                )
                moved[j - i].append(found.total_variation)
                (row, col, _), (its_row, its_col, _) = c.coordinates(j), c.coordinates(i)
                apart = max(abs(row - its_row), abs(col - its_col))
                moved_in_picture[apart].append(found.total_variation)
            for n in range(total - 1):
                told = torch.where(torch.arange(total) < j - n, far, flat)
                lost[n].append(float((score(as_images(told[None], c)) - known)[j]))
    got = drain(measure_range(model, levels.to(torch.uint8), label, others.to(torch.uint8)))
    for found, pairs in zip(
        got, (moved[1:], moved_in_picture[1 : max(height, width)], lost[:-1]), strict=False
    ):
        wanted = [sum(values) / len(values) for values in pairs]
        assert found.tolist() == pytest.approx(wanted, abs=1e-6)
    if height == channels == 1:
        assert torch.equal(got[0], got[1])
    assert got[3] == pytest.approx(float(bits_per_dim(model, levels, label).mean()))


MEMBER = Member(
    dataset="mnist", architecture="gated", num_parameters=9, images_seen=100,
    validation_bits_per_dim=2.9, past_seen=1.0, training_seconds=0.1, drawing_seconds=0.1,
    naive_seconds=1.0, num_images=1, bits_per_dim=3.0, influence=[0.3] + [0.01] * 70,
    bits_lost=[0.05] * 71,
)  # fmt: skip


@pytest.mark.parametrize(
    ("bits", "lost", "verdict"),
    [
        (2.8, 0.2, "the claim holds here"),
        (3.0, 0.2, "not better for it here"),
        (2.8, 0.01, "better here, but not because"),
        (2.9, 0.05, "the claim does not hold here"),
    ],
)
def test_the_three_sentences_say_what_the_numbers_say(bits, lost, verdict):
    gpt = replace(
        MEMBER, architecture="transformer", validation_bits_per_dim=bits, bits_lost=[lost] * 71
    )
    weaker = replace(MEMBER, architecture="classic", validation_bits_per_dim=3.3)
    first, second, third = answer_claim([weaker, gpt, MEMBER], FAR)
    assert f"{bits:.2f}" in first and "the gated PixelCNN 2.90" in first
    share = sum(MEMBER.influence[FAR:]) / sum(MEMBER.influence)
    assert f"{percent(share, 0)} comes from more than {FAR} steps" in second
    assert f"{lost:.3f} bits/dim more, the PixelCNN 0.050" in third and verdict in third
    better = {2.8: "the transformer is better, by 0.10", 3.0: "the gated PixelCNN is better"}
    assert better.get(bits, "neither is clearly better") in first
    assert answer_claim([weaker, MEMBER], FAR) == []


def test_after_the_same_time_a_member_needs_what_its_curve_says_between_two_points():
    members = {
        name: replace(MEMBER, images_seen=100, training_seconds=seconds)
        for name, seconds in (("fast", 3.0), ("slow", 4.0), ("late", 40.0), ("unknown", 5.0))
    }
    curves = {
        "fast": [(50, 3.1), (100, 2.5)],
        "slow": [(50, 4.0), (70, 3.0), (80, 2.0), (100, 1.0)],
        "late": [(10, 3.0), (100, 0.5)],
        "of no member": [(1, 1.0)],
    }
    seconds, bits = after_same_cpu_time(members, curves)
    assert seconds == 300.0
    assert bits == {"fast": 2.5, "slow": pytest.approx(2.5)}  # after 75 images
    assert after_same_cpu_time(members, {}) == (300.0, {})


def test_the_leaders_are_those_of_the_numbers_and_close_ones_share_the_lead():
    members = {
        name: replace(MEMBER, validation_bits_per_dim=bits)
        for name, bits in (("A", 2.9), ("B", 2.7), ("C", 2.8))
    }
    same_images = "After the same images, B leads (2.700 bits/dim)"
    assert name_leaders(members, 90.0, {"A": 3.0, "B": 3.2}) == (
        f"{same_images}; after the same CPU time, 1.5 minutes each, A leads (3.000 bits/dim) "
        "among the 2 models with a value."
    )
    close = name_leaders(members, 90.0, {"B": 3.003, "A": 3.0, "C": 3.2})
    assert close.endswith("A and B share the lead (3.000 bits/dim).")
    assert name_leaders(members, 90.0, {"A": 3.0}) == f"{same_images}."


@pytest.mark.parametrize("name", PRICES)
def test_a_shipped_price_is_causal_and_small(name):
    model, info = load_checkpoint(PRICES[name])
    assert check_causality(model, range(model.config.num_dims)).is_causal
    assert info.dataset == "price" and model.num_parameters < 20_000


def test_every_member_of_a_shipped_family_is_measured_and_has_its_curve():
    for family in families():
        for name, info in family.members.items() if family.images_seen else ():
            numbers = load_numbers(numbers_path("family", name), Member)
            assert numbers, f"run: python -m pixelcnn measure family {name}"
            assert not numbers.outdated, f"run: {numbers.command}"
            assert numbers.values.validation_bits_per_dim == info.bits_per_dim["validation"]
            longest = max(info.config.height, info.config.width)
            assert len(numbers.values.influence_in_picture) == longest - 1
            assert read_curves()[name][-1][0] == info.images_seen, "see learning_curves.py"


def test_prices_are_not_offered_where_pictures_are():
    assert PRICES and not set(PRICES) & set(list_checkpoints())
    assert sum(path.stat().st_size for path in PRICES.values()) < 2**20
    assert CURVES_PATH.exists()


def test_the_command_measures_a_member_and_keeps_it(tmp_path, capsys):
    output = tmp_path / "numbers.json"
    name = next(iter(PRICES))
    assert main(["measure", "family", name, "--num-images", "1", "--output", str(output)]) == 0
    kept = load_numbers(output, Member)
    assert kept.command == f"python -m pixelcnn measure family {name} --num-images 1"
    assert f"{kept.values.bits_per_dim:.3f} bits/dim" in capsys.readouterr().out
    assert len(kept.values.influence) == len(kept.values.bits_lost) == 103
