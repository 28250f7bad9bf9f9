"""The command line: every command on tiny things, and plain words for bad input."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from pixelcnn import data
from pixelcnn.checkpoints import (
    CheckpointInfo,
    checkpoint_path,
    load_checkpoint,
    load_model,
    read_info,
    save_checkpoint,
    write_atomically,
)
from pixelcnn.cli import main
from pixelcnn.layers import MaskedConv2d
from pixelcnn.pictures import sheet
from pixelcnn.sampling import sample
from pixelcnn.training import engine
from pixelcnn.training.command import command_line
from pixelcnn.training.engine import evaluate
from pixelcnn.training.files import load_training_state
from pixelcnn.training.runs import Run, run_path

from .made_up_data import write_mnist_like
from .tiny import randomize, tiny_model

SHAPE = "--num-levels 4 --num-features 3 --head-features 3 --dilations 1 --first-kernel-size 3"
RUN = "--batch-size 5 --validation-images 4 --evaluate-every 10 --no-bfloat16 --label-dropout 0.5"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with made-up data, 15 training pictures, 5 held out and 6 of a test set."""
    monkeypatch.setattr(data, "VALIDATION_IMAGES", 5)
    monkeypatch.setenv("PIXELCNN_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("PIXELCNN_RUNS", str(tmp_path / "runs"))
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
    """A finished run on the made-up data; returns the name of its checkpoint."""
    command = f"train new {SHAPE} {RUN} --total-images 20 --seed 1"
    assert main(command.split()) == 0
    return "run:new"


def files_of(folder, name):
    """The files of a run that must not depend on how often it was stopped."""
    names = ("checkpoint.safetensors", "best.safetensors", "training.state", "config.json")
    content = {n: (folder / "runs" / name / n).read_bytes() for n in names}
    config = json.loads(content["config.json"])
    del config["created_at"]
    return content | {"config.json": config}


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
        ([], ("train", "estimate", "images", "sample", "evaluate", "check", "examples:")),
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
    out = capsys.readouterr().out
    assert "None of the 30 of 30 predictions" in out and "465 derivatives are exactly 0" in out


def test_check_fails_for_a_model_that_sees_the_future(checkpoint, monkeypatch, capsys):
    def leak(path):
        model = tiny_model("classic", dtype=torch.float32)
        model.first = randomize(MaskedConv2d(8, 6, 3, "B"))
        return model, read_info(checkpoint)

    monkeypatch.setattr("pixelcnn.cli.load_checkpoint", leak)
    assert main(["check", checkpoint]) == 1
    assert "NOT CAUSAL" in capsys.readouterr().out


def test_train_writes_a_checkpoint_with_its_score(trained, folder, capsys):
    model, info = load_checkpoint(checkpoint_path(trained))
    assert info.config.num_classes == 10 and info.config.num_levels == 4
    assert info.config.dilations == (1,) and info.dataset == "fashion-mnist"
    assert info.images_seen == 20
    levels, label = data.load_dataset("fashion-mnist", "validation", num_levels=4)
    score = evaluate(model, levels[:4], label[:4])
    assert info.bits_per_dim == {"validation": pytest.approx(score, abs=1e-4)}
    assert {p.name for p in folder.iterdir()} == {"data", "runs"}
    status = Run(folder / "runs" / "new").status()
    assert (status.state, status.images_seen, status.message) == ("finished", 20, "")


def test_a_path_names_a_run_outside_the_folder_of_runs(folder):
    assert main(f"train elsewhere/new {SHAPE} {RUN} --total-images 5".split()) == 0
    assert read_info(folder / "elsewhere" / "new" / "checkpoint.safetensors").images_seen == 5
    assert not (folder / "runs").exists()


def test_train_overwrites_nothing(trained, folder, capsys):
    before = files_of(folder, "new")
    refused(capsys, f"train new {SHAPE} {RUN}", "new: would be overwritten; go on with --resume")
    assert files_of(folder, "new") == before


def test_train_can_leave_the_labels_out(folder):
    command = f"train plain {SHAPE} {RUN} --total-images 5 --unconditional"
    assert main(command.split()) == 0
    assert read_info(checkpoint_path("run:plain")).config.num_classes == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("stopped_in_step", [1, 2, 3])
def test_train_stopped_and_resumed_equals_train_in_one_go(
    trained, folder, monkeypatch, capsys, number, stopped_in_step
):
    whole = f"train whole {SHAPE} {RUN} --total-images 20 --seed 1"
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
    info = read_info(checkpoint_path("run:whole"))
    assert info.images_seen == 5 * stopped_in_step
    assert info.bits_per_dim == {}  # a score of earlier weights is not theirs
    assert Run(folder / "runs" / "whole").status().state == "stopped"
    assert main(["train", "whole", "--resume"]) == 0
    assert files_of(folder, "whole") == files_of(folder, "new")
    times = {"seconds", "images_per_second"}
    curves = [
        [
            {k: v for k, v in r.items() if k not in times}
            for r in Run(folder / "runs" / n).metrics()
        ]
        for n in ("whole", "new")
    ]
    assert curves[0] == curves[1] and len(curves[0]) == 7


def test_resuming_takes_over_a_new_length_whatever_it_is(trained, folder, capsys):
    assert main(["train", "new", "--resume", "--total-images", "25"]) == 0
    assert read_info(checkpoint_path(trained)).images_seen == 25
    run = Run(folder / "runs" / "new")
    assert load_training_state(run.state_path)[1].total_images == 25
    assert run.config().train.total_images == 25 and run.status().state == "finished"


def test_resuming_a_finished_run_changes_nothing(trained, folder):
    before = files_of(folder, "new")
    assert main(["train", "new", "--resume"]) == 0
    assert files_of(folder, "new") == before


def test_resuming_with_other_settings_is_refused(trained, capsys):
    refused(capsys, "train new --resume --learning-rate 0.1", "leave out ['learning_rate']")
    refused(capsys, "train new --resume --num-levels 8", "leave out ['num_levels']")
    refused(capsys, "train new --resume --unconditional", "unconditional")
    refused(capsys, "train new --resume --threads 2", "leave them out")
    refused(capsys, "train new --resume --compile", "leave them out")


def test_resuming_takes_over_where_the_data_are_and_where_to_compute(trained, folder, tmp_path):
    shutil.copytree(os.environ["PIXELCNN_DATA"], tmp_path / "moved")
    resumed = f"train new --resume --total-images 25 --data-dir {tmp_path / 'moved'} --device cpu"
    assert main(resumed.split()) == 0
    config = Run(folder / "runs" / "new").config()
    assert (config.data_dir, config.device) == (str(tmp_path / "moved"), "cpu")


def test_a_training_state_from_elsewhere_begins_a_run(trained, folder, capsys):
    state = folder / "begun.state"
    state.write_bytes((folder / "runs" / "new" / "training.state").read_bytes())
    assert main(f"train more --from-state {state.name} --total-images 25".split()) == 0
    assert main(["train", "new", "--resume", "--total-images", "25"]) == 0
    more = files_of(folder, "more")["training.state"]
    assert more == files_of(folder, "new")["training.state"]
    again = shlex.split(command_line(Run(run_path("more")).config(), "again"))
    assert again[5:9] == ["--from-state", str(state), "--total-images", "25"]
    assert main(again[3:]) == 0
    assert files_of(folder, "again")["training.state"] == more
    refused(capsys, f"train x --from-state {state} --seed 3", "leave out ['seed']")
    refused(capsys, "train x --from-state absent", "absent: is not a readable training state")


def test_a_checkpoint_is_what_each_raster_order_begins_with(trained, folder, capsys):
    # A learning rate of 0 changes nothing.
    command = "train orders --begin-with run:new --num-orders 8 --total-images 5 --batch-size 5"
    assert main(f"{command} --learning-rate 0 --weight-decay 0".split()) == 0
    again = shlex.split(command_line(Run(run_path("orders")).config(), "again"))
    assert main(again[3:]) == 0
    states = [files_of(folder, name)["training.state"] for name in ("orders", "again")]
    assert states[0] == states[1]
    one, eight = load_model("run:new"), load_model("run:orders")
    assert eight.config == replace(one.config, num_orders=8)
    levels = torch.randint(one.config.num_levels, (8, 1, 28, 28))
    label = torch.arange(8)
    alone = one(levels, label)
    for order in range(8):
        assert torch.equal(eight(levels, label, torch.full((8,), order)), alone)
    refused(capsys, "train x --begin-with run:new --num-features 6", "another shape of model")
    refused(capsys, "train x --begin-with run:orders --num-orders 1", "another shape of model")
    refused(capsys, "train x --begin-with run:new --resume", "Give one of")
    refused(capsys, "train x --begin-with run:new --unconditional", "keeps the classes")


def test_a_run_with_its_stages_has_a_name_for_each_checkpoint(folder):
    command = f"train new {SHAPE} {RUN} --total-images 20 --stages 5 10"
    assert main(command.split()) == 0
    seen = {
        name: read_info(checkpoint_path(name)).images_seen
        for name in ("run:new", "run:new@5", "run:new@10")
    }
    assert seen == {"run:new": 20, "run:new@5": 5, "run:new@10": 10}
    scores = {
        r["images_seen"]: r["validation"]
        for r in Run(folder / "runs" / "new").metrics()
        if "validation" in r
    }
    best = read_info(checkpoint_path("run:new@best"))
    assert scores[best.images_seen] == min(scores.values())
    assert best.bits_per_dim == {"validation": min(scores.values())}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--kernel-size 4", "`kernel_size` (=4) must be odd"),
        ("--dilations 1 99", "`dilations` (=(1, 99))"),
        ("--batch-size 0", "`batch_size` (=0)"),
        ("--learning-rate nan", "`learning_rate` (=nan)"),
        ("--resume", "new: its config.json cannot be read"),
        ("--dataset imagenet", "`dataset` (='imagenet') must be one of fashion-mnist"),
        ("--dataset mnist/10", "with a class N from 0 to 9"),
        ("--dataset absent.images.safetensors", "is not a readable file of own images"),
        ("--device cuda", "`device` (='cuda') is not there"),
    ],
)
def test_bad_options_of_train_are_refused(folder, capsys, no_network, options, words):
    refused(capsys, f"train new {options}", words)
    assert not (folder / "runs" / "new").exists()


