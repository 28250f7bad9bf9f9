"""The classifier that judges drawn pictures, and the commands that print what it says."""

import math

import pytest
import torch

from pixelcnn.commands.main import main
from pixelcnn.config import SamplingRule, TrainConfig
from pixelcnn.data import datasets as data
from pixelcnn.evaluation import class_accuracy
from pixelcnn.evaluation.class_accuracy import (
    draw_every_class,
    recognised,
    share_by_class,
    train_classifier,
)
from pixelcnn.evaluation.likelihoods import bits_per_dim, ensemble_bits_per_dim
from pixelcnn.orders import ORDER_NAMES
from pixelcnn.progress import drain
from pixelcnn.sampling import sample
from pixelcnn.storage import checkpoint_path, load_checkpoint, read_info

from .commands import RUN, SHAPE, refused, train_new, working_folder
from .tiny import tiny_model


@pytest.fixture
def folder(tmp_path, monkeypatch):
    return working_folder(tmp_path, monkeypatch)


def striped_images(count, seed=0):
    """Pictures whose class is the direction of their stripes: a thing to learn."""
    generator = torch.Generator().manual_seed(seed)
    label = torch.arange(count) % 2
    stripes = (torch.arange(8) % 2 * 3).expand(count, 1, 8, 8)
    levels = torch.where(label.view(-1, 1, 1, 1) == 1, stripes.transpose(2, 3), stripes)
    noise = torch.randint(0, 4, levels.shape, generator=generator)
    keep = torch.rand(levels.shape, generator=generator) < 0.7
    return torch.where(keep, levels, noise).to(torch.uint8), label


def test_the_classifier_learns_what_can_be_learned_and_is_always_the_same(monkeypatch):
    monkeypatch.setattr(class_accuracy, "EPOCHS", 2)
    images = striped_images(1000)
    one, two = (drain(train_classifier(*images, num_levels=4, num_classes=2)) for _ in range(2))
    levels, label = striped_images(200, seed=1)
    assert not one.training
    assert recognised(one, levels, label).double().mean() > 0.98
    assert recognised(one, levels, 1 - label).double().mean() < 0.02
    assert torch.equal(one(levels.float()), two(levels.float()))
    shares = share_by_class(torch.tensor([1, 0, 1, 1]) > 0, torch.tensor([0, 0, 1, 1]), 3)
    assert shares[:2] == [0.5, 1.0] and math.isnan(shares[2])


def test_every_class_is_asked_for_in_turn_and_pictures_do_not_depend_on_the_batch():
    model = tiny_model(num_classes=3)
    rule = SamplingRule(temperature=0.7)
    parts = list(draw_every_class(model, 105, 4, rule))
    levels, label = (torch.cat(part) for part in zip(*parts, strict=True))
    assert label.tolist() == [i % 3 for i in range(105)]
    alone = sample(model, seed=4, rule=rule, label=103 % 3, first_image=103)
    assert torch.equal(levels[103], alone[0])


def test_class_accuracy_is_printed_for_each_class(folder, capsys):
    train_new()
    capsys.readouterr()
    assert main(["evaluate", "run:new", "--class-accuracy", "--num-images", "20"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["class", "drawn", "real"]
    assert lines[1].startswith("T-shirt/top") and lines[11].startswith("all")
    shares = [float(line.split()[-2].rstrip("%")) for line in lines[1:12]]
    assert shares[-1] == pytest.approx(sum(shares[:-1]) / 10, abs=0.06)  # two pictures of each
    assert "20 pictures drawn at temperature 1, 6 real test images" in lines[-1]
    assert main(f"train plain {SHAPE} {RUN} --total-images 5 --unconditional".split()) == 0
    refused(capsys, "evaluate run:plain --class-accuracy", "to ask for a class")


def test_a_model_of_eight_orders_is_trained_and_scored_in_each(folder, capsys):
    command = f"train new {SHAPE} {RUN} --total-images 20 --num-orders 8"
    assert main(command.split()) == 0
    capsys.readouterr()
    assert main(["evaluate", "run:new", "--split", "test", "--write"]) == 0
    lines = capsys.readouterr().out.splitlines()
    model, _ = load_checkpoint(checkpoint_path("run:new"))
    levels, label = data.load_dataset("fashion-mnist", "test", num_levels=4)
    scores = torch.stack([bits_per_dim(model, levels.long(), label, o) for o in range(8)], 1)
    for order, (name, line) in enumerate(zip(ORDER_NAMES, lines[:8], strict=True)):
        assert line.startswith(name) and f" {scores[:, order].mean():.4f} " in line
    ensemble = ensemble_bits_per_dim(scores.double(), 784).mean()
    assert lines[8].startswith("ensemble") and f" {ensemble:.4f} " in lines[8]
    assert read_info(checkpoint_path("run:new")).bits_per_dim["test"] == pytest.approx(
        scores.mean().item(), abs=1e-5
    )


def test_an_ensemble_is_the_mean_probability():
    bits = torch.tensor([[1.0, 2.0], [3.0, 3.0]], dtype=torch.float64)
    probabilities = 2 ** (-bits * 4)
    expected = -torch.log2(probabilities.mean(1)) / 4
    torch.testing.assert_close(ensemble_bits_per_dim(bits, 4), expected)
    assert (ensemble_bits_per_dim(bits, 4) <= bits.mean(1)).all()


@pytest.mark.parametrize("stages", [(0,), (5, 5), (7, 3), (1.5,), [3]])
def test_stages_must_rise(stages):
    with pytest.raises(ValueError, match="rising integers"):
        TrainConfig(stages=stages)
