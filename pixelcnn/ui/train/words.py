"""What the Train page says about runs, as text and tables. Knows no Streamlit."""

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pixelcnn.data.own_images import SUFFIX
from pixelcnn.durations import in_words
from pixelcnn.files import read_end
from pixelcnn.models import architecture
from pixelcnn.storage import CheckpointError, list_scored_checkpoints, read_info
from pixelcnn.training.runs import Run, RunConfig, Status
from pixelcnn.ui.shared.charts.curves import Reference
from pixelcnn.ui.shared.public import is_public

BADGES = {
    "new": "gray", "queued": "gray", "starting": "blue", "training": "blue", "stopping": "orange",
    "stopped": "gray", "finished": "green", "failed": "red", "crashed": "red",
}  # fmt: skip
LOG_BYTES = 4000
LABELS = {
    "ema_decay": "decay of the average weights", "max_grad_norm": "largest gradient norm",
    "warmup_fraction": "share of warm-up", "label_dropout": "share of hidden classes",
    "total_images": "images to see in all", "batch_size": "images in a batch",
    "evaluate_every": "images between two scores", "num_orders": "raster orders",
}  # fmt: skip
"""Of settings whose name in the code says too little."""


def bytes_text(count: int) -> str:
    """Write an amount of memory.

    >>> bytes_text(750 * 2**20), bytes_text(3 * 2**30)
    ('750 MiB', '3.0 GiB')
    """
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"


def progress_text(status: Status, total_images: int) -> str:
    """Say how far a run is."""
    parts = [f"{status.images_seen:,} of {total_images:,} images"]
    if status.state == "training" and status.images_per_second:
        parts.append(f"{status.images_per_second:.1f} images/s")
    if status.is_active and status.seconds_left is not None:
        parts.append(f"about {in_words(status.seconds_left)} left")
    if status.seconds:
        parts.append(f"{in_words(status.seconds)} trained")
    return " · ".join(parts)


def score_text(status: Status) -> str:
    """Say what a run has reached."""
    parts = []
    if status.loss is not None:
        parts.append(f"last batch {status.loss:.3f}")
    if status.validation is not None:
        parts.append(f"validation {status.validation:.3f}")
    if status.best is not None and status.best != status.validation:
        parts.append(f"best {status.best:.3f}")
    return ", ".join(parts) + " bits/dim" if parts else ""


def unique_names(runs: Sequence[Run]) -> dict[str, str]:
    """Give a name to each run by its id, numbered where people gave the same one, oldest first.

    Arguments:
        runs: the newest first.
    """
    names: dict[str, str] = {}
    for run in reversed(runs):
        wanted = name = run.about().name
        number = 1
        while name in names.values():
            number += 1
            name = f"{wanted} ({number})"
        names[run.id] = name
    return names


def shipped_references(config: RunConfig) -> list[Reference]:
    """Give the best recorded score of the shipped models of the same data.

    It is that of the validation split, or else that of the test split.
    """
    found = []
    if architecture(config.model.architecture).reads_evidence:
        return found  # its score, with evidence, is another
    for name, path in list_scored_checkpoints().items():
        try:
            info = read_info(path)
        except CheckpointError:
            continue
        same = (info.dataset, info.config.num_levels) == (
            config.train.dataset,
            config.model.num_levels,
        )
        if same and info.bits_per_dim:
            scores = info.bits_per_dim
            found.append(Reference(name, scores.get("validation", scores.get("test"))))
    return sorted(found, key=lambda reference: reference.bits_per_dim)[:1]


def set_title(path: str) -> str:
    """Name a data set of own images by its file, without the marks that tell it from others.

    >>> set_title("/runs/images/My-images-28px-grey-5d6f98.images.safetensors")
    'My images, 28 x 28 grey'
    """
    name = os.path.basename(path).removesuffix(SUFFIX)
    if match := re.fullmatch(r"(.+)-(\d+)px-(grey|rgb)-[0-9a-f]{6}", name):
        return f"{match[1].replace('-', ' ')}, {match[2]} x {match[2]} {match[3]}"
    return name


def log_tail(run: Run) -> str:
    """Read the end of what the process of a run printed."""
    try:
        return read_end(run.log_path, LOG_BYTES).decode(errors="replace")
    except (OSError, ValueError):
        return ""


def settings(config: RunConfig) -> dict[str, str]:
    """Give every setting of a run by its name."""
    values: dict[str, Any] = config.train.to_dict() | config.model.to_dict()
    values |= {"device": config.device, "threads": config.threads or "chosen by torch"}
    if values["dataset"].endswith(SUFFIX):
        values["dataset"] = set_title(values["dataset"])
    values["compiled"] = config.compiled
    if not is_public():
        values["data folder"] = config.data_dir or "the usual one"
    values["begins with"] = " ".join(config.origin) or "random weights"
    return {label(name): _plain(value) for name, value in values.items()}


def label(setting: str) -> str:
    """Name a setting for people.

    >>> label("ema_decay"), label("num_features"), label("learning_rate")
    ('decay of the average weights', 'features', 'learning rate')
    """
    return LABELS.get(setting, setting.removeprefix("num_").replace("_", " "))


def differing(all_settings: Sequence[Mapping[str, str]]) -> list[str]:
    """Name the settings in which runs differ.

    >>> differing([{"a": "1", "b": "2"}, {"a": "1", "b": "3"}])
    ['b']
    """
    names = {name: None for values in all_settings for name in values}
    return [n for n in names if len({values.get(n) for values in all_settings}) > 1]


def _plain(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
