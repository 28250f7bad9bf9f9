"""Train the part of a conditioned model that tells the class of a drawing, and nothing else.

    python benchmarks/class_reader.py DATASET [--num-images 200000]

DATASET is fashion-mnist or mnist; the weights go into checkpoints/DATASET-complete.safetensors,
all others stay. It reads fifteen times as many images in a second as `train`, which trains all of
the encoder together with the gated network. Prints how often it is right for validation images.
"""

import argparse
import copy
import time

import torch
from torch import Tensor
from torch.nn import functional as F

from pixelcnn.config import TrainConfig
from pixelcnn.data.datasets import load_dataset
from pixelcnn.models import Evidence
from pixelcnn.models.conditioned import ConditionedPixelCNN
from pixelcnn.storage import checkpoint_path, load_checkpoint, save_checkpoint
from pixelcnn.training.engine import learning_rate, update_average
from pixelcnn.training.evidence import draw_evidence, sketches

BATCH, WARMUP_STEPS = 64, 50
CONFIG = TrainConfig(learning_rate=3e-3, warmup_fraction=0, ema_decay=0.995)


@torch.inference_mode()
def report(model: ConditionedPixelCNN, levels: Tensor, label: Tensor) -> None:
    """Print how often the class is found, and how much probability the true class gets."""
    torch.manual_seed(99)
    hints, ink = sketches(levels, model.config.num_levels, whole=True)
    drawn = Evidence(torch.where(hints, ink, levels), torch.zeros_like(hints), hints)
    for name, evidence in (
        ("evidence as in training", draw_evidence(levels, model.config.num_levels)),
        ("whole sketches", drawn),
    ):
        probabilities = model.class_probabilities(evidence)
        right = float((probabilities.argmax(1) == label).double().mean())
        true = float(probabilities[torch.arange(len(label)), label].mean())
        print(f"  {name}: right {100 * right:.1f} %, mean probability of the class {true:.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", choices=("fashion-mnist", "mnist"))
    parser.add_argument("--num-images", type=int, default=216_832)
    options = parser.parse_args()
    path = checkpoint_path(f"{options.dataset}-complete")
    model, info = load_checkpoint(path)
    levels, label = load_dataset(options.dataset, "train")
    validation = [t[:400] for t in load_dataset(options.dataset, "validation")]
    torch.manual_seed(0)
    network = model.encoder.classes.requires_grad_(True)
    average = copy.deepcopy(network).requires_grad_(False)
    optimizer = torch.optim.AdamW(network.parameters(), betas=(0.9, 0.98), weight_decay=0.02)
    steps, started = options.num_images // BATCH, time.monotonic()
    for step in range(steps):
        index = torch.randint(len(levels), (BATCH,))
        evidence = draw_evidence(levels[index].long(), model.config.num_levels)
        maps = model.encoder.maps(evidence, model.encode(evidence.levels))
        loss = F.cross_entropy(network(maps), label[index])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        for group in optimizer.param_groups:
            warmup = min(1, (step + 1) / WARMUP_STEPS)
            group["lr"] = warmup * learning_rate(CONFIG, step / steps)
        optimizer.step()
        update_average(average, network, CONFIG.ema_decay, step)
        if step % 200 == 0:
            speed = (step + 1) * BATCH / (time.monotonic() - started)
            left = (steps - step) * BATCH / speed
            print(f"{step * BATCH} images, {speed:.0f} images/s, {left:.0f} s left", flush=True)
    model.encoder.classes = average
    report(model, validation[0].long(), validation[1])
    save_checkpoint(path, model, info)


if __name__ == "__main__":
    main()
