"""Training as a generator of events. No files, no threads, no screen.

The state is explicit and everything random is a function of (seed, images seen), so a run that is
stopped and resumed computes exactly what an uninterrupted one computes. Under torchrun every
process reads its share of each batch, and all compute what one process computes with the whole.
"""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pixelcnn.config import TrainConfig
from pixelcnn.evaluation.likelihoods import nats_to_bits_per_dim
from pixelcnn.orders import each_to_raster
from pixelcnn.training.devices import processes, sum_over_processes
from pixelcnn.training.evidence import evidence_for, training_nats
from pixelcnn.training.scoring import iter_evaluate
from pixelcnn.training.state import TrainingError, TrainingState

CONFUSION_MEMORY = 0.999
"""Share of the table of confused classes that one update keeps."""
CONFUSION_PRIOR = 0.02
"""Comparisons of each two classes beforehand, half of them mistaken: so all are tried at times."""


class NotANumberError(TrainingError):
    """The loss or the gradient is infinite or not a number."""


@dataclass(frozen=True)
class Progress:
    """One optimizer update."""

    step: int
    images_seen: int
    loss: float
    """Mean bits/dim of the batch, with training weights."""
    learning_rate: float
    grad_norm: float
    """Norm of the gradient before clipping."""
    images_per_second: float
    seconds_left: float


@dataclass(frozen=True)
class Evaluating:
    """A part of an evaluation; a run stopped here evaluates again when it goes on."""

    images_seen: int
    done: float
    """Share of the evaluation that is over."""
    bits_per_dim: float
    """Mean so far."""


@dataclass(frozen=True)
class Evaluation:
    """The average weights scored on the validation split."""

    images_seen: int
    bits_per_dim: float
    is_stage: bool
    """Whether `TrainConfig.stages` asks to keep these weights."""


Event = Progress | Evaluating | Evaluation


def learning_rate(config: TrainConfig, progress: float) -> float:
    """Give the learning rate at a share of the run from 0 to 1: linear warm-up, cosine decay.

    >>> config = TrainConfig(learning_rate=1.0, warmup_fraction=0.1)
    >>> [round(learning_rate(config, p), 3) for p in (0.05, 0.1, 0.55, 1.0)]
    [0.5, 1.0, 0.5, 0.0]
    """
    warmup = config.warmup_fraction
    if progress < warmup:
        return config.learning_rate * progress / warmup
    decay = (progress - warmup) / max(1 - warmup, 1e-9)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * min(decay, 1.0)))


def train(
    state: TrainingState,
    config: TrainConfig,
    train_split: tuple[Tensor, Tensor],
    validation_split: tuple[Tensor, Tensor],
) -> Iterator[Event]:
    """Train until `total_images` were seen; yields after every update and in every evaluation.

    The state is changed in place; between two events it is consistent and can be saved. In several
    processes, all yield the same events. A split is levels uint8 (N, C, H, W), label int64 (N,).

    Raises:
        TrainingError: if the loss or the gradient is not a number, or a batch has fewer images
            than there are processes.
    """
    levels, label = train_split
    if min(config.batch_size, len(levels)) < processes()[1]:
        raise TrainingError(
            f"A batch of {min(config.batch_size, len(levels))} images cannot be shared by "
            f"{processes()[1]} processes: choose a larger batch_size."
        )
    started, images_before = time.monotonic(), state.images_seen
    while True:
        due = _marks_passed(state.images_seen, config)
        done = _marks_passed(state.images_evaluated, config)
        if due != done:
            part = tuple(t[: config.validation_images] for t in validation_split)
            for share, score in iter_evaluate(state.ema, *part, bfloat16=state.bfloat16):
                yield Evaluating(state.images_seen, share, score)
            state.images_evaluated = state.images_seen
            yield Evaluation(state.images_seen, score, is_stage=due[1] != done[1])
        if state.images_seen >= config.total_images:
            return
        index = batch_indices(len(levels), state.images_seen, config)
        loss, grad_norm, rate = train_step(state, config, levels[index].long(), label[index])
        speed = (state.images_seen - images_before) / (time.monotonic() - started)
        left = (config.total_images - state.images_seen) / speed
        yield Progress(state.step, state.images_seen, loss, rate, grad_norm, speed, left)


def _marks_passed(images_seen: int, config: TrainConfig) -> tuple[int, int, bool]:
    """Count regular evaluations and stages passed, and the end: a new mark is a new evaluation."""
    stages = sum(stage <= images_seen for stage in config.stages)
    return images_seen // config.evaluate_every, stages, images_seen >= config.total_images


