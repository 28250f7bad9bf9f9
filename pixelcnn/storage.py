"""Checkpoints: weights in safetensors, everything else as JSON in its metadata. No pickle."""

import hashlib
import json
import math
import os
import re
import reprlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated

import torch
from pydantic import Field, TypeAdapter
from pydantic.dataclasses import dataclass
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from pixelcnn.config import STRICT, fault_of
from pixelcnn.files import as_path, names_in, open_file, read_file, write_atomically
from pixelcnn.models import Model, StoredConfig, architecture, build_model

FORMAT = "pixelcnn-checkpoint-1"
LIBRARY_VERSION = "0.1.0"
CHECKPOINT_DIR = Path(__file__).resolve().parent.parent / "checkpoints"
MAX_BYTES = 512 * 2**20
MAX_HEADER_BYTES = 4 * 2**20
"""Of the names and shapes of all tensors, and the metadata."""
MAX_METADATA_BYTES = 2**18
FLOATS = ("F64", "F32", "F16", "BF16")
"""Types of numbers that weights may have."""
RUNS_ENVIRONMENT_VARIABLE = "PIXELCNN_RUNS"
RUN_ID = r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}"
"""What the name of a run's folder may be: it can leave no folder, and needs no quoting."""


class CheckpointError(Exception):
    """A checkpoint is missing, damaged, foreign or incompatible; names file and reason."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class CheckpointInfo:
    """What a checkpoint says about itself."""

    config: StoredConfig
    """Shape of the model."""
    dataset: Annotated[str, Field(max_length=4096)] | None
    """Name of the data set it learned, see `pixelcnn.data.datasets.DATASETS`."""
    images_seen: Annotated[int, Field(ge=0, le=10**15)]
    """Training progress."""
    bits_per_dim: Annotated[
        dict[Annotated[str, Field(max_length=40)], Annotated[float, Field(ge=0, le=1e6)]],
        Field(max_length=20),
    ]
    """Measured bits/dim by split ("validation", "test"); absent where not measured."""
    library_version: Annotated[str, Field(max_length=80)] = LIBRARY_VERSION
    """Version of this library that wrote the file."""

    def to_metadata(self) -> dict[str, str]:
        """Return the string metadata of the file."""
        return {"format": FORMAT, "pixelcnn": json.dumps(_INFO.dump_python(self), sort_keys=True)}


_INFO = TypeAdapter(CheckpointInfo)


def save_checkpoint(path: str | os.PathLike[str], model: Model, info: CheckpointInfo) -> None:
    """Write a checkpoint atomically: the file is either the old one or the whole new one.

    Weights are stored in half precision, which halves the file; `benchmarks/README.md` has what
    it costs.

    Raises:
        CheckpointError: if a weight is not a number in half precision.
    """
    tensors = {k: v.detach().half().contiguous() for k, v in model.state_dict().items()}
    for name, weight in tensors.items():
        if not bool(torch.isfinite(weight).all()):
            raise CheckpointError(f"{path}: the weight {name!r} has values beyond half precision.")
    write_atomically(Path(path), safetensors_bytes(tensors, info.to_metadata()))


def load_checkpoint(path: str | os.PathLike[str]) -> tuple[Model, CheckpointInfo]:
    """Read a checkpoint and rebuild its model, in evaluation mode, in float32.

    Raises:
        CheckpointError: if the file is missing, damaged, foreign or incompatible.
    """
    with _opened(path) as (info, file):
        found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        with torch.random.fork_rng(devices=[]):  # the initial weights are replaced at once
            # A small file must not make a huge model.
            model = build_model(info.config, sum(map(math.prod, found.values())))
        weights = model.state_dict()
        wanted = {name: tuple(weight.shape) for name, weight in weights.items()}
        if wrong := sorted(name for name, _ in wanted.items() ^ found.items()):
            raise ValueError(f"the weights do not fit the configuration, first at {wrong[0]!r}")
        for name, weight in weights.items():
            is_float = file.get_slice(name).get_dtype() in FLOATS
            if not is_float or not weight.copy_(file.get_tensor(name)).isfinite().all():
                raise ValueError(f"the weight {name!r} holds values that are not numbers")
    return model.eval().requires_grad_(False), info


def read_info(path: str | os.PathLike[str]) -> CheckpointInfo:
    """Read only what a checkpoint says about itself; raises as `load_checkpoint` does."""
    with _opened(path) as (info, _):
        return info


def checkpoint_path(name: str | os.PathLike[str]) -> Path:
    """Find a checkpoint by its name in `checkpoints/`, by its path, or by a name of a run.

    `run:ID` is the latest checkpoint of a run, `run:ID@best` the one with the best validation
    score, `run:ID@5000` the one after 5,000 images; `imported:NAME` is a file that was imported.

    Raises:
        CheckpointError: if there is none; the text lists the names that exist.
    """
    if str(name).startswith(("run:", "imported:")):
        path = _run_checkpoint_path(str(name))
        if path is None or not os.path.isfile(path):
            raise CheckpointError(f"{name}: no such checkpoint in the folder of runs.")
        return path
    for path in (as_path(name), CHECKPOINT_DIR / f"{name}.safetensors"):
        if os.path.isfile(path):
            return path
    raise CheckpointError(
        f"{name}: no such checkpoint; shipped: {', '.join(list_checkpoints()) or 'none'}."
    )


def _run_checkpoint_path(name: str) -> Path | None:
    """Turn `run:ID`, `run:ID@STAGE` or `imported:NAME` into a path inside the folder of runs."""
    folder = runs_dir()
    if match := re.fullmatch(rf"imported:({RUN_ID})", name):
        path = folder / "imported" / f"{match[1]}.safetensors"
    elif match := re.fullmatch(rf"run:({RUN_ID})(?:@(best|[0-9]{{1,10}}))?", name):
        path = folder / match[1] / "checkpoint.safetensors"
        if stage := match[2]:
            path = path.with_stem("best") if stage == "best" else stage_path(path, int(stage))
    else:
        return None
    inside = Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))
    return path if inside else None  # a link could lead out


def runs_dir() -> Path:
    """Return the folder of the runs: $PIXELCNN_RUNS, else `runs/` beside `checkpoints/`."""
    return as_path(os.environ.get(RUNS_ENVIRONMENT_VARIABLE) or CHECKPOINT_DIR.parent / "runs")


def list_checkpoints() -> dict[str, Path]:
    """List the shipped models of pictures; those of a family come last: family/gru, digits/gru."""
    return _list_folder("") | _list_folder("family/") | _list_folder("digits/")


def list_prices() -> dict[str, Path]:
    """List the checkpoints in `checkpoints/price/` by name, as price/gru.

    They draw series, not pictures, so that no page offers them but the one about the family.
    """
    return _list_folder("price/")


def _list_folder(name: str) -> dict[str, Path]:
    return {f"{name}{p.stem}": p for p in sorted(CHECKPOINT_DIR.glob(f"{name}*.safetensors"))}


def list_scored_checkpoints() -> dict[str, Path]:
    """List those that all pages measure; unreadable ones are kept.

    Those of a family are measured for the page about it. A model that reads evidence has no
    likelihood of its own: without evidence it is the model that it began with.
    """
    found = {name: path for name, path in list_checkpoints().items() if "/" not in name}
    for name, path in list(found.items()):
        with suppress(CheckpointError):
            if architecture(read_info(path).config.architecture).reads_evidence:
                del found[name]
    return found


def list_trained_checkpoints() -> dict[str, Path]:
    """List what was trained or imported here, by the names of `checkpoint_path`, newest first.

    Files that cannot be read are in it too; reading one says what is wrong with it.
    """
    folder, ending, found = runs_dir(), ".safetensors", {}
    imported = [n for n in names_in(folder / "imported") if n.endswith(ending)]
    names = [f"imported:{n.removesuffix(ending)}" for n in imported]
    for name in [*names, *(f"run:{n}" for n in names_in(folder))]:
        path = _run_checkpoint_path(name)
        if path is not None and os.path.lexists(path):
            found[name] = path
    return dict(sorted(found.items(), key=lambda item: -_changed_at(item[1])))


def _changed_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def stage_path(path: Path, images_seen: int) -> Path:
    """Give the file for a stage of a checkpoint's training; files sort by images seen."""
    # A run has one folder of stages, and checkpoints that lie side by side have one each.
    folder = "stages" if path.stem in ("checkpoint", "best") else f"{path.stem}-stages"
    return path.parent / folder / f"{images_seen:08}.safetensors"


