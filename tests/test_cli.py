"""The command line: every command on tiny things, and plain words for bad input."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from pixelcnn import data
from pixelcnn.checkpoints import (
    CheckpointInfo,
    load_checkpoint,
    read_info,
    save_checkpoint,
    write_atomically,
)
from pixelcnn.cli import main
from pixelcnn.layers import MaskedConv2d
from pixelcnn.pictures import sheet
from pixelcnn.sampling import sample
from pixelcnn.training import engine
from pixelcnn.training.engine import evaluate
from pixelcnn.training.files import load_training_state

from .made_up_data import write_mnist_like
from .tiny import randomize, tiny_model

SHAPE = "--num-levels 4 --num-features 3 --head-features 3 --dilations 1 --first-kernel-size 3"
RUN = "--batch-size 5 --validation-images 4 --evaluate-every 10 --no-bfloat16 --label-dropout 0.5"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with made-up data, 15 training pictures, 5 held out and 6 of a test set."""
    monkeypatch.setattr(data, "VALIDATION_IMAGES", 5)
    monkeypatch.setenv("PIXELCNN_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    write_mnist_like(tmp_path / "data")
    return tmp_path


def save_tiny(path, model, dataset="fashion-mnist"):
    info = CheckpointInfo(config=model.config, dataset=dataset, images_seen=1, bits_per_dim={})
    save_checkpoint(path, model, info)


@pytest.fixture
def checkpoint(folder):
    """A tiny model of 5 x 6 pictures and 3 classes."""
    save_tiny(folder / "tiny.safetensors", tiny_model(num_classes=3, dtype=torch.float32))
    return str(folder / "tiny.safetensors")


@pytest.fixture
def trained(folder):
    """A checkpoint that fits the made-up data, and the state beside it."""
    command = f"train new.safetensors {SHAPE} {RUN} --total-images 20 --seed 1"
    assert main(command.split()) == 0
    return "new.safetensors"


def refused(capsys, command, *words):
    """Run a command that must end with status 2 and one line that holds these words."""
    assert main(command.split() if isinstance(command, str) else command) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ") and captured.err.count("\n") == 1
    for word in words:
        assert word in captured.err
    assert "Traceback" not in captured.err


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ([], ("train", "sample", "evaluate", "check", "examples:")),
        (["train"], ("--resume", "--learning-rate", "--dilations", "--unconditional", "Ctrl-C")),
        (["sample"], ("--temperature", "--top-k", "--top-p", "--class-per-row", "--output")),
        (["evaluate"], ("--split", "--num-images", "--write", "--data-dir")),
        (["check"], ("Jacobian", "checkpoint")),
    ],
)
def test_help_names_every_option(capsys, command, words):
    with pytest.raises(SystemExit) as leave:
        main([*command, "--help"])
    assert leave.value.code == 0
    text = capsys.readouterr().out
    for word in words:
        assert word in text
    assert "%(default)" not in text and "%%" not in text and "SUPPRESS" not in text


def test_help_tells_each_default_once(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "(default: 0.008)" in text and text.count("(default: 60000)") == 1
    assert text.count("(default: ") == text.count("(default")


@pytest.mark.parametrize("command", [[], ["paint"], ["sample"], ["sample", "x", "--seed", "one"]])
def test_a_command_that_cannot_be_read_ends_with_status_2(capsys, command):
    with pytest.raises(SystemExit) as leave:
        main(command)
    assert leave.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_the_module_is_a_program():
    done = subprocess.run(
        [sys.executable, "-m", "pixelcnn", "sample", "absent"], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: absent: no such checkpoint")


def test_sample_writes_what_the_library_draws(checkpoint, folder, capsys):
    command = ["sample", checkpoint, "--num-images", "5", "--columns", "3", "--scale", "2"]
    command += ["--seed", "4", "--label", "1", "--temperature", "0.8", "--top-k", "3"]
    assert main([*command, "--output", "out/pictures.png"]) == 0
    assert "wrote out/pictures.png: 5 pictures" in capsys.readouterr().out
    from pixelcnn.config import SamplingRule

    model, _ = load_checkpoint(checkpoint)
    rule = SamplingRule(temperature=0.8, top_k=3)
    levels = sample(model, num_images=5, seed=4, label=1, rule=rule)
    with Image.open(folder / "out" / "pictures.png") as image:
        assert np.array_equal(np.asarray(image), sheet(levels, 4, columns=3, scale=2))
    assert main([*command, "--output", "naive.png", "--method", "naive"]) == 0
    written = [(folder / name).read_bytes() for name in ("out/pictures.png", "naive.png")]
    assert written[0] == written[1]


def test_sample_can_show_one_class_per_row(checkpoint, folder):
    assert (
        main(["sample", checkpoint, *["--num-images", "8", "--columns", "2", "--class-per-row"]])
        == 0
    )
    levels = sample(load_checkpoint(checkpoint)[0], num_images=8, label=[0, 0, 1, 1, 2, 2, 0, 0])
    with Image.open(folder / "sample.png") as image:
        assert np.array_equal(np.asarray(image), sheet(levels, 4, columns=2, scale=4))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--num-images 0", "`num_images` (=0) must be an integer from 1 to 1024"),
        ("--scale 33", "`scale` (=33)"),
        ("--columns 0", "`columns` (=0)"),
        ("--columns -3", "`columns` (=-3)"),
        ("--seed -1", "`seed` (=-1)"),
        ("--label 7", "must lie in 0..2"),
        ("--temperature -1", "`temperature` (=-1.0)"),
        ("--top-k 200", "`top_k` (=200) must be between 1 and num_levels (=4)"),
        ("--top-p 0", "`top_p` (=0.0)"),
        ("--label 1 --class-per-row", "exclude each other"),
        ("--output tiny.safetensors/a.png", "tiny.safetensors"),
        ("--output .", "."),
    ],
)
def test_bad_options_of_sample_are_refused(checkpoint, folder, capsys, options, words):
    refused(capsys, ["sample", checkpoint, *options.split()], words)
    assert not list(folder.glob("*.png"))


