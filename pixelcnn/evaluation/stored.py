"""Measured numbers, kept as small JSON files beside the checkpoints.

Each says which weights it was measured with and by which command, so that a page can show it
without the data, and say so where the weights have changed since.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pixelcnn.storage import (
    CHECKPOINT_DIR,
    CheckpointError,
    checkpoint_path,
    weights_digest,
    write_atomically,
)

FORMAT = "pixelcnn-measurement-1"
FOLDER = CHECKPOINT_DIR / "measurements"
MAX_BYTES = 4 * 2**20

Result = TypeVar("Result")


class MeasurementError(Exception):
    """A file of measurements is damaged or foreign; names file and reason."""


@dataclass(frozen=True)
class Measurement:
    """Where some numbers come from, and the numbers as JSON values."""

    command: str
    """The command that measured them."""
    weights: dict[str, str]
    """Digest of the weights of every checkpoint that took part, by name."""
    values: Mapping[str, Any]
    """The numbers."""

    @property
    def outdated(self) -> list[str]:
        """Checkpoints that are gone, or whose weights are no longer the measured ones."""
        return [name for name, digest in self.weights.items() if not is_current(name, digest)]


def is_current(name: str, digest: str) -> bool:
    """Say whether a checkpoint exists and has the weights of a digest."""
    try:
        return weights_digest(checkpoint_path(name)) == digest
    except CheckpointError:
        return False


def measurement_path(kind: str, checkpoint: str) -> Path:
    """Give the file of a measurement: of a run, or of any other file, it lies beside the weights.

    Arguments:
        kind: "paradox" or "calibration".
        checkpoint: name or path, see `checkpoint_path`.

    Raises:
        CheckpointError: if there is no such checkpoint.
    """
    path = checkpoint_path(checkpoint)
    name = f"{kind}-{path.stem}.json"
    return FOLDER / name if is_shipped(path) else path.with_name(name)


def is_shipped(path: Path) -> bool:
    """Say whether a checkpoint lies in `checkpoints/`."""
    return path.resolve().parent == CHECKPOINT_DIR.resolve()


def percent(share: float, digits: int = 1) -> str:
    """Write a share; only none is 0 %, and only all is 100 %.

    >>> percent(0.25), percent(0.9996), percent(1), percent(0.0001, 0)
    ('25.0%', 'over 99.9%', '100.0%', 'under 1%')
    """
    least = 0.1**digits / 100
    if 0 < share < least / 2:
        return f"under {least:.{digits}%}"
    if 1 - least / 2 <= share < 1:
        return f"over {1 - least:.{digits}%}"
    return f"{share:.{digits}%}"


def save_measurement(path: Path, measurement: Measurement) -> None:
    """Write a measurement atomically."""
    content = {
        "format": FORMAT,
        "command": measurement.command,
        "weights": measurement.weights,
        "values": measurement.values,
    }
    text = json.dumps(content, allow_nan=False, separators=(",", ":"))
    # One table a line, so that a changed number is a readable change.
    text = text.replace('],"', '],\n"').replace('},"', '},\n"').replace("},{", "},\n{")
    write_atomically(path, (text + "\n").encode())


def load_measurement(
    path: Path, read: Callable[[Mapping[str, Any]], Result]
) -> tuple[Measurement, Result] | None:
    """Read a measurement; None if there is none.

    Arguments:
        path: the file.
        read: turns the values into what they mean, and raises ValueError if they mean nothing.

    Raises:
        MeasurementError: if the file is damaged or foreign.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise MeasurementError(f"{path}: has more than {MAX_BYTES} bytes.")
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise ValueError(f"its format (={content['format']!r}) is not {FORMAT!r}")
        weights = {str(name): str(digest) for name, digest in content["weights"].items()}
        measurement = Measurement(str(content["command"]), weights, content["values"])
        return measurement, read(measurement.values)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise MeasurementError(
            f"{path}: is damaged, or no measurement of this app ({error})."
        ) from error
