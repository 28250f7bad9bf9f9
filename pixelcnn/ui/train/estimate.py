"""Time and memory of a run, estimated in a process of its own. Knows no Streamlit."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from dataclasses import replace

from pixelcnn.commands.train import arguments_of
from pixelcnn.storage import CHECKPOINT_DIR
from pixelcnn.training import launch
from pixelcnn.training.estimate import Estimate
from pixelcnn.training.runs import RunConfig

COMMAND = [sys.executable, "-m", "pixelcnn", "estimate", "--json"]
LIMIT_SECONDS = 60
"""A model that needs longer for a few updates is too large for this page."""
USUAL_SECONDS = 10


class EstimateError(Exception):
    """Nothing could be measured."""


def iter_estimate(config: RunConfig) -> Generator[float, None, Estimate]:
    """Train for a moment; yields a guess of the share that is over.

    Raises:
        EstimateError: if it fails or takes too long; says why.
    """
    started = time.monotonic()
    process = subprocess.Popen(
        [*COMMAND, *arguments_of(replace(config, origin=()))],  # whatever the weights are
        cwd=CHECKPOINT_DIR.parent,
        env=launch.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        while True:
            try:
                output, errors = process.communicate(timeout=0.2)
                break
            except subprocess.TimeoutExpired:
                seconds = time.monotonic() - started
                if seconds > LIMIT_SECONDS:
                    raise EstimateError(
                        f"A few updates take over {LIMIT_SECONDS} seconds: this is too large."
                    ) from None
                yield min(seconds / USUAL_SECONDS, 0.95)
    finally:
        process.kill()
        process.communicate()
    try:
        return Estimate(**json.loads(output.splitlines()[-1]))
    except (IndexError, ValueError, TypeError):
        last = (errors.strip() or "the process ended without a word").splitlines()[-1]
        if process.returncode == -signal.SIGKILL:
            last = "there is not enough memory for this model and batch."
        raise EstimateError(f"Nothing could be measured: {last.removeprefix('error: ')}") from None