def list_stages(path: Path) -> dict[int, Path]:
    """List the stages of a checkpoint's training that were kept, by images seen."""
    folder = stage_path(path, 0).parent
    names = [n for n in names_in(folder) if re.fullmatch(r"[0-9]{8,12}\.safetensors", n)]
    return {int(Path(name).stem): folder / name for name in names}


def weights_digest(path: str | os.PathLike[str]) -> str:
    """Fingerprint the weights of a checkpoint: 16 hex digits of their SHA-256.

    The metadata is left out, so that a result recorded in the file changes nothing.

    Raises:
        CheckpointError: if the file cannot be read.
    """
    try:
        content = read_file(path, MAX_BYTES)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be read ({fault_of(error)}).") from error
    header = 8 + int.from_bytes(content[:8], "little")
    return hashlib.sha256(content[header:]).hexdigest()[:16]


def load_model(name: str | os.PathLike[str]) -> Model:
    """Load the model of a name or path, see `checkpoint_path` and `load_checkpoint`."""
    return load_checkpoint(checkpoint_path(name))[0]


def safetensors_bytes(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """Encode as safetensors, the same content always as the same bytes.

    The library orders the metadata at random, so the header is written again, sorted.
    """
    content = save(dict(tensors), metadata=dict(metadata))
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8:end]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + content[end:]