@pytest.mark.parametrize("name", ["new.safetensors", "a b", "-x/..", ".hidden", "x/$y"])
def test_names_that_no_run_can_have_are_refused(folder, capsys, name):
    refused(capsys, ["train", *(["--"] if name.startswith("-") else []), name], "run")
    assert {p.name for p in folder.iterdir()} <= {"data", "x"}


def test_a_run_whose_data_are_missing_says_so_and_goes_on_when_they_are_there(
    folder, capsys, no_network
):
    command = f"train new {SHAPE} {RUN} --total-images 5 --dataset mnist"
    refused(capsys, command, "MNIST is not in the folder")
    status = Run(folder / "runs" / "new").status()
    assert status.state == "failed" and status.message.endswith("Then resume.")
    write_mnist_like(folder / "data", "MNIST")
    assert main(["train", "new", "--resume"]) == 0


def test_a_run_that_breaks_down_says_at_which_step(folder, capsys, monkeypatch):
    def not_a_number(logits, levels):
        return levels * float("nan")

    monkeypatch.setattr(engine, "nll_nats", not_a_number)
    refused(capsys, f"train new {SHAPE} {RUN}", "loss is nan at step 0")
    status = Run(folder / "runs" / "new").status()
    assert status.state == "failed" and "lower learning rate" in status.message
    assert not (folder / "runs" / "new" / "checkpoint.safetensors").exists()


