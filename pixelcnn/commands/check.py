"""The command that proves that a model is causal."""

import argparse

from pixelcnn.commands.options import add_checkpoint
from pixelcnn.inspection.receptive_field import check_causality
from pixelcnn.storage import load_model


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Add `check`."""
    check = commands.add_parser(
        "check",
        help="prove that no pixel sees the future",
        description="Compute the derivatives of the prediction of every dimension with respect to "
        "every dimension; change the levels of the dimension itself and of later ones; and report "
        "whether anything depends on them (both must change nothing at all), and the share of the "
        "past that is seen.",
    )
    add_checkpoint(check)
    check.set_defaults(run=run_check)


def run_check(options: argparse.Namespace) -> int:
    """Check every prediction; returns 0 if the model is causal, else 1."""
    model = load_model(options.checkpoint)
    report = check_causality(model, range(model.config.num_dims))
    print(report.text)
    return 0 if report.is_causal else 1
