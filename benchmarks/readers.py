"""Train a part of a conditioned model that reads drawings, and nothing else.

    python benchmarks/readers.py classes DATASET [--num-images 450000]
    python benchmarks/readers.py twist DATASET [--num-images 450000]

DATASET is fashion-mnist or mnist; the weights go into checkpoints/DATASET-complete.safetensors,
all others stay. `classes` tells the class of a drawing, `twist` how well a picture fits one. Both
read fifteen times as many images in a second as `train`, which trains the rest of the encoder
together with the gated network. Prints how often they are right for validation images.
"""

import argparse
import copy
import time
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pixelcnn.config import TrainConfig
from pixelcnn.data.datasets import load_dataset
from pixelcnn.models import Evidence
from pixelcnn.models.base import build_model
from pixelcnn.models.conditioned import ConditionedPixelCNN
from pixelcnn.storage import checkpoint_path, load_checkpoint, save_checkpoint
from pixelcnn.training.engine import learning_rate, update_average
from pixelcnn.training.evidence import draw_evidence, sketches

BATCH, WARMUP_STEPS = 64, 50
CONFIG = TrainConfig(learning_rate=3e-3, warmup_fraction=0)


def drawn(levels: Tensor, num_levels: int, *, whole: bool) -> Evidence:
    """Sketches of pictures."""
    hints, ink = sketches(levels, num_levels, whole=whole)
    return Evidence(torch.where(hints, ink, levels), torch.zeros_like(hints), hints)


def class_loss(model: ConditionedPixelCNN, levels: Tensor, label: Tensor) -> Tensor:
    """Score the class of random pictures, two times in three by a sketch: those are harder."""
    index = torch.randint(len(levels), (BATCH,))
    pictures, kind = levels[index].long(), torch.rand(())
    if kind < 1 / 3:
        evidence = draw_evidence(pictures, model.config.num_levels)
    else:
        evidence = drawn(pictures, model.config.num_levels, whole=bool(kind < 2 / 3))
    maps = model.encoder.maps(evidence, model.encode(evidence.levels))
    return F.cross_entropy(model.encoder.classes(maps).float(), label[index])


def pair_fits(
    model: ConditionedPixelCNN, levels: Tensor, label: Tensor, *, whole: bool
) -> tuple[Tensor, Tensor]:
    """Say how well random pictures fit sketches of their own, and those of another of their class.

    Pictures count up to a random row. Both results are (BATCH,), nats.
    """
    c = model.config
    its_label = torch.randint(c.num_classes, (BATCH // 2,))
    of_class = [(label == one).nonzero()[:, 0] for one in its_label]
    index = torch.cat([of[torch.randint(len(of), (2,))] for of in of_class])
    pictures = levels[index].long()
    rows = torch.randint(1, c.height + 1, (BATCH // 2, 1, 1, 1)).repeat_interleave(2, 0)
    upper = (torch.arange(c.height)[:, None] < rows).expand(-1, -1, -1, c.width)
    evidence = drawn(pictures, c.num_levels, whole=whole)
    swapped = torch.arange(BATCH).view(-1, 2).flip(1).flatten()
    its_label = its_label.repeat_interleave(2)[:, None]
    own, other = (
        model.log_fit(pictures, upper, given).float().gather(1, its_label)[:, 0]
        for given in (evidence, Evidence(*(t[swapped] for t in evidence)))
    )
    return own, other


def twist_loss(model: ConditionedPixelCNN, levels: Tensor, label: Tensor) -> Tensor:
    """Score how well pairs that belong together are told from others: log odds are the ratio."""
    own, other = pair_fits(model, levels, label, whole=bool(torch.rand(()) < 0.6))
    return F.softplus(-own).mean() + F.softplus(other).mean()


def report_classes(model: ConditionedPixelCNN, levels: Tensor, label: Tensor) -> None:
    """Print how often the class is found, and how much probability the true class gets."""
    for name, evidence in (
        ("evidence as in training", draw_evidence(levels, model.config.num_levels)),
        ("whole sketches", drawn(levels, model.config.num_levels, whole=True)),
    ):
        probabilities = model.class_probabilities(evidence)
        right = float((probabilities.argmax(1) == label).double().mean())
        true = float(probabilities[torch.arange(len(label)), label].mean())
        print(f"  {name}: right {100 * right:.1f} %, mean probability of the class {true:.3f}")


def report_twist(model: ConditionedPixelCNN, levels: Tensor, label: Tensor) -> None:
    """Print how often a picture fits a whole sketch of its own better than one of another."""
    pairs = [pair_fits(model, levels, label, whole=True) for _ in range(30)]
    right = torch.cat([own > other for own, other in pairs]).double().mean()
    print(f"  the right one of two sketches of the same class: {100 * float(right):.1f} %")


def train(network: nn.Module, loss_of: Callable[[], Tensor], num_images: int) -> nn.Module:
    """Train a network, and return the average of its weights."""
    average = copy.deepcopy(network)
    network.requires_grad_(True)
    optimizer = torch.optim.AdamW(network.parameters(), betas=(0.9, 0.98), weight_decay=0.02)
    steps, started = num_images // BATCH, time.monotonic()
    for step in range(steps):
        with torch.autocast("cpu", torch.bfloat16):
            loss = loss_of()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        for group in optimizer.param_groups:
            warmup = min(1, (step + 1) / WARMUP_STEPS)
            group["lr"] = warmup * learning_rate(CONFIG, step / steps)
        optimizer.step()
        update_average(average, network, 0.998, step)
        if step % 200 == 0:
            speed = (step + 1) * BATCH / (time.monotonic() - started)
            left = (steps - step) * BATCH / speed
            print(f"{step * BATCH} images, {speed:.0f} images/s, {left:.0f} s left", flush=True)
    return average


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=("classes", "twist"))
    parser.add_argument("dataset", choices=("fashion-mnist", "mnist"))
    parser.add_argument("--num-images", type=int, default=450_000)
    options = parser.parse_args()
    path = checkpoint_path(f"{options.dataset}-complete")
    earlier, info = load_checkpoint(path)
    torch.manual_seed(0)
    config = replace(earlier.config, twist=earlier.config.twist or options.part == "twist")
    model = build_model(config).requires_grad_(False)
    model.load_state_dict(earlier.state_dict(), strict=False)  # a twist may be new
    learn, report = {
        "classes": (class_loss, report_classes), "twist": (twist_loss, report_twist)
    }[options.part]  # fmt: skip
    split = load_dataset(options.dataset, "train")
    average = train(
        getattr(model.encoder, options.part), lambda: learn(model, *split), options.num_images
    )
    setattr(model.encoder, options.part, average)
    levels, label = load_dataset(options.dataset, "validation")
    torch.manual_seed(99)
    with torch.inference_mode():
        report(model.eval(), levels[:2000].long(), label[:2000])
    save_checkpoint(path, model, replace(info, config=config))


if __name__ == "__main__":
    main()
