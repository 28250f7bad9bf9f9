"""Checkpoints: weights in safetensors, everything else as JSON in its metadata. No pickle."""

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated

import torch
from pydantic import Field, PlainSerializer, PlainValidator, TypeAdapter
from pydantic.dataclasses import dataclass
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from pixelcnn.config import STRICT, fault_of
from pixelcnn.models import Model, ModelConfig, architecture, build_model, read_config

FORMAT = "pixelcnn-checkpoint-1"
LIBRARY_VERSION = "0.1.0"
CHECKPOINT_DIR = Path(__file__).resolve().parent.parent / "checkpoints"
MAX_BYTES = 512 * 2**20
RUNS_ENVIRONMENT_VARIABLE = "PIXELCNN_RUNS"
RUN_ID = r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}"
"""What the name of a run's folder may be: it can leave no folder, and needs no quoting."""


class CheckpointError(Exception):
    """A checkpoint is missing, damaged, foreign or incompatible; names file and reason."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class CheckpointInfo:
    """What a checkpoint says about itself."""

    config: Annotated[
        ModelConfig,
        PlainValidator(lambda v: v if isinstance(v, ModelConfig) else read_config(v)),
        PlainSerializer(ModelConfig.to_dict),
    ]
    """Shape of the model."""
    dataset: str | None
    """Name of the data set it learned, see `pixelcnn.data.datasets.DATASETS`."""
    images_seen: Annotated[int, Field(ge=0)]
    """Training progress."""
    bits_per_dim: dict[str, Annotated[float, Field(ge=0)]]
    """Measured bits/dim by split ("validation", "test"); absent where not measured."""
    library_version: str = LIBRARY_VERSION
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
    info, tensors = _read(Path(path), with_tensors=True)
    held = sum(t.numel() for t in tensors.values())
    if info.config.fewest_parameters > held:  # a small file must not make a huge model
        raise CheckpointError(
            f"{path}: the weights do not fit the configuration, {held:,} numbers are too few."
        )
    with torch.random.fork_rng(devices=[]):  # the initial weights are replaced at once
        model = build_model(info.config)
    wanted, found = ({(k, v.shape) for k, v in t.items()} for t in (model.state_dict(), tensors))
    if wrong := sorted(name for name, _ in wanted ^ found):
        raise CheckpointError(
            f"{path}: the weights do not fit the configuration, first at {wrong[0]!r}."
        )
    weights = {k: v.float() for k, v in tensors.items()}
    for name, weight in weights.items():
        if not tensors[name].is_floating_point() or not bool(torch.isfinite(weight).all()):
            raise CheckpointError(
                f"{path}: the weight {name!r} holds values that are not numbers."
            )
    model.load_state_dict(weights)
    return model.eval().requires_grad_(False), info


def read_info(path: str | os.PathLike[str]) -> CheckpointInfo:
    """Read only what a checkpoint says about itself; raises as `load_checkpoint` does."""
    return _read(Path(path), with_tensors=False)[0]


def checkpoint_path(name: str | os.PathLike[str]) -> Path:
    """Find a checkpoint by its name in `checkpoints/`, by its path, or by a name of a run.

    `run:ID` is the latest checkpoint of a run, `run:ID@best` the one with the best validation
    score, `run:ID@5000` the one after 5,000 images; `imported:NAME` is a file that was imported.

    Raises:
        CheckpointError: if there is none; the text lists the names that exist.
    """
    if str(name).startswith(("run:", "imported:")):
        path = _run_checkpoint_path(str(name))
        if path is None or not path.is_file():
            raise CheckpointError(f"{name}: no such checkpoint in the folder of runs.")
        return path
    for path in (Path(name), CHECKPOINT_DIR / f"{name}.safetensors"):
        if path.is_file():
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
    inside = path.resolve().is_relative_to(folder.resolve())  # a link could lead out
    return path if inside else None


def runs_dir() -> Path:
    """Return the folder of the runs: $PIXELCNN_RUNS, else `runs/` beside `checkpoints/`."""
    return Path(os.environ.get(RUNS_ENVIRONMENT_VARIABLE) or CHECKPOINT_DIR.parent / "runs")


def list_checkpoints() -> dict[str, Path]:
    """List the checkpoints in `checkpoints/` by name."""
    return {p.stem: p for p in sorted(CHECKPOINT_DIR.glob("*.safetensors"))}


def list_scored_checkpoints() -> dict[str, Path]:
    """List those in `checkpoints/` with a likelihood of their own; unreadable ones are kept.

    A model that reads evidence has none: without evidence it is the model that it began with.
    """
    found = list_checkpoints()
    for name, path in list(found.items()):
        with suppress(CheckpointError):
            if architecture(read_info(path).config.architecture).reads_evidence:
                del found[name]
    return found


def list_trained_checkpoints() -> dict[str, Path]:
    """List what was trained or imported here, by the names of `checkpoint_path`, newest first."""
    imported = {f"imported:{p.stem}": p for p in (runs_dir() / "imported").glob("*.safetensors")}
    trained = {f"run:{p.parent.name}": p for p in runs_dir().glob("*/checkpoint.safetensors")}
    names = {n: p for n, p in (trained | imported).items() if _run_checkpoint_path(n) is not None}
    return dict(sorted(names.items(), key=lambda item: -item[1].stat().st_mtime))


def stage_path(path: Path, images_seen: int) -> Path:
    """Give the file for a stage of a checkpoint's training; files sort by images seen."""
    # A run has one folder of stages, and checkpoints that lie side by side have one each.
    folder = "stages" if path.stem in ("checkpoint", "best") else f"{path.stem}-stages"
    return path.parent / folder / f"{images_seen:08}.safetensors"


def list_stages(path: Path) -> list[Path]:
    """List the stages of a checkpoint's training that were kept, the earliest first."""
    return sorted(stage_path(path, 0).parent.glob("*.safetensors"))


def weights_digest(path: str | os.PathLike[str]) -> str:
    """Fingerprint the weights of a checkpoint: 16 hex digits of their SHA-256.

    The metadata is left out, so that a result recorded in the file changes nothing.

    Raises:
        CheckpointError: if the file cannot be read.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror or error}).") from error
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
    path: str | os.PathLike[str], kind: str, about: str
) -> Iterator[tuple[safe_open, str]]:
    """Open one of our files; yields it, and what its metadata hold under `about`, JSON.

    Raises:
        OSError, SafetensorError, ValueError: if it is missing, damaged, or not of this format.
    """
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        if (found := metadata.get("format")) != kind:
            raise ValueError(f"its format (={found!r}) is not {kind!r}")
        yield file, metadata.get(about, "")


def write_atomically(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Replace a file in one step, so that a reader or a crash never meets half of it.

    Durable: a moment without power cannot take it back either; costs a wait for the disk.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _read(path: Path, *, with_tensors: bool) -> tuple[CheckpointInfo, dict[str, Tensor]]:
    try:
        if (size := path.stat().st_size) > MAX_BYTES:
            raise ValueError(f"{size} bytes are more than the limit of {MAX_BYTES}")
        with open_safetensors(path, FORMAT, "pixelcnn") as (file, about):
            info = _INFO.validate_json(about)
            names = file.keys() if with_tensors else ()
            return info, {name: file.get_tensor(name) for name in names}
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror or error}).") from error
    except SafetensorError as error:
        raise CheckpointError(f"{path}: is damaged or no safetensors file ({error}).") from error
    except ValueError as error:
        raise CheckpointError(
            f"{path}: is not a checkpoint of this app: {fault_of(error)}."
        ) from error
