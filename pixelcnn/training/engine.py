"""Training as a generator of events. No files, no threads, no screen.

The state is explicit and everything random is a function of (seed, images seen), so a run that is
stopped and resumed computes exactly what an uninterrupted one computes. Under torchrun every
process reads its share of each batch, and all compute what one process computes with the whole.
"""

import copy
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from pixelcnn.config import TrainConfig
from pixelcnn.evaluation.likelihoods import nats_to_bits_per_dim, nll_nats
from pixelcnn.models import Model, ModelConfig, build_model
from pixelcnn.orders import each_to_raster
from pixelcnn.training.confusion import count_confusion, other_labels
from pixelcnn.training.devices import bfloat16_works, processes, sum_over_processes
from pixelcnn.training.scoring import iter_evaluate


class TrainingError(Exception):
    """Training cannot go on; the text says at which step and why."""


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

    step: int
    images_seen: int
    done: float
    """Share of the evaluation that is over."""
    bits_per_dim: float
    """Mean so far."""


@dataclass(frozen=True)
class Evaluation:
    """The average weights scored on the validation split."""

    step: int
    images_seen: int
    bits_per_dim: float
    is_stage: bool
    """Whether `TrainConfig.stages` asks to keep these weights."""


Event = Progress | Evaluating | Evaluation