@contextmanager
def open_safetensors(
    path: str | os.PathLike[str], kind: str, about: str, *, most_bytes: int | None = None
) -> Iterator[tuple[safe_open, str]]:
    """Open one of our files; yields it, and what its metadata hold under `about`, JSON.

    Nothing of it is read before its size and that of its header are known to be in bounds.

    Raises:
        OSError, SafetensorError, ValueError: if it is missing, damaged, or not of this format.
    """
    with open_file(path, MAX_BYTES if most_bytes is None else most_bytes) as opened:
        header = int.from_bytes(opened.read(8), "little")
    if MAX_HEADER_BYTES < header <= os.path.getsize(path):
        raise ValueError(
            f"its header of {header:,} bytes is larger than the limit of {MAX_HEADER_BYTES:,}"
        )
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        if (found := metadata.get("format")) != kind:
            raise ValueError(f"its format (={reprlib.repr(found)}) is not {kind!r}")
        if len(text := metadata.get(about, "")) > MAX_METADATA_BYTES:
            raise ValueError(
                f"its {about!r} of {len(text):,} characters is longer than the limit of "
                f"{MAX_METADATA_BYTES:,}"
            )
        yield file, text


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[tuple[CheckpointInfo, safe_open]]:
    """Open a checkpoint; whatever is wrong with it while it is read is a `CheckpointError`."""
    try:
        with open_safetensors(path, FORMAT, "pixelcnn") as (file, about):
            yield _INFO.validate_json(about), file
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({fault_of(error)}).") from error
    except SafetensorError as error:
        raise CheckpointError(f"{path}: is damaged or no safetensors file ({error}).") from error
    except ValueError as error:
        raise CheckpointError(
            f"{path}: is not a checkpoint of this app: {fault_of(error)}."
        ) from error
