"""The command line: one module for each command."""

import argparse
import sys
from collections.abc import Sequence
from functools import partial

from pixelcnn.commands import check, evaluate, measure, sample, train
from pixelcnn.data.datasets import DataError
from pixelcnn.evaluation.stored import StoredNumbersError
from pixelcnn.files import hush
from pixelcnn.storage import CheckpointError
from pixelcnn.training.engine import TrainingError
from pixelcnn.training.runs import RunError

EXPECTED = (
    ValueError, OSError, CheckpointError, DataError, StoredNumbersError, RunError, TrainingError,
)  # fmt: skip
"""What bad input, missing files and a failed training end with: said in one line."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status (0 fine, 1 failed check, 2 bad input)."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # not every terminal can show every name
    options = make_parser().parse_args(arguments)
    try:
        status = options.run(options)
        sys.stdout.flush()
        return status
    except EXPECTED as error:
        hush()
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130


def make_parser() -> argparse.ArgumentParser:
    """Collect the options of all commands."""
    parser = argparse.ArgumentParser(
        prog="pixelcnn",
        description="Train a PixelCNN, draw pictures, score them, and prove that it is causal.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples (`python -m pixelcnn` in the folder of the app does the same):\n"
        "  pixelcnn sample fashion-mnist-gated --label 9 --output boots.png\n"
        "  pixelcnn check fashion-mnist-gated\n"
        "  pixelcnn train mine --dataset mnist --total-images 20000\n"
        "  pixelcnn evaluate run:mine --split test\n"
        "  pixelcnn evaluate --table\n"
        "  pixelcnn measure paradox fashion-mnist-gated",
    )
    with_defaults = partial(
        argparse.ArgumentParser, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="command", parser_class=with_defaults)
    for command in (train, sample, evaluate, measure, check):
        command.add_commands(commands)
    return parser
