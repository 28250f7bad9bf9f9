"""Runs as processes: what holds when they are stopped, killed, queued, shared by several."""

import contextlib
import dataclasses
import shlex
import signal
import subprocess
import sys
import time

import pytest
import torch

from pixelcnn.commands.train import command_line
from pixelcnn.data.own_images import SUFFIX, ImageSet, save_image_set
from pixelcnn.storage import CHECKPOINT_DIR, load_checkpoint
from pixelcnn.training import launch
from pixelcnn.training.runs import Run, RunError, create_run, list_runs, run_path
from pixelcnn.training.state import load_training_state
from pixelcnn.training.worker import train_run

from .tiny_runs import config, curve, runs_folder, wait_for


@pytest.fixture
def folder(tmp_path, monkeypatch):
    yield from runs_folder(tmp_path, monkeypatch)


@pytest.fixture
def own_images(folder):
    """A data set for processes: it is read without torchvision, which takes seconds to import."""
    values = torch.arange(20 * 28 * 28).view(20, 1, 28, 28) * 7 % 256
    images = ImageSet(values.byte(), torch.arange(20) % 3, ("one", "two", "three"))
    path = folder.parent / f"made-up{SUFFIX}"
    save_image_set(path, images)
    return str(path)


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # it may end while the file is read
        return False


KILLED_ON_THE_WAY = """
import os, signal, sys
from pixelcnn.commands.main import main
from pixelcnn.training import worker

def killed(*arguments, train=worker.train):
    for number, event in enumerate(train(*arguments)):
        yield event
        if number == 30:  # after the first evaluation
            os.kill(os.getpid(), signal.SIGKILL)

worker.train = killed
main(["train", sys.argv[1], "--resume"])
"""


def test_a_killed_run_is_shown_as_crashed_and_resumes_with_the_same_losses(folder, own_images):
    settings = config(dataset=own_images, total_images=300)
    whole = create_run(settings, folder / "whole")
    assert train_run(whole, settings).state == "finished"

    run = create_run(settings, folder / "killed")
    command = [sys.executable, "-c", KILLED_ON_THE_WAY, str(run.path)]
    assert subprocess.run(command, cwd=CHECKPOINT_DIR.parent).returncode == -signal.SIGKILL
    crashed = run.status()
    assert crashed.state == "crashed" and "Resume" in crashed.message
    load_checkpoint(run.checkpoint)  # what was saved is whole
    assert 0 < len(curve(run)) < len(curve(whole))

    launch.start(run)
    assert run.status().is_active  # from the first moment
    status = launch.wait_until_over(run)
    assert status.state == "finished" and status.message == ""
    assert curve(run) == curve(whole)
    for name in ("checkpoint.safetensors", "best.safetensors", "training.state"):
        assert (run.path / name).read_bytes() == (whole.path / name).read_bytes()
    wait_for(lambda: not is_running(status.pid))


def test_stop_saves_the_state_and_leaves_no_process_and_delete_leaves_nothing(folder, own_images):
    run = create_run(config(total_images=1_000_000, dataset=own_images), name="forever")
    launch.start(run)
    with pytest.raises(RunError, match="forever: is going on already"):
        launch.start(run)
    with pytest.raises(RunError, match="is being trained already"):
        run.delete()
    wait_for(lambda: run.status().images_seen > 0)
    pid = run.status().pid
    assert run.status().state == "training" and is_running(pid)
    launch.stop(run)
    assert run.status().state in ("stopping", "stopped")
    status = launch.wait_until_over(run)
    assert status.state == "stopped" and status.images_seen > 0
    wait_for(lambda: not is_running(pid))
    assert not run.stop_path.exists()
    saved, _ = load_training_state(run.state_path)
    assert saved.images_seen == status.images_seen >= run.metrics()[-1]["images_seen"]
    for end in (launch.stop, launch.end_by_force):
        with pytest.raises(RunError, match="is not going on"):
            end(run)
    run.delete()
    assert list_runs() == [] and not [p for p in folder.iterdir() if p.is_dir()]


