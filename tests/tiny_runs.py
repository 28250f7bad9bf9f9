"""Tiny runs on made-up data: their settings, their folder, their processes, waiting for them.

A process that only needs to be another one is a fork of this one: importing torch and all that
training needs takes seconds.
"""

import contextlib
import os
import sys
import time

import torch

from pixelcnn.commands.main import main
from pixelcnn.commands.train import new_config
from pixelcnn.data.own_images import SUFFIX, ImageSet, save_image_set
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


def own_images(folder, factor=7):
    """Write a data set of own images, which is read without torchvision; gives its path."""
    values = torch.arange(20 * 28 * 28).view(20, 1, 28, 28) * factor % 256
    path = folder.parent / f"made-up{SUFFIX}"
    save_image_set(path, ImageSet(values.byte(), torch.arange(20) % 3, ("one", "two", "three")))
    return str(path)


class Fork:
    """Do something in a process of its own; `wait` gives its exit status."""

    def __init__(self, work):
        torch.optim.SGD([torch.zeros(1)])  # the first optimizer imports much: not in every fork
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115
                status = work() or 0
            finally:
                os._exit(status)

    def wait(self):
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


class ForkedCommand(Fork):
    """What stands in for `subprocess.Popen` where a run is started: the same command, forked."""

    def __init__(self, command, *, env, **_):
        self.command, self.env = command[command.index("pixelcnn") + 1 :], env
        super().__init__(self.work)

    def work(self):
        os.environ.update(self.env)
        return main(self.command)


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