def batch_indices(num_images: int, images_seen: int, config: TrainConfig) -> Tensor:
    """Choose the next batch: each epoch is a fresh permutation, fixed by seed and epoch."""
    size = min(config.batch_size, num_images)
    batches = num_images // size  # the few images left over are in another epoch's batches
    epoch, batch = divmod(images_seen // size, batches)
    generator = torch.Generator().manual_seed(config.seed * 1_000_003 + epoch)
    return torch.randperm(num_images, generator=generator)[batch * size : (batch + 1) * size]


def train_step(
    state: TrainingState, config: TrainConfig, levels: Tensor, label: Tensor
) -> tuple[float, float, float]:
    """Do one optimizer update; returns loss (bits/dim), gradient norm and learning rate.

    With `label_contrast` w, w * -log p(y | x, y or y') is added to -log p(x | y), for the class y
    of each image x and another class y', drawn the more often the more y was mistaken for it: by
    Bayes' rule, with both as probable, that is softplus(log p(x | y') - log p(x | y)). Images with
    a hidden label are left out of it, and the returned loss does not hold it.

    Arguments:
        state: changed in place.
        config: how to train.
        levels: int64 (B, C, H, W), the whole batch, also where several processes share it.
        label: int64 (B,).

    References:
        Krause et al. 2020, arXiv 2009.06367 (GeDi), "GeDi training", with the weight on the other
        term, all bits of an image, and one other class at a time.
    """
    model, batch = state.model.train(), len(levels)
    num_classes = model.config.num_classes
    rank, size = processes()
    mine = slice(rank * batch // size, (rank + 1) * batch // size)
    # That of the middle of the update: at the end of the run it would be 0.
    end = min(state.images_seen + batch, config.total_images)
    rate = learning_rate(config, (state.images_seen + end) / 2 / config.total_images)
    cuda = [state.device] if state.device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        # Dropout of this step depends on the seed and the step only: a resumed run repeats it.
        torch.manual_seed(config.seed * 1_000_003 + state.step)
        true_label = label[mine].to(state.device)
        other = None if state.confusion is None else other_labels(state.confusion, label)
        if num_classes:
            label = torch.where(torch.rand(batch) < config.label_dropout, num_classes, label)
        order = torch.randint(model.config.num_orders, (batch,))
        if rank:
            torch.manual_seed((config.seed * 1_000_003 + state.step) * size + rank)
        levels = each_to_raster(levels[mine], order[mine]).to(state.device)
        label = label[mine].to(state.device) if num_classes else None
        order = order[mine].to(state.device)
        evidence = evidence_for(model, levels)
        if other is not None:  # in one pass: the images with their class, then with another
            levels, order = (torch.cat([t, t]) for t in (levels, order))
            label = torch.cat([label, other[mine].to(state.device)])
        with torch.autocast(state.device.type, torch.bfloat16, enabled=state.bfloat16):
            more = (*evidence, state.images_seen < config.encoder_images) if evidence else ()
            outputs = state.network(levels, label, order, *more)
    nats, teaching = training_nats(outputs, levels, true_label, *evidence)  # (B,), or (2 B,); ()
    contrast = nats.new_zeros(())
    if other is not None:
        nats, other_nats = nats.chunk(2)
        pairs = label.view(2, -1)  # (2, B)
        is_known = pairs[0] < num_classes
        lead = (nats - other_nats)[is_known]  # of the other class
        contrast = config.label_contrast * F.softplus(lead).sum()
    # The processes' gradients are averaged, so each counts as many times as there are processes.
    part, more = (
        nats_to_bits_per_dim(total * size / batch, model.config.num_dims)
        for total in (nats.sum(), contrast + teaching)
    )
    loss = sum_over_processes(part.detach().clone()) / size
    _check_number("loss", loss, state.step)
    model.zero_grad()
    (part + more).backward()
    grad_norm = torch.nn.utils.clip_grad_norm_(model.parameters(), config.max_grad_norm)
    _check_number("gradient", grad_norm, state.step)
    state.update(rate)
    if other is not None:
        count_confusion(state.confusion, pairs[:, is_known], lead.detach().sigmoid())
    state.step += 1
    state.images_seen += batch
    update_average(state.ema, state.model, config.ema_decay, state.step)
    return loss.item(), grad_norm.item(), rate


def _check_number(name: str, value: Tensor, step: int) -> None:
    if not torch.isfinite(value):
        raise NotANumberError(f"The {name} is {value.item()} at step {step}: training stopped.")


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, decay: float, step: int) -> None:
    """Take a model's weights, after so many updates, into their moving average."""
    decay = min(decay, (1 + step) / (10 + step))  # short memory while all is new
    for mean, weight in zip(average.parameters(), model.parameters(), strict=True):
        mean.lerp_(weight, 1 - decay)


def other_labels(confusion: Tensor, label: Tensor) -> Tensor:
    """Draw a wrong class for each image, the more often the more its class was mistaken for it.

    Maps (2, Y, Y), see `TrainingState.confusion`, and int64 (B,) to int64 (B,).
    """
    tried, mistaken = confusion
    chance = (mistaken + CONFUSION_PRIOR / 2) / (tried + CONFUSION_PRIOR)
    return torch.multinomial(chance.fill_diagonal_(0)[label], 1)[:, 0]


def count_confusion(confusion: Tensor, pairs: Tensor, mistaken: Tensor) -> None:
    """Add the comparisons of one update, those of all processes.

    Arguments:
        confusion: (2, Y, Y), changed in place.
        pairs: int64 (2, B), the classes of images, and those with which they were compared.
        mistaken: (B,), how probable the latter were.
    """
    news = torch.zeros(confusion.shape, device=mistaken.device)
    for total, values in zip(news, (torch.ones_like(mistaken), mistaken), strict=True):
        total.index_put_(tuple(pairs), values, accumulate=True)
    confusion.mul_(CONFUSION_MEMORY).add_(sum_over_processes(news).cpu())
