"""The mistake of mask B in the first layer, trained: two small nets that differ in that mask only.

    python benchmarks/wrong_mask.py

Trains both on the same images of Fashion-MNIST and writes, for the Masks page, the weights of the
wrong one, the training bits/dim of both, and what the wrong one draws. Some minutes on one core.
"""

from statistics import fmean

import torch

from pixelcnn.config import SamplingRule, TrainConfig
from pixelcnn.data.datasets import load_dataset
from pixelcnn.evaluation.stored import StoredNumbers, save_numbers
from pixelcnn.evaluation.wrong_mask import NAME, PATH, WEIGHTS, WrongMask, canvases, load_wrong
from pixelcnn.models.classic import ClassicConfig
from pixelcnn.sampling import make_noise, sample_naive
from pixelcnn.storage import CheckpointInfo, save_checkpoint, weights_digest
from pixelcnn.training.engine import Progress, train
from pixelcnn.training.state import TrainingState

MODEL = ClassicConfig(
    num_features=32, head_features=64, first_kernel_size=5, kernel_size=3, dilations=(1, 2)
)
TRAIN = TrainConfig(learning_rate=5e-3, ema_decay=0.99, total_images=10_240, validation_images=100)
UPDATES = 16
"""Over so many a point of the curve is a mean."""


def trained(mask_type: str) -> tuple[TrainingState, list[int], list[float]]:
    """Train a net with this mask in the first layer; returns it, and its curve."""
    splits = [load_dataset(TRAIN.dataset, split) for split in ("train", "validation")]
    state = TrainingState(MODEL, TRAIN)
    for model in (state.model, state.ema):
        model.first_convolution.set_mask(mask_type, MODEL.num_channels)
    seen, bits, losses = [], [], []
    for event in train(state, TRAIN, *splits):
        if isinstance(event, Progress):
            losses.append(event.loss)
            if event.step % UPDATES == 0:
                seen.append(event.images_seen)
                bits.append(round(fmean(losses[-UPDATES:]), 5))
                print(
                    f"mask {mask_type}: {seen[-1]:,} images, {bits[-1]:.4f} bits/dim", flush=True
                )
    return state, seen, bits


def main() -> None:
    torch.set_num_threads(1)
    _, seen, right = trained("A")
    state, _, wrong = trained("B")
    WEIGHTS.parent.mkdir(exist_ok=True)
    info = CheckpointInfo(
        config=MODEL, dataset=TRAIN.dataset, images_seen=state.images_seen, bits_per_dim={}
    )
    save_checkpoint(WEIGHTS, state.ema, info)
    noise = make_noise(MODEL, num_images=2, seed=0)
    drawn = sample_naive(load_wrong(), noise, SamplingRule(), None, None, canvases(MODEL))
    numbers = WrongMask(seen, right, wrong, drawn[:, 0].tolist())
    command = "python benchmarks/wrong_mask.py"
    save_numbers(PATH, StoredNumbers[WrongMask](
        command=command, weights={NAME: weights_digest(WEIGHTS)}, values=numbers
    ))  # fmt: skip


if __name__ == "__main__":
    main()
