"""Time and memory of a run, estimated in a process of its own. Knows no Streamlit."""

import json
import signal
import subprocess
import sys
import threading
import time

from pixelcnn.commands.train import arguments_of
from pixelcnn.storage import CHECKPOINT_DIR
from pixelcnn.training import launch
from pixelcnn.training.estimate import Estimate
from pixelcnn.training.runs import RunConfig

COMMAND = [sys.executable, "-m", "pixelcnn", "estimate", "--json"]
LIMIT_SECONDS = 60
"""A model that needs longer for a few updates is too large for this page."""
USUAL_SECONDS = 10


class PendingEstimate:
    """An estimate that is being made in a process of its own."""

    def __init__(self, config: RunConfig) -> None:
        self.result: Estimate | None = None
        self.problem: str | None = None
        """Why there is no result."""
        self.started = time.monotonic()
        self._process = subprocess.Popen(
            [*COMMAND, *arguments_of(config)],
            cwd=CHECKPOINT_DIR.parent,
            env=launch.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        # It ends in time even if nobody looks at the page any more.
        threading.Thread(target=self._wait, daemon=True, name="estimate").start()

    @property
    def is_over(self) -> bool:
        """Whether there is a result or a problem."""
        return self.result is not None or self.problem is not None

    @property
    def done(self) -> float:
        """Guess of the share that is over."""
        return min((time.monotonic() - self.started) / USUAL_SECONDS, 0.95)

    def cancel(self) -> None:
        """End the process."""
        self.problem = self.problem or "The estimate was cancelled."
        self._process.kill()

    def _wait(self) -> None:
        try:
            output, errors = self._process.communicate(timeout=LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            self.problem = f"A few updates take over {LIMIT_SECONDS} seconds: this is too large."
            return
        if self.problem is not None:  # cancelled
            return
        try:
            self.result = Estimate(**json.loads(output.splitlines()[-1]))
        except (IndexError, ValueError, TypeError):
            last = (errors.strip() or "the process ended without a word").splitlines()[-1]
            if self._process.returncode == -signal.SIGKILL:
                last = "there is not enough memory for this model and batch."
            self.problem = f"Nothing could be measured: {last.removeprefix('error: ')}"