def test_runs_wait_for_their_turn_unless_they_are_to_start_at_once(folder, own_images):
    settings = config(total_images=1_000_000, dataset=own_images)
    names = ("first", "second", "third", "hasty")
    first, second, third, hasty = (create_run(settings, folder / name) for name in names)
    for run in (first, second, third):
        launch.start(run)
    wait_for(lambda: first.status().state == "training")
    wait_for(lambda: second.status().state == third.status().state == "queued")
    launch.start(hasty, queue=False)
    wait_for(lambda: hasty.status().state == "training")
    assert second.status().state == "queued" and first.status().state == "training"
    launch.end_by_force(first)  # a killed run gives its turn away as well
    time.sleep(1.2)
    assert second.status().state == "queued"  # but there is one that did not wait
    launch.stop(hasty)
    wait_for(lambda: second.status().state == "training")
    assert third.status().state == "queued"
    launch.stop(third)  # a run that waits can be stopped
    assert launch.wait_until_over(third).state == "stopped"
    assert second.status().state == "training"


def test_a_run_can_be_stopped_while_its_process_starts(folder, own_images):
    run = create_run(config(total_images=1_000_000, dataset=own_images), folder / "run")
    launch.start(run)
    launch.stop(run)
    with contextlib.suppress(RunError):  # unless the process is there already
        launch.end_by_force(run)
        pytest.skip("the process was there already")
    assert launch.wait_until_over(run).state == "stopped"
    assert run.status().images_seen <= 5  # the update that it was about to do


def together_as_two(*command):
    """Run a command under torchrun in two processes."""
    torchrun = "-m torch.distributed.run --nproc-per-node 2 --master-addr 127.0.0.1 "
    torchrun += "--master-port 0 --rdzv-endpoint 127.0.0.1:0 --rdzv-backend c10d -m pixelcnn"
    whole = [sys.executable, *torchrun.split(), *command]
    done = subprocess.run(whole, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr


def test_two_processes_train_as_one_does_with_the_same_batches(folder, own_images):
    settings = {"total_images": 120, "batch_size": 7, "evaluate_every": 60}
    settings |= {"dataset": own_images, "label_contrast": 3.0}
    alone = create_run(config(**settings), folder / "alone")
    train_run(alone, config(**settings))
    command = shlex.split(command_line(alone.config(), "together"))[3:]
    together_as_two(*command)
    together = Run(run_path("together"))
    assert together.config().train == alone.config().train
    assert together.status().state == "finished"
    assert len(curve(together)) == len(curve(alone)) == 1 + 18 + 2
    for one, other in zip(curve(alone), curve(together), strict=True):
        assert one.keys() == other.keys()
        for name, value in one.items():
            assert other[name] == pytest.approx(value, rel=1e-4), (name, one)
    models = [load_checkpoint(run.checkpoint)[0].state_dict() for run in (alone, together)]
    for name, weight in models[0].items():
        torch.testing.assert_close(models[1][name], weight, atol=2e-3, rtol=1e-2)
    # Both go on, longer than they were meant to.
    longer = dataclasses.replace(alone.config().train, total_images=180)
    train_run(alone, dataclasses.replace(alone.config(), train=longer))
    together_as_two("train", "together", "--resume", "--total-images", "180")
    assert together.config().train == longer and together.status().state == "finished"
    assert len(curve(together)) == len(curve(alone)) > 1 + 18 + 2
    assert curve(together)[-2]["loss"] == pytest.approx(curve(alone)[-2]["loss"], rel=1e-3)


def test_a_run_started_from_another_folder_finds_data_and_runs_named_by_relative_paths(
    folder, monkeypatch
):
    monkeypatch.chdir(folder.parent)
    monkeypatch.setenv("PIXELCNN_DATA", "data")
    monkeypatch.setenv("PIXELCNN_RUNS", "runs")
    run = create_run(config(total_images=10))
    launch.start(run)
    assert launch.wait_until_over(run).state == "finished", run.log_path.read_text()
    seen = run.status().images_seen
    for total in (None, seen):
        with pytest.raises(RunError, match=f"is finished, after {seen} images"):
            launch.start(run, total_images=total)
    launch.start(run, total_images=2 * seen)
    status = launch.wait_until_over(run)
    assert (status.state, status.images_seen) == ("finished", 2 * seen), run.log_path.read_text()
    assert run.config().train.total_images == 2 * seen
