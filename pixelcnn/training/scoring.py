"""Mean bits/dim of many images, shared by the processes of torchrun, a batch at a time."""

from collections.abc import Iterator

import torch
from torch import Tensor

from pixelcnn.evaluation.likelihoods import nats_to_bits_per_dim
from pixelcnn.models import Model
from pixelcnn.orders import each_to_raster
from pixelcnn.training.devices import processes, sum_over_processes
from pixelcnn.training.evidence import evidence_for, unknown_nats

BATCH_IMAGES = 50


def evaluate(model: Model, levels: Tensor, label: Tensor, *, bfloat16: bool = False) -> float:
    """Compute the mean bits/dim of images given their labels (if the model knows labels).

    A model that reads evidence is given some of each image, always the same; pixels that it knows
    count as 0 bits.
    A model of several raster orders reads image i in order i modulo their number.
    """
    *_, (_, score) = iter_evaluate(model, levels, label, bfloat16=bfloat16)
    return score


@torch.inference_mode()
def iter_evaluate(
    model: Model, levels: Tensor, label: Tensor, *, bfloat16: bool = False
) -> Iterator[tuple[float, float]]:
    """Score images as `evaluate` does; yields the share that is done and the mean so far."""
    rank, size = processes()
    device = model.device
    # Where sums in float64 are made: NCCL wants the GPU, MPS has no float64.
    sums = device if device.type == "cuda" else torch.device("cpu")
    model.eval()
    nats = torch.zeros((), dtype=torch.float64, device=sums)
    for first in range(0, len(levels), BATCH_IMAGES * size):  # one batch for each process
        mine = slice(first + rank * BATCH_IMAGES, first + (rank + 1) * BATCH_IMAGES)
        batch = levels[mine].long()
        part = torch.zeros_like(nats)
        if len(batch):
            order = torch.arange(mine.start, mine.start + len(batch)) % model.config.num_orders
            batch = each_to_raster(batch, order).to(device)
            given = label[mine].to(device) if model.config.num_classes else None
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(mine.start)
                evidence = evidence_for(model, batch)
            with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
                logits = model(batch, given, order.to(device), *evidence)
            if evidence:
                logits, _ = logits
            part += unknown_nats(logits, batch, *evidence).to(sums).double().sum()
        nats += sum_over_processes(part)
        images = min(first + BATCH_IMAGES * size, len(levels))
        score = nats_to_bits_per_dim(nats / images, model.config.num_dims).item()
        yield images / len(levels), score
