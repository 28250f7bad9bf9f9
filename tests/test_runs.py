"""Runs as folders: what holds when they are stopped, queued, broken, renamed."""

import dataclasses
import errno
import json
import math
import os
import re
from contextlib import closing
from functools import partial

import pytest
import torch

from pixelcnn.data import datasets as data
from pixelcnn.storage import CheckpointError, checkpoint_path, list_trained_checkpoints, runs_dir
from pixelcnn.training import launch, runs, worker
from pixelcnn.training.devices import available_devices
from pixelcnn.training.engine import Evaluating, NotANumberError
from pixelcnn.training.metrics import Metrics
from pixelcnn.training.runs import About, RunError, Status, create_run, list_runs, run_path
from pixelcnn.training.state import TrainingError, TrainingState
from pixelcnn.training.worker import train_run

from .tiny_runs import config, curve, runs_folder


@pytest.fixture
def folder(tmp_path, monkeypatch):
    yield from runs_folder(tmp_path, monkeypatch)


def test_a_compiled_run_learns_what_a_run_that_is_not_compiled_learns(folder, monkeypatch):
    # Traced as for any compiler, but run by torch itself: compiling takes half a minute.
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    runs = [
        create_run(dataclasses.replace(config(total_images=15), compiled=compiled))
        for compiled in (False, True)
    ]
    for run in runs:
        assert train_run(run, run.config()).state == "finished"
    losses = [[r["loss"] for r in run.metrics() if "loss" in r] for run in runs]
    assert losses[0] == pytest.approx(losses[1], abs=1e-4) and len(losses[0]) == 3


def test_a_run_stopped_in_its_last_evaluation_is_not_finished(folder, monkeypatch):
    run = create_run(config(total_images=20), folder / "run")

    def stopped_at_the_end(*arguments):
        for event in worker_train(*arguments):
            if isinstance(event, Evaluating):
                run.stop_path.touch()
            yield event

    worker_train = worker.train
    with monkeypatch.context() as patch:
        patch.setattr(worker, "train", stopped_at_the_end)
        assert train_run(run, run.config()).state == "stopped"
    assert "validation" not in curve(run)[-1]
    assert train_run(run, run.config()).state == "finished" and "validation" in curve(run)[-1]


def test_only_the_processes_of_this_machine_are_ended_by_force(folder):
    run = create_run(config(), folder / "run")
    with run.hold():
        run.write_status(Status(state="training", pid=1, host="elsewhere"))
        with pytest.raises(RunError, match="another machine .elsewhere."):
            launch.end_by_force(run)
        run.write_status(Status(state="starting"))
        with pytest.raises(RunError, match="only just starting"):
            launch.end_by_force(run)


def test_nobody_overtakes_in_the_queue(folder):
    early, late = (create_run(config(), folder / name) for name in ("early", "late"))
    with early.hold():
        early.write_status(Status(state="queued", queued_at=1.0))
        assert launch.take_turn(late, 2.0) is None
        assert (turn := launch.take_turn(early, 1.0)) is not None
        assert launch.take_turn(late, 0.5) is None  # somebody has it
        os.close(turn)
    assert (turn := launch.take_turn(late, 2.0)) is not None  # the other is dead
    os.close(turn)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "disk is full.*Free some space"),
        (torch.OutOfMemoryError("CUDA out of memory."), "not enough memory.*smaller batch"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "not enough memory"),
        (MemoryError(), "not enough memory"),
        (NotANumberError("The loss is nan at step 3"), "lower learning rate"),
        (TrainingError("A batch of 1 image is too small."), "^A batch of 1 image is too small.$"),
        (torch._inductor.exc.InvalidCxxCompiler(), "without --compile"),
        (data.DataError("MNIST is not here."), "MNIST is not here. Then resume."),
        (ZeroDivisionError("division by zero"), "ZeroDivisionError: division by zero. The log"),
    ],
)
def test_every_fault_says_what_happened_and_what_to_do(folder, monkeypatch, error, words):
    run = create_run(config(total_images=10), folder / "run")

    def fail(*_):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(worker, "train", fail)
        with pytest.raises(type(error)):
            train_run(run, run.config())
    status = run.status()
    assert status.state == "failed" and status.can_start
    assert re.search(words, status.message), status.message
    assert train_run(run, run.config()).state == "finished"  # goes on when the cause is gone