def test_bad_checkpoints_are_refused_by_every_command(folder, capsys):
    write_atomically(folder / "bad.safetensors", b"garbage")
    for command in ("sample", "evaluate", "check"):
        refused(capsys, f"{command} bad.safetensors", "bad.safetensors: is damaged")
        refused(capsys, f"{command} absent", "absent: no such checkpoint")
        refused(capsys, [command, "x" * 300], "xxx")


def test_class_per_row_needs_classes(folder, capsys):
    save_tiny(folder / "plain.safetensors", tiny_model(dtype=torch.float32))
    refused(capsys, "sample plain.safetensors --class-per-row", "needs a model with classes")


def test_check_tells_causal_models_by_its_status(checkpoint, folder, capsys):
    assert main(["check", checkpoint]) == 0
    assert "465 derivatives are exactly 0 (30 of 30 predictions" in capsys.readouterr().out


def test_check_fails_for_a_model_that_sees_the_future(checkpoint, monkeypatch, capsys):
    def leak(path):
        model = tiny_model("classic", dtype=torch.float32)
        model.first = randomize(MaskedConv2d(8, 6, 3, "B"))
        return model, read_info(checkpoint)

    monkeypatch.setattr("pixelcnn.cli.load_checkpoint", leak)
    assert main(["check", checkpoint]) == 1
    assert "NOT CAUSAL" in capsys.readouterr().out


def test_train_writes_a_checkpoint_with_its_score(trained, folder, capsys):
    model, info = load_checkpoint(trained)
    assert info.config.num_classes == 10 and info.config.num_levels == 4
    assert info.config.dilations == (1,) and info.dataset == "fashion-mnist"
    assert info.images_seen == 20
    levels, label = data.load_dataset("fashion-mnist", "validation", num_levels=4)
    score = evaluate(model, levels[:4], label[:4])
    assert info.bits_per_dim == {"validation": pytest.approx(score, abs=1e-4)}
    assert {p.name for p in folder.iterdir()} == {"data", "new.safetensors", "new.state"}


def test_train_overwrites_nothing(trained, folder, capsys):
    before = (folder / trained).read_bytes()
    refused(capsys, f"train {trained} {SHAPE} {RUN}", "new.safetensors, new.state: would be over")
    assert (folder / trained).read_bytes() == before


def test_train_can_leave_the_labels_out(folder):
    command = f"train plain.safetensors {SHAPE} {RUN} --total-images 5 --unconditional"
    assert main(command.split()) == 0
    assert read_info("plain.safetensors").config.num_classes == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("stopped_in_step", [1, 2, 3])
def test_train_stopped_and_resumed_equals_train_in_one_go(
    trained, folder, monkeypatch, capsys, number, stopped_in_step
):
    whole = f"train whole.safetensors {SHAPE} {RUN} --total-images 20 --seed 1"
    update, steps = engine.TrainingState.update, []

    def interrupted(*arguments):
        steps.append(1)
        if len(steps) == stopped_in_step:
            os.kill(os.getpid(), number)  # in the middle of an update
        return update(*arguments)

    handlers = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
    with monkeypatch.context() as patch:
        patch.setattr(engine.TrainingState, "update", interrupted)
        assert main(whole.split()) == 130
    assert "--resume goes on" in capsys.readouterr().out
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)] == handlers
    info = read_info("whole.safetensors")
    assert info.images_seen == 5 * stopped_in_step
    assert info.bits_per_dim == {}  # a score of earlier weights is not theirs
    assert main(["train", "whole.safetensors", "--resume"]) == 0
    assert (folder / "whole.safetensors").read_bytes() == (folder / trained).read_bytes()
    assert (folder / "whole.state").read_bytes() == (folder / "new.state").read_bytes()


