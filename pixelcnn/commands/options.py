"""Command-line options made from the configurations, so that each setting is described once."""

import argparse
import ast
import inspect
import os
import textwrap
from dataclasses import fields

from pixelcnn.data.datasets import DATA_ENVIRONMENT_VARIABLE


def add_data_dir(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the folder of the data."""
    parser.add_argument(
        "--data-dir",
        type=os.path.abspath,  # a run goes on from any folder
        default=None,
        help=f"local copy of the data; else ${DATA_ENVIRONMENT_VARIABLE}, else data/ beside the "
        "package, where they are downloaded to",
    )


def add_fields(
    parser: argparse.ArgumentParser,
    config: type,
    *,
    choices: dict[str, list[str]] | None = None,
    leave_out: set[str] = frozenset(),
) -> None:
    """Add one option per field of a configuration, with the field's own documentation."""
    docs = _field_docs(config)
    group = parser.add_argument_group(config.__name__)
    for field in fields(config):
        if field.name in leave_out:
            continue
        # Absent if not given: --resume must tell a default from a wish.
        text = f"{docs[field.name]} (default: {field.default})"
        more: dict[str, object] = {"default": argparse.SUPPRESS, "help": text}
        if isinstance(field.default, bool):
            more["action"] = argparse.BooleanOptionalAction
        elif isinstance(field.default, tuple):
            more |= {"type": int, "nargs": "+"}
        else:
            more["type"] = int if field.default is None else type(field.default)
        if field.name in (choices or {}):
            more["choices"] = choices[field.name]
        group.add_argument(option(field.name), **more)


def option(field_name: str) -> str:
    """Name the option of a field."""
    return "--" + field_name.replace("_", "-")


def _field_docs(config: type) -> dict[str, str]:
    """Read the text under each field, so that it is written once."""
    body = ast.parse(textwrap.dedent(inspect.getsource(config))).body[0].body
    docs = {}
    for field, text in zip(body, body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr):
            docs[field.target.id] = text.value.value.replace("%", "%%")
    return docs


def given(options: argparse.Namespace, config: type) -> dict[str, object]:
    """Return the fields that the command line names."""
    names = [field.name for field in fields(config) if hasattr(options, field.name)]
    values = {name: getattr(options, name) for name in names}
    return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
