"""Measured numbers, kept as small JSON files beside the checkpoints.

Each file says which weights were measured and by which command, so that a page can show the
numbers without the data, and say so where the weights have changed since.
"""

import json
from pathlib import Path
from typing import Annotated, Generic, Literal, TypeVar

from pydantic import BaseModel, Field

from pixelcnn.config import STRICT, fault_of
from pixelcnn.files import read_file, write_atomically
from pixelcnn.storage import CHECKPOINT_DIR, CheckpointError, checkpoint_path, weights_digest

FOLDER = CHECKPOINT_DIR / "measurements"
MAX_BYTES = 4 * 2**20

Count = Annotated[int, Field(ge=0)]
NotNegative = Annotated[float, Field(ge=0)]
Numbers = TypeVar("Numbers")


class StoredNumbersError(Exception):
    """A file of stored numbers is damaged or foreign; names file and reason."""


class StoredNumbers(BaseModel, Generic[Numbers]):
    """Some numbers, and where they come from."""

    model_config = STRICT

    format: Literal["pixelcnn-measurement-1"] = "pixelcnn-measurement-1"
    command: str
    """The command that measured them."""
    weights: dict[str, str]
    """Digest of the weights of every checkpoint that took part, by name."""
    values: Numbers
    """The numbers themselves."""

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


def numbers_path(kind: str, checkpoint: str) -> Path:
    """Give the file of numbers of a checkpoint: unless it is shipped, it lies beside the weights.

    The kind is "paradox", "calibration" or "family"; raises as `checkpoint_path` does.
    """
    path = checkpoint_path(checkpoint)
    name = f"{kind}-{path.stem}.json"
    return FOLDER / name if is_shipped(path) else path.with_name(name)


def is_shipped(path: Path) -> bool:
    """Say whether a checkpoint lies in `checkpoints/`."""
    return path.resolve().parent == CHECKPOINT_DIR.resolve()


def percent(share: float, digits: int = 1) -> str:
    r"""Write a share; only none is 0 %, and only all is 100 %.

    >>> percent(0.25), percent(0.9996), percent(1), percent(0.0001, 0)
    ('25.0\xa0%', 'over 99.9\xa0%', '100.0\xa0%', 'under 1\xa0%')
    >>> percent(0), percent(1e-9), percent(0.044), percent(0.99999)
    ('0.0\xa0%', 'under 0.1\xa0%', '4.4\xa0%', 'over 99.9\xa0%')
    """
    least = 0.1**digits / 100
    if 0 < share < least / 2:
        return f"under {percent(least, digits)}"
    if 1 - least / 2 <= share < 1:
        return f"over {percent(1 - least, digits)}"
    return f"{100 * share:.{digits}f}\N{NO-BREAK SPACE}%"


def save_numbers(path: Path, numbers: StoredNumbers) -> None:
    """Write numbers atomically."""
    text = json.dumps(numbers.model_dump(), allow_nan=False, separators=(",", ":"))
    # One table a line, so that a changed number is a readable change.
    text = text.replace('],"', '],\n"').replace('},"', '},\n"').replace("},{", "},\n{")
    write_atomically(path, (text + "\n").encode())


def load_numbers(path: Path, kind: type[Numbers]) -> StoredNumbers[Numbers] | None:
    """Read numbers of a kind, such as `Calibration`; None if there are none.

    Raises:
        StoredNumbersError: if the file is damaged or foreign.
    """
    try:
        return StoredNumbers[kind].model_validate_json(read_file(path, MAX_BYTES))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise StoredNumbersError(
            f"{path}: is damaged, or no file of measured numbers ({fault_of(error)})."
        ) from error
