"""What the commands share: options made from the configurations, checks, progress in words."""

import argparse
import os
import sys
import time
from collections.abc import Generator, Sequence
from dataclasses import fields
from typing import TypeVar

from pixelcnn.config import choices_of, doc_of
from pixelcnn.data.datasets import DATA_ENVIRONMENT_VARIABLE
from pixelcnn.durations import clock
from pixelcnn.files import as_path
from pixelcnn.models import ARCHITECTURES, DEFAULT_ARCHITECTURE, ModelConfig

SHAPE_FROM_DATASET = {"num_channels", "height", "width", "num_classes"}
PRINT_EVERY_SECONDS = 5

Result = TypeVar("Result")


def add_checkpoint(parser: argparse.ArgumentParser, nargs: str | None = None) -> None:
    """Add the argument that names a checkpoint."""
    parser.add_argument(
        "checkpoint",
        nargs=nargs,
        help="name in checkpoints/, run:NAME of a run, or path of a *.safetensors file",
    )


def add_data_dir(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    """Add the option that names the folder of the data."""
    parser.add_argument(
        "--data-dir",
        type=lambda written: os.path.abspath(as_path(written)),  # a run goes on from any folder
        default=default,
        help=f"local copy of the data; else ${DATA_ENVIRONMENT_VARIABLE}, else data/ beside the "
        "package, where they are downloaded to",
    )


def add_fields(
    parser: argparse.ArgumentParser,
    config: type,
    leave_out: set[str] = frozenset(),
    others: Sequence[type] = (),
) -> None:
    """Add one option for each field of a configuration, with the field's own documentation.

    The option serves the other configurations too; their own defaults are named.
    """
    group = parser.add_argument_group(config.__name__)
    for field in fields(config):
        if field.name in leave_out:
            continue
        # Absent if not given: --resume must know what was asked for.
        defaults = {"": field.default} | {
            f" {other.architecture}": own.default
            for other in others
            for own in fields(other)
            if own.name == field.name and own.default != field.default
        }
        default = ";".join(f"{name} {value}" for name, value in defaults.items())
        text = f"{doc_of(config, field.name)} (default:{default})".replace("%", "%%")
        more: dict[str, object] = {"default": argparse.SUPPRESS, "help": text}
        if isinstance(field.default, bool):
            more["action"] = argparse.BooleanOptionalAction
        elif isinstance(field.default, tuple):
            more |= {"type": int, "nargs": "+"}
        else:
            more["type"] = int if field.default is None else type(field.default)
            more["choices"] = choices_of(config, field.name) or None
        group.add_argument(option(field.name), **more)


def add_model_fields(parser: argparse.ArgumentParser) -> None:
    """Add the architecture, and the fields of the configurations of all architectures."""
    parser.add_argument(
        "--architecture",
        choices=list(ARCHITECTURES),
        default=argparse.SUPPRESS,
        help="; ".join(f"{name}: {model.about}" for name, model in ARCHITECTURES.items())
        + f" (default: {DEFAULT_ARCHITECTURE})",
    )
    there = set(SHAPE_FROM_DATASET)
    configs = [model.Config for model in ARCHITECTURES.values()]
    for config in (ModelConfig, *configs):
        if names := {field.name for field in fields(config)} - there:
            add_fields(parser, config, leave_out=there, others=configs)
            there |= names


def option(field_name: str) -> str:
    """Name the option of a field."""
    return "--" + field_name.replace("_", "-")


def given(options: argparse.Namespace, *configs: type) -> dict[str, object]:
    """Return the fields of these configurations that the command line names."""
    names = {field.name for config in configs for field in fields(config)}
    values = {name: value for name, value in vars(options).items() if name in names}
    return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}


def given_model(options: argparse.Namespace) -> dict[str, object]:
    """Return the fields of a model that the command line names, and the architecture."""
    values = given(options, *(model.Config for model in ARCHITECTURES.values()))
    if hasattr(options, "architecture"):
        values["architecture"] = options.architecture
    return values


def check_count(name: str, value: int, most: int) -> int:
    """Give a number back; raises ValueError if it is not from 1 to `most`."""
    if not 1 <= value <= most:
        raise ValueError(f"`{name}` (={value}) must be an integer from 1 to {most}.")
    return value


def finish(steps: Generator[float, None, Result], what: str = "") -> Result:
    """Run a work to its end, printing now and then how much is done and how long it takes."""
    started = printed = time.monotonic()
    while True:
        try:
            done = next(steps)
        except StopIteration as stop:
            return stop.value
        now = time.monotonic()
        if now - printed > PRINT_EVERY_SECONDS:
            printed = now
            left = clock((now - started) * (1 / done - 1))
            print(f"{what}{done:4.0%}  {left} left", file=sys.stderr, flush=True)
