"""Tiny runs on made-up data: their settings, their folder, and waiting for them."""

import contextlib
import time

from pixelcnn.commands.train import new_config
from pixelcnn.storage import CheckpointInfo
from pixelcnn.training import launch
from pixelcnn.training.runs import RunError, list_runs

from .made_up_data import write_mnist_like

MODEL = {
    "num_levels": 4,
    "num_features": 3,
    "head_features": 3,
    "dilations": (1,),
    "first_kernel_size": 3,
}
TRAIN = {
    "total_images": 1000,
    "batch_size": 5,
    "validation_images": 4,
    "evaluate_every": 100,
    "bfloat16": False,
}


def runs_folder(tmp_path, monkeypatch):
    """Runs of their own, and made-up data that every process finds: 15 pictures, 5 held out."""
    write_mnist_like(tmp_path / "data")
    monkeypatch.setenv("PIXELCNN_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("PIXELCNN_RUNS", str(tmp_path / "runs"))
    yield tmp_path / "runs"
    for run in list_runs(tmp_path / "runs"):
        with contextlib.suppress(RunError):
            launch.end_by_force(run)


def config(**train):
    return new_config(MODEL, TRAIN | train, threads=1)


def info_of(model):
    """What a checkpoint of a model says about itself, without a data set."""
    return CheckpointInfo(config=model.config, dataset=None, images_seen=7, bits_per_dim={})


def curve(run):
    """The records without their times."""
    times = {"seconds", "images_per_second"}
    return [{k: v for k, v in record.items() if k not in times} for record in run.metrics()]


def wait_for(condition, seconds=180):
    until = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)
    return result
