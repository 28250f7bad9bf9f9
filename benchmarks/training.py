"""How soon are the first pictures there, and how far does a preset of the Train page get?

    python benchmarks/training.py [--preset "Ten minutes"] [--dataset fashion-mnist]

Starts a run exactly as the page does, in a process of its own and in a temporary folder, and draws
its first pictures as the page does, while it trains on. Seconds count from the click on Start.
"""

import argparse
import contextlib
import os
import tempfile
import time
from pathlib import Path

from pixelcnn.commands.train import new_config
from pixelcnn.data.datasets import DATASETS, dataset_of
from pixelcnn.progress import drain
from pixelcnn.storage import RUNS_ENVIRONMENT_VARIABLE
from pixelcnn.training import launch
from pixelcnn.training.runs import RunError, create_run
from pixelcnn.ui.train import presets
from pixelcnn.ui.train.gallery import PICTURES, draw

GOAL = 3.0


def follow(run, started, goal):
    """Print what happens, when it happens; returns when the run is over."""
    printed, reached, drawn, training = 0, None, False, False
    while (status := run.status()).is_active:
        seconds = time.monotonic() - started
        if status.state == "training" and not training:
            training = True
            print(f"{seconds:7.1f} s  training on {status.device}")
        if run.checkpoint.exists() and not drawn:
            print(f"{seconds:7.1f} s  first save")
            sheet = drain(draw(run.checkpoint, PICTURES, 1.0))
            seconds, drawn = time.monotonic() - started, True
            print(f"{seconds:7.1f} s  first {PICTURES} pictures, after {sheet.images_seen} images")
        printed, reached = print_scores(run, printed, reached, started, goal)
        time.sleep(0.2)
    print_scores(run, printed, reached, started, goal)
    return status


def print_scores(run, printed, reached, started, goal):
    scores = [record for record in run.metrics() if "validation" in record]
    for record in scores[printed:]:
        seconds, score = time.monotonic() - started, record["validation"]
        print(f"{seconds:7.1f} s  {record['images_seen']:7,} images  {score:.3f} bits/dim")
        if reached is None and score <= goal:
            reached = seconds
            print(f"{seconds:7.1f} s  {goal} bits/dim reached", flush=True)
    return len(scores), reached


def main():
    names = [preset.name for preset in presets.PRESETS]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", choices=names, default="Ten minutes")
    parser.add_argument("--dataset", choices=[*DATASETS], default="fashion-mnist")
    options = parser.parse_args()

    preset = presets.preset(options.preset)
    model = presets.fit_channels(preset.model, dataset_of(options.dataset))
    train = presets.marks(preset.train["total_images"], 16) | preset.train
    config = new_config(model, train | {"dataset": options.dataset})
    print(f"{preset.name}: {config.train.total_images:,} images, {os.cpu_count()} CPUs")
    with tempfile.TemporaryDirectory() as folder:
        os.environ[RUNS_ENVIRONMENT_VARIABLE] = folder
        started = time.monotonic()
        run = create_run(config, Path(folder) / "benchmark")
        launch.start(run)
        try:
            status = follow(run, started, GOAL)
        finally:
            with contextlib.suppress(RunError):
                launch.end_by_force(run)
            launch.wait_until_over(run)
        print(
            f"{time.monotonic() - started:7.1f} s  {status.state} {status.message}: "
            f"{status.images_per_second:.1f} images/s, {status.memory_bytes / 2**20:.0f} MiB"
        )


if __name__ == "__main__":
    main()
