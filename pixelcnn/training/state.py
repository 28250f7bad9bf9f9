"""All that training changes, and its file: safetensors with both configurations as metadata."""

import copy
import json
import os
from collections.abc import Sequence
from pathlib import Path

import torch
from pydantic import BaseModel
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from pixelcnn.config import STRICT, StoredTrainConfig, TrainConfig, fault_of
from pixelcnn.files import as_path, write_atomically
from pixelcnn.models import (
    Model,
    ModelConfig,
    StoredConfig,
    architecture,
    build_model,
    reshape_config,
)
from pixelcnn.storage import CheckpointError, open_safetensors, safetensors_bytes
from pixelcnn.training.devices import bfloat16_works, processes

FORMAT = "pixelcnn-training-state-1"
MAX_BYTES = 64 * 2**30


class TrainingError(Exception):
    """Training cannot go on; the text says why, and at which step."""


class TrainingState:
    """Weights, their average, optimizers, counts of images and of confused classes.

    Muon trains the kernels, AdamW everything else and the last layer, with the same learning rate.

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
        if architecture(model_config.architecture).reads_evidence and config.label_contrast:
            raise ValueError("`label_contrast` must be 0 for a model that reads evidence.")
        self.device = torch.device(device)
        self.bfloat16 = config.bfloat16 and bfloat16_works(self.device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.model = build_model(model_config).to(self.device)
        self.network: nn.Module = self.model
        """What is called to train: the model, or the model that averages over all processes."""
        if processes()[1] > 1:
            self.network = DistributedDataParallel(
                self.model,
                broadcast_buffers=False,
                find_unused_parameters=self.model.reads_evidence,
            )
        self.ema = copy.deepcopy(self.model).eval().requires_grad_(False)
        others = {k: p for k, p in self.model.named_parameters() if p.requires_grad}
        # torch's Muon takes matrices only: views of the kernels, (out, in * k * k).
        self._matrices = {
            name: nn.Parameter(others.pop(name).detach().flatten(1))
            for name in self.model.matrices()
            if name in others
        }
        decay = config.weight_decay
        adamw = torch.optim.AdamW(others.values(), betas=(0.9, 0.95), weight_decay=decay)
        self._optimizers: list[tuple[torch.optim.Optimizer, dict[str, Tensor], Sequence[str]]]
        self._optimizers = [(adamw, others, ("step", "exp_avg", "exp_avg_sq"))]
        """Each optimizer, its parameters by name, and what it keeps for each of them."""
        if self._matrices:
            muon = torch.optim.Muon(
                self._matrices.values(), weight_decay=decay, adjust_lr_fn="match_rms_adamw"
            )
            self._optimizers.append((muon, self._matrices, ("momentum_buffer",)))
        self.step = self.images_seen = 0
        self.images_evaluated = 0
        """Images seen at the last evaluation."""
        classes = model_config.num_classes
        self.confusion = torch.zeros(2, classes, classes) if config.label_contrast else None
        """With label contrast, (2, Y, Y): how often each class was lately compared with each other
        one, and the probabilities, added up, with which it was mistaken for that one."""

    def compile(self) -> None:
        """Let torch compile the network that is trained, at its first use; the average is not."""
        self.model.logits_from_features = torch.compile(
            self.model.logits_from_features, dynamic=False
        )

    @torch.no_grad()
    def init_from(self, source: Model) -> None:
        """Begin with the weights of a trained model instead of random ones.

        A model of one raster order is what each of several orders begins with; one that
        `begins_with` another architecture has further weights, which stay random.

        Raises:
            TrainingError: if its configuration differs in more than the orders and the dropout.
        """
        config = self.model.config
        if isinstance(source, self.model.begins_with or ()):
            config = reshape_config(config, source.config.architecture)
        theirs, ours = (c.to_dict() | {"dropout": 0} for c in (source.config, config))
        fits = theirs["num_orders"] in (1, ours["num_orders"])
        if not fits or theirs != ours | {"num_orders": theirs["num_orders"]}:
            raise TrainingError(
                "The weights to begin with belong to another shape of model: "
                f"{source.config.to_dict()} instead of {self.model.config.to_dict()}."
            )
        for model in (self.model, self.ema):
            for name, theirs in source.named_parameters():
                mine = model.get_parameter(name)
                mine.copy_(theirs.repeat(len(mine) // len(theirs), *[1] * (theirs.ndim - 1)))

    def update(self, rate: float) -> None:
        """Do one optimizer update with the gradients that the model holds; none means zero."""
        for parameter in self.model.parameters():
            if parameter.requires_grad and parameter.grad is None:  # so that it can be resumed
                parameter.grad = torch.zeros_like(parameter)
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
        tensors["counts"] = torch.tensor([self.step, self.images_seen, self.images_evaluated])
        if self.confusion is not None:
            tensors["confusion"] = self.confusion
        return {k: v.detach().cpu().contiguous() for k, v in tensors.items()}

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Take over what `to_tensors` returned.

        Raises:
            TrainingError: if a tensor is missing or has another shape.
        """
        try:
            self.step, self.images_seen, self.images_evaluated = tensors["counts"].tolist()
            for part, module in (("model.", self.model), ("ema.", self.ema)):
                module.load_state_dict(
                    {k.removeprefix(part): v for k, v in tensors.items() if k.startswith(part)}
                )
            for optimizer, parameters, keys in self._optimizers:
                optimizer.state.clear()
                for name, parameter in parameters.items() if self.step else ():
                    for key in keys:
                        value = tensors[f"optimizer.{name}.{key}"].clone()
                        if value.shape not in (parameter.shape, ()):
                            raise ValueError(f"{key} of {name} has another shape")
                        # Counts of steps, of shape (), stay on the CPU, where AdamW wants them.
                        value = value.to(self.device) if value.ndim else value
                        optimizer.state[parameter][key] = value
            if self.confusion is not None and "confusion" in tensors:  # older files lack it
                if tensors["confusion"].shape != self.confusion.shape:
                    raise ValueError("confusion has another shape")
                self.confusion = tensors["confusion"].clone()
        except (KeyError, RuntimeError, ValueError) as error:
            raise TrainingError(f"The training state does not fit this run: {error}") from error


class _About(BaseModel):
    """The metadata of a file."""

    model_config = STRICT

    model: StoredConfig
    train: StoredTrainConfig


def save_training_state(
    path: str | os.PathLike[str], state: TrainingState, config: TrainConfig
) -> None:
    """Write atomically everything that `load_training_state` needs to go on."""
    values = {"model": state.model.config.to_dict(), "train": config.to_dict()}
    metadata = {"format": FORMAT, "config": json.dumps(values, sort_keys=True)}
    write_atomically(Path(path), safetensors_bytes(state.to_tensors(), metadata))


def load_training_state(
    path: str | os.PathLike[str], device: torch.device | str = "cpu"
) -> tuple[TrainingState, TrainConfig]:
    """Read a training state, to go on with on this device.

    Raises:
        CheckpointError: if the file is missing, damaged or foreign.
        TrainingError: if its tensors do not fit its configuration.
    """
    try:
        path = as_path(path)
        with open_safetensors(path, FORMAT, "config", most_bytes=MAX_BYTES) as (file, about):
            configs = _About.model_validate_json(about)
            tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, ValueError) as error:
        raise CheckpointError(
            f"{path}: is not a readable training state: {fault_of(error)}."
        ) from error
    state = TrainingState(configs.model, configs.train, device)
    state.load_tensors(tensors)
    return state, configs.train
