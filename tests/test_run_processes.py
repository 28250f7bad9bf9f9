"""Runs as processes: what holds when they are stopped, killed, queued, shared by several."""

import dataclasses
import os
import shlex
import signal
import socket
import subprocess
import sys
import time

import pytest
import torch

from pixelcnn.commands.train import command_line
from pixelcnn.storage import load_checkpoint
from pixelcnn.training import launch, worker
from pixelcnn.training.runs import Run, RunError, create_run, list_runs, run_path
from pixelcnn.training.state import load_training_state
from pixelcnn.training.worker import train_run

from .tiny_runs import Fork, ForkedCommand, config, curve, own_images, runs_folder, wait_for


@pytest.fixture
def folder(tmp_path, monkeypatch):
    yield from runs_folder(tmp_path, monkeypatch)


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # it may end while the file is read
        return False


def test_a_killed_run_resumes_with_the_same_losses_and_a_finished_one_goes_on_if_it_is_longer(
    folder, monkeypatch
):
    """Data and runs are named by relative paths, which must lead there from any folder."""
    monkeypatch.chdir(folder.parent)
    monkeypatch.setenv("PIXELCNN_DATA", "data")
    monkeypatch.setenv("PIXELCNN_RUNS", "runs")
    settings = config(total_images=300)
    whole, run = (create_run(settings, folder / name) for name in ("whole", "killed"))
    assert train_run(whole, settings).state == "finished"

    def killed(*arguments, train=worker.train):
        for number, event in enumerate(train(*arguments)):
            yield event
            if number == 30:  # after the first evaluation
                os.kill(os.getpid(), signal.SIGKILL)

    with monkeypatch.context() as patch:
        patch.setattr(worker, "train", killed)
        assert Fork(lambda: train_run(run, settings)).wait() == -signal.SIGKILL
    crashed = run.status()
    assert crashed.state == "crashed" and "Resume" in crashed.message
    load_checkpoint(run.checkpoint)  # what was saved is whole
    assert 0 < len(curve(run)) < len(curve(whole))

    launch.start(run)
    assert run.status().is_active  # from the first moment
    status = launch.wait_until_over(run)
    assert (status.state, status.message) == ("finished", ""), run.log_path.read_text()
    assert curve(run) == curve(whole)
    for name in ("checkpoint.safetensors", "best.safetensors", "training.state"):
        assert (run.path / name).read_bytes() == (whole.path / name).read_bytes()
    wait_for(lambda: not is_running(status.pid))

    for total in (None, 300):
        with pytest.raises(RunError, match="is finished, after 300 images"):
            launch.start(run, total_images=total)
    monkeypatch.setattr(subprocess, "Popen", ForkedCommand)
    launch.start(run, total_images=600)
    status = launch.wait_until_over(run)
    assert (status.state, status.images_seen) == ("finished", 600), run.log_path.read_text()
    assert run.config().train.total_images == 600


@pytest.fixture
def forked(monkeypatch):
    """Let runs be started as forks, and train slowly, so that nothing is finished too early."""

    def slow(*arguments, train=worker.train):
        for event in train(*arguments):
            yield event
            time.sleep(0.05)

    monkeypatch.setattr(worker, "train", slow)
    monkeypatch.setattr(subprocess, "Popen", ForkedCommand)


def test_stop_saves_the_state_and_leaves_no_process_and_delete_leaves_nothing(folder, forked):
    run = create_run(config(total_images=1_000_000, dataset=own_images(folder)), name="forever")
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


def test_runs_wait_for_their_turn_unless_they_are_to_start_at_once(folder, forked):
    settings = config(total_images=1_000_000, dataset=own_images(folder))
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


def test_a_run_can_be_stopped_while_its_process_starts(folder, forked, monkeypatch):
    class Late(ForkedCommand):
        """A process that begins its work when it is let."""

        def work(self):
            wait_for((folder / "gate").exists)
            return super().work()

    monkeypatch.setattr(subprocess, "Popen", Late)
    run = create_run(config(total_images=1_000_000, dataset=own_images(folder)), folder / "run")
    launch.start(run)
    launch.stop(run)
    with pytest.raises(RunError, match="only just starting"):
        launch.end_by_force(run)
    (folder / "gate").touch()
    assert launch.wait_until_over(run).state == "stopped"
    assert run.status().images_seen <= 5  # the update that it was about to do


def under_torchrun(*command):
    """Run a command under torchrun in two processes."""
    torchrun = "-m torch.distributed.run --nproc-per-node 2 --master-addr 127.0.0.1 "
    torchrun += "--master-port 0 --rdzv-endpoint 127.0.0.1:0 --rdzv-backend c10d -m pixelcnn"
    whole = [sys.executable, *torchrun.split(), *command]
    done = subprocess.run(whole, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr


def as_under_torchrun(*command):
    """Run a command in two forks, with what torchrun would tell them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        told = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    told |= {"WORLD_SIZE": "2"}
    forks = [
        ForkedCommand(["pixelcnn", *command], env=told | {"RANK": rank, "LOCAL_RANK": rank})
        for rank in "01"
    ]
    assert [fork.wait() for fork in forks] == [0, 0]


def test_two_processes_train_as_one_does_with_the_same_batches(folder):
    settings = {"total_images": 120, "batch_size": 7, "evaluate_every": 60}
    settings |= {"dataset": own_images(folder), "label_contrast": 3.0}
    alone = create_run(config(**settings), folder / "alone")
    train_run(alone, config(**settings))
    command = shlex.split(command_line(alone.config(), "together"))[3:]
    under_torchrun(*command)
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
    as_under_torchrun("train", "together", "--resume", "--total-images", "180")
    assert together.config().train == longer and together.status().state == "finished"
    assert len(curve(together)) == len(curve(alone)) > 1 + 18 + 2
    assert curve(together)[-2]["loss"] == pytest.approx(curve(alone)[-2]["loss"], rel=1e-3)