def test_a_device_that_is_not_there_is_named_on_the_card(folder):
    missing = next(d for d in ("cuda", "mps") if d not in available_devices())
    run = create_run(dataclasses.replace(config(), device=missing), folder / "run")
    with pytest.raises(ValueError, match="is not there"):
        train_run(run, run.config())
    status = run.status()
    assert status.state == "failed" and f"`device` (={missing!r}) is not there" in status.message


def test_a_disk_that_fills_up_loses_nothing_that_was_saved(folder, monkeypatch):
    run = create_run(config(total_images=400), folder / "run")
    saved = []
    save = worker.save_training_state

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    def fill_up(*arguments):
        save(*arguments)
        saved.append(run.state_path.read_bytes())
        if len(saved) == 2:
            monkeypatch.setattr(runs, "write_atomically", full)
            monkeypatch.setattr(worker, "save_checkpoint", full)

    with monkeypatch.context() as outer:
        outer.setattr(worker, "save_training_state", fill_up)
        with pytest.raises(OSError, match="No space left"):
            train_run(run, run.config())
    assert run.status().state == "failed" and "disk is full" in run.status().message
    assert run.state_path.read_bytes() == saved[1]
    monkeypatch.undo()
    monkeypatch.setenv("PIXELCNN_DATA", str(folder.parent / "data"))
    assert train_run(run, run.config()).state == "finished"
    whole = create_run(config(total_images=400), folder / "whole")
    train_run(whole, whole.config())
    assert curve(run) == curve(whole)


def test_records_are_rewound_to_the_state_that_training_goes_on_from(folder):
    run = create_run(config(), folder / "run")
    lines = [
        {"images_seen": 0, "png_bits_per_dim": 5.0, "seconds": 0.1},
        {"images_seen": 5, "loss": 2.0, "seconds": 1.0},
        {"images_seen": 10, "loss": 1.9, "seconds": 2.0},
        {"images_seen": 10, "validation": 1.8, "seconds": 3.0},
        {"images_seen": 15, "loss": 1.7, "seconds": 4.0},
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines) + '{"images_seen": 20, "lo'
    run.metrics_path.write_text(text)
    assert run.metrics() == lines  # the half line is left out
    wrong = ('{"images_seen": "5", "seconds": 1}', '{"seconds": 1}', '{"images_seen": 5}', "5")
    run.metrics_path.write_text("\n".join(wrong) + "\n" + text)
    assert run.metrics() == lines
    state = TrainingState(run.config().model, run.config().train)
    state.images_seen = 10
    for evaluated, kept, best in ((0, 3, None), (10, 4, 1.8)):  # saved before, after a score
        state.images_evaluated = evaluated
        run.metrics_path.write_text(text)
        with closing(Metrics(run, state, run.config().train)) as metrics:
            assert metrics.has_data and metrics.seconds >= 2.0
            assert metrics.best == metrics.validation == best
        assert run.metrics() == lines[:kept]


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"format": "other"}'])
def test_damaged_files_of_a_run_are_named_and_can_be_deleted(folder, content):
    run = create_run(config(), folder / "run")
    for name in ("config.json", "status.json", "about.json", "metrics.jsonl"):
        (run.path / name).write_text(content)
    assert [r.id for r in list_runs()] == ["run"]
    with pytest.raises(RunError, match="run: its config.json cannot be read"):
        run.config()
    for wrong in (content, '{"state": "dancing"}', '{"pid": "1"}', '{"loss": []}', '{"more": 1}'):
        (run.path / "status.json").write_text(wrong)
        assert run.status().state == "crashed" and "damaged" in run.status().message
    assert run.metrics() == [] and run.about() == About(name="run")
    run.delete()
    assert list_runs() == []