def test_evaluate_prints_and_records_bits_per_dim(trained, capsys):
    model, _ = load_checkpoint(checkpoint_path(trained))
    levels, label = data.load_dataset("fashion-mnist", "test", num_levels=4)
    score = evaluate(model, levels, label)
    assert main(f"evaluate {trained} --split test --write".split()) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith(f"fashion-mnist test: {score:.4f} bits/dim (4 levels, 6 images,")
    path = checkpoint_path(trained)
    recorded = read_info(path).bits_per_dim
    assert recorded["test"] == pytest.approx(score) and "validation" in recorded
    assert main(f"evaluate {trained} --num-images 3".split()) == 0
    assert "3 images" in capsys.readouterr().out.splitlines()[-1]
    assert read_info(path).bits_per_dim == recorded


def test_evaluate_in_several_parts_is_the_mean_of_all(trained, monkeypatch, capsys):
    write_mnist_like(data.data_dir(), test=1003)
    assert main(f"evaluate {trained} --split test".split()) == 0
    model, _ = load_checkpoint(checkpoint_path(trained))
    score = evaluate(model, *data.load_dataset("fashion-mnist", "test", num_levels=4))
    (line,) = capsys.readouterr().out.splitlines()
    assert f"{score:.4f}" in line and "1,003 images" in line


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


def test_estimate_tells_time_memory_and_parameters(folder, monkeypatch, capsys):
    monkeypatch.setattr("pixelcnn.training.estimate.WARM_UP_SECONDS", 0)
    assert main(f"estimate {SHAPE} {RUN}".split()) == 0
    line = capsys.readouterr().out
    for words in (" parameters, ", " images/s, about ", " in all, ", " MiB, on cpu, float32"):
        assert words in line
    assert main(f"estimate {SHAPE} {RUN} --json".split()) == 0
    result = json.loads(capsys.readouterr().out)
    assert main(f"train new {SHAPE} {RUN} --total-images 5".split()) == 0
    model, _ = load_checkpoint(checkpoint_path("run:new"))
    assert result["parameters"] == model.num_parameters
    assert result["seconds"] >= 60_000 / result["images_per_second"] > 0
    assert result["memory_bytes"] > 50e6


def test_a_folder_of_pictures_becomes_a_data_set_to_train_on(folder, capsys):
    for number in range(8):
        path = folder / "mine" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 30), (number * 30, 0, 0)).save(path)
    (folder / "mine" / "broken.png").write_bytes(b"no picture")
    images = "mine.images.safetensors"
    assert main(f"images mine {images} --size 8 --colour".split()) == 0
    out = capsys.readouterr().out
    assert "left out broken.png" in out and "8 images, classes a, b" in out
    refused(capsys, f"images mine {images}", "would be overwritten")
    refused(capsys, "images absent other.images.safetensors", "absent: is not a folder")
    refused(capsys, "images mine other.safetensors", "must end with .images.safetensors")
    refused(capsys, "images mine b.images.safetensors --size 4", "`size` (=4)")
    assert main(f"train new {SHAPE} {RUN} --total-images 10 --dataset {images}".split()) == 0
    config = read_info(checkpoint_path("run:new")).config
    assert (config.num_channels, config.height, config.num_classes) == (3, 8, 2)
    assert main(["evaluate", "run:new"]) == 0
    refused(capsys, "evaluate run:new --split test", "no test split")
