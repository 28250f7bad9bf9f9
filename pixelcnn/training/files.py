"""The resumable training state as a file: safetensors with both configurations as metadata."""

import json
import os
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from pixelcnn.config import TrainConfig
from pixelcnn.models import read_config
from pixelcnn.storage import CheckpointError, safetensors_bytes, write_atomically
from pixelcnn.training.engine import TrainingState

FORMAT = "pixelcnn-training-state-1"


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
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise ValueError(f"its format (={metadata.get('format')!r}) is not {FORMAT!r}")
            values = json.loads(metadata["config"])
            model_config = read_config(values["model"])
            config = TrainConfig.from_dict(values["train"])
            tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
    except (
        OSError, SafetensorError, ValueError, KeyError, TypeError, AttributeError, RecursionError
    ) as error:  # fmt: skip
        raise CheckpointError(f"{path}: is not a readable training state: {error}.") from error
    state = TrainingState(model_config, config, device)
    state.load_tensors(tensors)
    return state, config
