"""Do pictures show what was asked for? A plain classifier of the real images says.

Bits/dim does not see whether a picture is a whole: texture alone earns most of it. So a classifier
that never saw a drawn picture is asked for the class of drawn ones.
"""

from collections.abc import Generator, Iterator
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pixelcnn.config import SamplingRule
from pixelcnn.data.datasets import iterate_batches
from pixelcnn.models import Model
from pixelcnn.sampling import sample

BATCH = 100
"""Images of one update, and pictures drawn together."""
EPOCHS = 5
"""Times that the classifier sees every image."""


class Classifier(nn.Module):
    """Three convolutions, each halving the picture, with batch normalization; a linear layer."""

    def __init__(self, num_channels: int, num_levels: int, num_classes: int) -> None:
        super().__init__()
        self.scale = 2 / (num_levels - 1)
        self.convolutions = nn.Sequential()
        for before, after in pairwise((num_channels, 32, 64, 128)):
            convolution = nn.Conv2d(before, after, 3, padding=1, bias=False)
            parts = convolution, nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)
            self.convolutions.append(nn.Sequential(*parts))
        self.linear = nn.LazyLinear(num_classes)

    def forward(self, levels: Tensor) -> Tensor:
        """Map levels (B, C, H, W) to logits (B, num_classes)."""
        return self.linear(self.convolutions(levels * self.scale - 1).flatten(1))


def train_classifier(
    levels: Tensor, label: Tensor, *, num_levels: int, num_classes: int
) -> Generator[float, None, Classifier]:
    """Train a classifier, the same every time; yields the share that is done.

    Takes levels uint8 (N, C, H, W), values 0..K-1, and label int64 (N,) of real training images;
    returns the classifier in evaluation mode.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        classifier = Classifier(levels.shape[1], num_levels, num_classes)
        classifier(levels[:1].float())  # tells the last layer its size
        order = torch.cat([torch.randperm(len(levels)) for _ in range(EPOCHS)])
    batches = order.split(BATCH)
    optimizer = torch.optim.AdamW(classifier.parameters(), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=len(batches) + 1)
    for number, batch in enumerate(batches, 1):
        loss = F.cross_entropy(classifier(levels[batch].float()), label[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        yield number / len(batches)
    return classifier.eval()


@torch.inference_mode()
def recognised(classifier: Classifier, levels: Tensor, label: Tensor) -> Tensor:
    """Say for each image whether the classifier names its class: bool (N,)."""
    batches = iterate_batches(levels, label, 500)
    return torch.cat([classifier(b.float()).argmax(1) == its_label for b, its_label in batches])


def share_by_class(right: Tensor, label: Tensor, num_classes: int) -> list[float]:
    """Give the share of right answers for each class; NaN for a class without images."""
    return [right[label == c].double().mean().item() for c in range(num_classes)]


def draw_every_class(
    model: Model, num_images: int, seed: int, rule: SamplingRule
) -> Iterator[tuple[Tensor, Tensor]]:
    """Draw pictures with the classes in turn; yields levels int64 (B, C, H, W) and label (B,).

    Raises:
        ValueError: if the model knows no classes.
    """
    if model.config.num_classes == 0:
        raise ValueError("`num_classes` (=0) must be greater than 0 to ask for a class.")
    for first in range(0, num_images, BATCH):
        label = torch.arange(first, min(first + BATCH, num_images)) % model.config.num_classes
        levels = sample(
            model, num_images=len(label), seed=seed, rule=rule, label=label, first_image=first
        )
        yield levels, label