def test_resuming_takes_over_a_new_length_whatever_it_is(trained, capsys):
    assert main(f"train {trained} --resume --total-images 25".split()) == 0
    assert read_info(trained).images_seen == 25
    assert load_training_state("new.state")[1].total_images == 25


def test_resuming_a_finished_run_changes_nothing(trained, folder):
    before = (folder / trained).read_bytes()
    assert main(f"train {trained} --resume".split()) == 0
    assert (folder / trained).read_bytes() == before


def test_resuming_with_other_settings_is_refused(trained, capsys):
    refused(capsys, f"train {trained} --resume --learning-rate 0.1", "leave out ['learning_rate']")
    refused(capsys, f"train {trained} --resume --num-levels 8", "leave out ['num_levels']")
    refused(capsys, f"train {trained} --resume --unconditional", "unconditional")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--kernel-size 4", "`kernel_size` (=4) must be odd"),
        ("--dilations 1 99", "`dilations` (=(1, 99))"),
        ("--batch-size 0", "`batch_size` (=0)"),
        ("--learning-rate nan", "`learning_rate` (=nan)"),
        ("--data-dir empty --dataset mnist", "MNIST is not in the folder 'empty'"),
        ("--resume", "new.state: is not a readable training state"),
    ],
)
def test_bad_options_of_train_are_refused(folder, capsys, no_network, options, words):
    refused(capsys, f"train new.safetensors {options}", words)
    assert not list(folder.glob("new*"))


def test_a_run_that_breaks_down_says_at_which_step(folder, capsys, monkeypatch):
    def not_a_number(logits, levels):
        return levels * float("nan")

    monkeypatch.setattr(engine, "nll_nats", not_a_number)
    refused(capsys, f"train new.safetensors {SHAPE} {RUN}", "loss is nan at step 0")
    assert not list(folder.glob("new*"))


def test_evaluate_prints_and_records_bits_per_dim(trained, capsys):
    model, _ = load_checkpoint(trained)
    levels, label = data.load_dataset("fashion-mnist", "test", num_levels=4)
    score = evaluate(model, levels, label)
    assert main(f"evaluate {trained} --split test --write".split()) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith(f"fashion-mnist test: {score:.4f} bits/dim (4 levels, 6 images,")
    recorded = read_info(trained).bits_per_dim
    assert recorded["test"] == pytest.approx(score) and "validation" in recorded
    assert main(f"evaluate {trained} --num-images 3".split()) == 0
    assert "3 images" in capsys.readouterr().out.splitlines()[-1]
    assert read_info(trained).bits_per_dim == recorded


def test_evaluate_in_several_parts_is_the_mean_of_all(trained, monkeypatch, capsys):
    write_mnist_like(data.data_dir(), test=1003)
    assert main(f"evaluate {trained} --split test".split()) == 0
    model, _ = load_checkpoint(trained)
    score = evaluate(model, *data.load_dataset("fashion-mnist", "test", num_levels=4))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 and f"{score:.4f}" in lines[-1] and "1,003 images" in lines[-1]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--num-images 7 --split test", "`num_images` (=7) must be an integer from 1 to 6"),
        ("--num-images 0", "`num_images` (=0)"),
        ("--num-images -1", "`num_images` (=-1)"),
        ("--num-images 2 --write", "`--write` records only results on the whole split"),
    ],
)
def test_bad_options_of_evaluate_are_refused(trained, capsys, options, words):
    refused(capsys, f"evaluate {trained} {options}", words)


def test_evaluate_needs_a_data_set_that_fits(checkpoint, folder, capsys):
    refused(capsys, ["evaluate", checkpoint], "must be int64 (B, 1, 5, 6)")
    save_tiny(folder / "own.safetensors", tiny_model(dtype=torch.float32), dataset=None)
    refused(capsys, "evaluate own.safetensors", "does not say which data set it learned")
    save_tiny(folder / "own.safetensors", tiny_model(dtype=torch.float32), dataset="mine")
    refused(capsys, "evaluate own.safetensors", "`dataset` (='mine') must be one of")
