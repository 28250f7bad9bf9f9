"""Runs that are killed, lose their disk, their terminal, their reader or their data.

The moments are seeded: the n-th time that a process touches a file of its run. `PIXELCNN_FIRE=10`
tries ten times as many; `docs/fire.md` has the figures.
"""

import errno
import os
import random
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest
import torch

from pixelcnn.data import datasets
from pixelcnn.storage import CHECKPOINT_DIR, load_checkpoint
from pixelcnn.training.runs import Run, RunError, create_run, list_runs
from pixelcnn.training.worker import train_run

from .test_fire import HARD
from .tiny_runs import Fork, config, curve, own_images, runs_folder, wait_for

resource = pytest.importorskip("resource")  # as there is where processes fork
TOUCHES = ("open", "os.rename", "os.remove", "os.mkdir", "os.truncate")
FILES = ("checkpoint.safetensors", "best.safetensors", "training.state")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    yield from runs_folder(tmp_path, monkeypatch)


def in_child(work):
    """Do something in a process of its own; returns its exit status."""
    return Fork(work).wait()


def at_each_touch(folder, do):
    """Call a function with the number of each touch of a file in a folder, before it happens."""
    count = 0

    def hook(event, arguments):
        nonlocal count
        if event in TOUCHES and str(folder) in str(arguments[0]):
            count += 1
            do(count)

    sys.addaudithook(hook)


def train_from(path, settings):
    """Begin a run, or go on with it."""
    run = Run(path)
    if not run.exists():
        run = create_run(settings, path)
    train_run(run, run.config())


@pytest.fixture
def whole(folder):
    """Settings, and a run with them that nothing disturbed; how often it touched its files."""
    settings = config(dataset=own_images(folder), total_images=60, evaluate_every=20)
    path, counted = folder / "whole", folder.parent / "count"

    def work():
        at_each_touch(path, lambda number: touches.append(number))
        train_from(path, settings)
        counted.write_text(str(len(touches)))

    touches = []
    assert in_child(work) == 0
    run = Run(path)
    assert run.status().state == "finished"
    return settings, run, int(counted.read_text())


def assert_equal(path, settings, whole):
    """Go on with a run that was disturbed: it must end as the other, and leave nothing."""
    assert path.name not in {r.id for r in list_runs()} or Run(path).status().state != "training"
    assert in_child(lambda: train_from(path, settings)) == 0
    run = Run(path)
    assert run.status().state == "finished" and curve(run) == curve(whole)
    for name in FILES:
        assert (path / name).read_bytes() == (whole.path / name).read_bytes()
    assert not [p for p in path.rglob("*") if p.name.endswith(".part")]


def test_killed_at_random_moments_a_run_ends_as_if_it_had_not_been(folder, whole):
    settings, undisturbed, touches = whole
    ends = []
    moments = random.Random(0).sample(range(1, touches + 1), min(6 * HARD, touches))
    for number, moment in enumerate(moments):
        path = folder / f"killed-{number}"

        def work(path=path, moment=moment):
            def kill(touch):
                if touch == moment:
                    os.kill(os.getpid(), signal.SIGKILL)

            at_each_touch(path, kill)
            train_from(path, settings)

        ends.append(in_child(work))  # it may be over before that moment, on a quick machine
        if Run(path).checkpoint.exists():
            load_checkpoint(Run(path).checkpoint)
        assert_equal(path, settings, undisturbed)
    killed = ends.count(-signal.SIGKILL)
    assert killed and set(ends) <= {0, -signal.SIGKILL}
    print(f"\n| Killed at one of {touches} moments | {killed} | all ended the same |")


@pytest.mark.parametrize("kind", ["no new file", "no more bytes"])
def test_a_disk_that_is_full_from_a_random_moment_on_loses_nothing(folder, whole, kind):
    settings, undisturbed, touches = whole
    largest = undisturbed.state_path.stat().st_size
    chance = random.Random(1)
    for number in range(3 * HARD):
        path = folder / f"full-{number}"
        moment, size = chance.randint(1, touches), chance.randint(1, largest)

        def work(path=path, moment=moment, size=size):
            def fill(touch):
                if touch >= moment:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

            if kind == "no new file":
                at_each_touch(path, fill)
            else:  # a file is cut off where the disk is full
                resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
            train_from(path, settings)

        in_child(work)
        assert_equal(path, settings, undisturbed)
    print(f"\n| Disk full, {kind} | {3 * HARD} | all ended the same |")


def start(run, **more):
    """Train a run by the command, in a process of its own."""
    command = [sys.executable, "-m", "pixelcnn", "train", str(run.path), "--resume"]
    return subprocess.Popen(
        command, cwd=CHECKPOINT_DIR.parent, stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL), **more,
    )  # fmt: skip


def test_training_goes_on_when_nobody_reads_what_it_prints(folder, whole):
    settings, undisturbed, _ = whole
    run = create_run(settings, folder / "head")
    process = start(run, stdout=subprocess.PIPE)
    assert process.stdout.readline()
    process.stdout.close()  # as `head -1` does
    assert process.wait() == 0
    assert run.status().state == "finished" and curve(run) == curve(undisturbed)


def test_a_closed_terminal_stops_a_run_as_sigterm_does(folder):
    run = create_run(config(dataset=own_images(folder), total_images=10**8), folder / "terminal")
    process = start(run, stdout=subprocess.DEVNULL)
    wait_for(lambda: run.status().images_seen > 0)
    process.send_signal(signal.SIGHUP)
    assert process.wait() == 130  # as after SIGTERM and Ctrl-C
    status = run.status()
    assert status.state == "stopped" and status.can_start and run.state_path.exists()


def test_other_images_under_the_same_name_are_not_learned(folder, whole):
    settings, undisturbed, touches = whole
    path = folder / "changed"

    def work():
        at_each_touch(path, lambda n: n == touches // 2 and os.kill(os.getpid(), signal.SIGKILL))
        train_from(path, settings)

    assert in_child(work) == -signal.SIGKILL and Run(path).config().data_digest
    own_images(folder, factor=11)
    with pytest.raises(RunError, match="the images are not those that it began with"):
        train_run(Run(path), Run(path).config())
    own_images(folder)
    assert_equal(path, settings, undisturbed)


def test_two_who_need_the_same_data_fetch_it_one_after_the_other(tmp_path, monkeypatch):
    inside, most, fetched = [], [], []

    class Fake:
        """What torchvision does: without the file it must be told to fetch it."""

        def __init__(self, folder, train, download=False):
            file = folder / "file"
            if not file.exists():
                if not download:
                    raise RuntimeError("Dataset not found")
                inside.append(1)
                most.append(len(inside))
                fetched.append(1)
                time.sleep(0.2)  # the other one comes now
                file.touch()
                inside.pop()
            self.data = torch.zeros(20, 28, 28, dtype=torch.uint8)
            self.targets = torch.zeros(20)

    kinds = SimpleNamespace(FashionMNIST=Fake)
    monkeypatch.setattr(datasets, "_torchvision_datasets", lambda: kinds)
    found = []

    def load():
        found.append(datasets.load_dataset("fashion-mnist", "train", tmp_path)[0].shape)

    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3 and max(most) == 1 and len(fetched) == 1