def test_settings_that_break_a_rule_are_named(folder):
    run = create_run(config(), folder / "run")
    path = run.path / "config.json"
    values, origin = json.loads(path.read_text()), ["--init-from", 1]
    wrong = {"threads": 0, "device": "tpu", "created_at": math.nan, "origin": None}
    for name, value in [*wrong.items(), ("threads", "two"), ("data_dir", 1), ("origin", origin)]:
        path.write_text(json.dumps(values | {name: value}))
        with pytest.raises(RunError, match=f"its config.json cannot be read .*`{name}`"):
            run.config()
    path.write_text(json.dumps(values | {"more": 1}))
    with pytest.raises(RunError, match="unknown fields .'more'."):
        run.config()


def test_settings_are_written_before_anything_else_and_read_back(folder):
    more = {"device": "cpu", "threads": 2, "data_dir": "x", "compiled": True}
    wanted = dataclasses.replace(config(), **more, origin=("--from-state", "some.state"))
    run = create_run(wanted)
    assert {p.name for p in run.path.iterdir()} == {"config.json"}
    assert run.config() == wanted and run.status() == Status()
    assert run.path.parent == runs_dir() and run_path(run.id) == run.path


def test_files_of_earlier_versions_can_be_read(folder):
    run = create_run(config(), folder / "run")
    path = run.path / "config.json"
    values = json.loads(path.read_text())
    values["model"] |= {"num_kinds": 0, "copy_features": 0}
    del values["train"]["label_contrast"], values["compiled"]
    values["origin"] = ["--begin-with", "somewhere.safetensors"]
    path.write_text(json.dumps(values))
    wanted = ("--init-from", "somewhere.safetensors")
    assert run.config() == dataclasses.replace(
        config(), origin=wanted, created_at=values["created_at"]
    )
    with pytest.raises(RunError, match="somewhere.safetensors. are gone"):
        train_run(run, run.config())


def test_folders_are_named_after_runs_and_never_used_twice(folder):
    for name, wanted in (
        ("Fashion-MNIST, one minute", "fashion-mnist-one-minute"),
        ("Fashion-MNIST: one minute!", "fashion-mnist-one-minute-2"),
        ("../..", "run"),
        (None, "run-2"),
        ("x" * 80, "x" * 60),
        ("Images", "images-2"),  # the folder of own images
    ):
        run = create_run(config(), name=name)
        assert run.path == folder / wanted == run_path(wanted)


def test_names_and_notes_can_be_changed_within_bounds(folder):
    run = create_run(config(), name="first try")
    assert run.about() == About(name="first try")
    run.describe(note="  learning rate\nhalved ")
    run.describe(name=" second \n try ")
    assert run.about() == About(name="second try", note="learning rate\nhalved")
    for name in ("", "  ", "x" * 81):
        with pytest.raises(RunError, match=r"`name` .* must have 1 to 80 characters"):
            run.describe(name=name)
    with pytest.raises(RunError, match="`note` .* must have 2000 characters at most"):
        run.describe(note="x" * 2001)


def test_names_of_checkpoints_lead_to_no_file_outside_the_folder_of_runs(folder):
    run = create_run(config(total_images=5, stages=(5,)), folder / "mine")
    train_run(run, run.config())
    assert list(list_trained_checkpoints()) == ["run:mine"]
    outside = folder.parent / "outside"
    outside.mkdir()
    (outside / "checkpoint.safetensors").write_bytes(run.checkpoint.read_bytes())
    (folder / "link").symlink_to(outside)
    for name in (
        "run:absent", "run:../outside", "run:link", "run:mine/../mine", "run:", "run:mine@",
        "run:mine@best/..", "run:mine@7", "run:/etc/passwd", "imported:../mine/checkpoint",
        "imported:absent", "run:mine\n", "run:.turn",
    ):  # fmt: skip
        with pytest.raises(CheckpointError, match="no such checkpoint in the folder of runs"):
            checkpoint_path(name)
    assert list(list_trained_checkpoints()) == ["run:mine"]