class TrainingState:
    """All that training changes: weights, their average, optimizers, counts of images and classes.

    Kernels are trained by Muon, everything else, and the last layer, by AdamW with the same
    learning rate.

    References:
        Jordan et al. 2024, "Muon"; Liu et al. 2025, arXiv 2502.16982, section 2.2 (Muon with the
        learning rate of AdamW).
    """

    def __init__(
        self,
        model_config: ModelConfig,
        config: TrainConfig,
        device: torch.device | str = "cpu",
    ) -> None:
        config.check_fits(model_config.num_classes)
        self.device = torch.device(device)
        self.bfloat16 = config.bfloat16 and bfloat16_works(self.device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.model = build_model(model_config).to(self.device)
        self.network: nn.Module = self.model
        """What is called to train: the model, or the model that averages over all processes."""
        if processes()[1] > 1:
            self.network = DistributedDataParallel(self.model, broadcast_buffers=False)
        self.ema = copy.deepcopy(self.model).eval().requires_grad_(False)
        matrices, decay = self.model.matrices(), config.weight_decay
        # torch's Muon takes matrices only: views of the kernels, (out, in * k * k).
        self._matrices = {
            k: nn.Parameter(self.model.get_parameter(k).detach().flatten(1)) for k in matrices
        }
        others = {k: p for k, p in self.model.named_parameters() if k not in self._matrices}
        self._optimizers: list[tuple[torch.optim.Optimizer, dict[str, Tensor], set[str]]] = []
        """Each optimizer, its parameters by name, and what it keeps for each of them."""
        if matrices:
            muon = torch.optim.Muon(
                self._matrices.values(), weight_decay=decay, adjust_lr_fn="match_rms_adamw"
            )
            self._optimizers.append((muon, self._matrices, {"momentum_buffer"}))
        adamw = torch.optim.AdamW(others.values(), betas=(0.9, 0.95), weight_decay=decay)
        self._optimizers.append((adamw, others, {"step", "exp_avg", "exp_avg_sq"}))
        self.step = 0
        self.images_seen = 0
        self.images_evaluated = 0
        """Images seen at the last evaluation."""
        classes = model_config.num_classes
        self.confusion = torch.zeros(2, classes, classes) if config.label_contrast else None
        """With label contrast, (2, Y, Y): how often each class was lately compared with each other
        one, and with what probability, added up, it was taken for that one."""

    def compile(self) -> None:
        """Let torch compile the network that is trained, at its first use; the average is not."""
        self.model.logits_from_features = torch.compile(
            self.model.logits_from_features, dynamic=False
        )

    @torch.no_grad()
    def init_from(self, source: Model) -> None:
        """Begin with the weights of a trained model instead of random ones.

        A model of one raster order is what each of several orders begins with.

        Raises:
            TrainingError: if its configuration differs in more than the orders and the dropout.
        """
        wanted = self.model.config
        free = ("num_orders", "dropout")
        same = replace(source.config, **{name: getattr(wanted, name) for name in free})
        if wanted != same or source.config.num_orders not in (1, wanted.num_orders):
            raise TrainingError(
                "The weights to begin with belong to another shape of model: "
                f"{source.config.to_dict()} instead of {wanted.to_dict()}."
            )
        for model in (self.model, self.ema):
            for name, theirs in source.named_parameters():
                mine = model.get_parameter(name)
                mine.copy_(theirs.repeat(len(mine) // len(theirs), *[1] * (theirs.ndim - 1)))

    def update(self, rate: float) -> None:
        """Do one optimizer update with the gradients that the model holds."""
        for name, matrix in self._matrices.items():
            matrix.grad = self.model.get_parameter(name).grad.flatten(1)
        for optimizer, _, _ in self._optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()

    def to_tensors(self) -> dict[str, Tensor]:
        """Return everything as named tensors, for safetensors."""
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"ema.{k}": v for k, v in self.ema.state_dict().items()}
        for optimizer, parameters, _ in self._optimizers:
            for name, parameter in parameters.items():
                for key, value in optimizer.state.get(parameter, {}).items():
                    tensors[f"optimizer.{name}.{key}"] = value
        counts = torch.tensor([self.step, self.images_seen, self.images_evaluated])
        tensors["counts"] = counts
        if self.confusion is not None:
            tensors["confusion"] = self.confusion
        return {k: v.detach().cpu().contiguous() for k, v in tensors.items()}

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Take over what `to_tensors` returned.

        Raises:
            TrainingError: if a tensor is missing or has another shape.
        """
        try:
            for part, module in (("model.", self.model), ("ema.", self.ema)):
                module.load_state_dict(
                    {k.removeprefix(part): v for k, v in tensors.items() if k.startswith(part)}
                )
            for optimizer, parameters, keys in self._optimizers:
                optimizer.state.clear()
                for name, parameter in parameters.items():
                    prefix = f"optimizer.{name}."
                    values = {
                        k.removeprefix(prefix): v.clone()
                        for k, v in tensors.items()
                        if k.startswith(prefix)
                    }
                    if not values:
                        continue  # before the first update there are none
                    if set(values) != keys:
                        raise ValueError(f"{name} has only {sorted(values)} of the optimizer")
                    if any(v.shape not in (parameter.shape, ()) for v in values.values()):
                        raise ValueError(f"the optimizer's tensors of {name} have another shape")
                    # Counts of steps, of shape (), stay on the CPU, where AdamW wants them.
                    optimizer.state[parameter] = {
                        k: v.to(self.device) if v.ndim else v for k, v in values.items()
                    }
            self.step, self.images_seen, self.images_evaluated = tensors["counts"].tolist()
            if self.confusion is not None and "confusion" in tensors:  # older ones lack it
                if tensors["confusion"].shape != self.confusion.shape:
                    raise ValueError("confusion has another shape")
                self.confusion = tensors["confusion"].clone()
        except (KeyError, RuntimeError, ValueError) as error:
            raise TrainingError(f"The training state does not fit this run: {error}") from error


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

    Between two events the state is consistent and can be saved. In several processes, all yield
    the same events.

    Arguments:
        state: where to start; changed in place.
        config: how to train.
        train_split: levels uint8 (N, C, H, W), label int64 (N,).
        validation_split: likewise.

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
                yield Evaluating(state.step, state.images_seen, share, score)
            state.images_evaluated = state.images_seen
            is_stage = due[1] != done[1]
            yield Evaluation(state.step, state.images_seen, score, is_stage)
        if state.images_seen >= config.total_images:
            return
        index = batch_indices(len(levels), state.images_seen, config)
        loss, grad_norm, rate = train_step(state, config, levels[index].long(), label[index])
        speed = (state.images_seen - images_before) / (time.monotonic() - started)
        yield Progress(
            state.step,
            state.images_seen,
            loss,
            rate,
            grad_norm,
            speed,
            (config.total_images - state.images_seen) / speed,
        )


def _marks_passed(images_seen: int, config: TrainConfig) -> tuple[int, int, bool]:
    """Count regular evaluations and stages passed, and the end: a new mark is a new evaluation."""
    stages = sum(stage <= images_seen for stage in config.stages)
    return images_seen // config.evaluate_every, stages, images_seen >= config.total_images


def train_step(
    state: TrainingState, config: TrainConfig, levels: Tensor, label: Tensor
) -> tuple[float, float, float]:
    """Do one optimizer update; returns loss (bits/dim), gradient norm and learning rate.

    With `label_contrast` w, w * -log p(y | x, y or y') is added to -log p(x | y), for the class y
    of each image x and another class y', drawn the more often the more y was taken for it lately:
    by Bayes' rule, with both as probable, that is softplus(log p(x | y') - log p(x | y)). Images
    with a hidden label are left out of it, and the returned loss does not hold it.

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
    rank, size = processes()
    mine = slice(rank * batch // size, (rank + 1) * batch // size)
    rate = learning_rate(config, (state.images_seen + batch) / config.total_images)
    cuda = [state.device] if state.device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        # Dropout of this step depends on the seed and the step only: a resumed run repeats it.
        torch.manual_seed(config.seed * 1_000_003 + state.step)
        other = None if state.confusion is None else other_labels(state.confusion, label)
        label = _hide_labels(model, label, config.label_dropout)
        order = torch.randint(model.config.num_orders, (batch,))
        if rank:
            torch.manual_seed((config.seed * 1_000_003 + state.step) * size + rank)
        levels = each_to_raster(levels[mine], order[mine]).to(state.device)
        label = None if label is None else label[mine].to(state.device)
        order = order[mine].to(state.device)
        if other is not None:  # in one pass: the images with their class, then with another
            levels, order = (torch.cat([t, t]) for t in (levels, order))
            label = torch.cat([label, other[mine].to(state.device)])
        with torch.autocast(state.device.type, torch.bfloat16, enabled=state.bfloat16):
            logits = state.network(levels, label, order)
    nats = nll_nats(logits.float(), levels).flatten(1).sum(1)  # (B,), or (2 B,)
    contrast = nats.new_zeros(())
    if other is not None:
        nats, other_nats = nats.chunk(2)
        is_told = label.chunk(2)[0] < model.config.num_classes
        lead = (nats - other_nats)[is_told]  # of the other class
        contrast = config.label_contrast * F.softplus(lead).sum()
    # The processes' gradients are averaged, so each counts as many times as there are processes.
    part, more = (
        nats_to_bits_per_dim(total * size / batch, model.config.num_dims)
        for total in (nats.sum(), contrast)
    )
    loss = sum_over_processes(part.detach().clone()) / size
    if not torch.isfinite(loss):
        raise NotANumberError(f"The loss is {loss.item()} at step {state.step}: training stopped.")
    model.zero_grad()
    (part + more).backward()
    grad_norm = torch.nn.utils.clip_grad_norm_(model.parameters(), config.max_grad_norm)
    if not torch.isfinite(grad_norm):
        raise NotANumberError(
            f"The gradient is {grad_norm} at step {state.step}: training stopped."
        )
    state.update(rate)
    if other is not None:
        pairs = label.view(2, -1)[:, is_told]
        count_confusion(state.confusion, pairs, lead.detach().sigmoid())
    state.step += 1
    state.images_seen += batch
    _update_ema(state, config.ema_decay)
    return loss.item(), grad_norm.item(), rate


def batch_indices(num_images: int, images_seen: int, config: TrainConfig) -> Tensor:
    """Choose the next batch: each epoch is a fresh permutation, fixed by seed and epoch."""
    size = min(config.batch_size, num_images)
    batches = num_images // size  # the few images left over are in another epoch's batches
    epoch, batch = divmod(images_seen // size, batches)
    generator = torch.Generator().manual_seed(config.seed * 1_000_003 + epoch)
    return torch.randperm(num_images, generator=generator)[batch * size : (batch + 1) * size]


def _hide_labels(model: Model, label: Tensor, share: float) -> Tensor | None:
    if model.config.num_classes == 0:
        return None
    return torch.where(torch.rand(label.shape) < share, model.config.num_classes, label)


@torch.no_grad()
def _update_ema(state: TrainingState, decay: float) -> None:
    decay = min(decay, (1 + state.step) / (10 + state.step))  # short memory while all is new
    for average, parameter in zip(state.ema.parameters(), state.model.parameters(), strict=True):
        average.lerp_(parameter, 1 - decay)
