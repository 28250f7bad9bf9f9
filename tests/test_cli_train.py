"""The command that trains: begin, stop, resume, and plain words for bad input."""

import os
import pwd
import shlex
import shutil
import signal
from dataclasses import replace

import pytest
import torch

from pixelcnn.commands.main import main
from pixelcnn.commands.train import command_line
from pixelcnn.data import datasets as data
from pixelcnn.storage import checkpoint_path, load_checkpoint, load_model, read_info
from pixelcnn.training.runs import Run, run_path
from pixelcnn.training.scoring import evaluate
from pixelcnn.training.state import TrainingState, load_training_state

from .commands import RUN, SHAPE, files_of, refused, train_new, working_folder
from .made_up_data import write_mnist_like
from .tiny_runs import curve


@pytest.fixture
def folder(tmp_path, monkeypatch):
    return working_folder(tmp_path, monkeypatch)


@pytest.fixture
def trained(folder):
    return train_new()


def test_train_writes_a_checkpoint_with_its_score(trained, folder, capsys):
    model, info = load_checkpoint(checkpoint_path(trained))
    assert info.config.num_classes == 10 and info.config.num_levels == 4
    assert info.config.dilations == (1,) and info.dataset == "fashion-mnist"
    assert info.images_seen == 20
    levels, label = data.load_dataset("fashion-mnist", "validation", num_levels=4)
    score = evaluate(model, levels[:4], label[:4])
    assert info.bits_per_dim == {"validation": pytest.approx(score, abs=1e-4)}
    assert {p.name for p in folder.iterdir()} == {"data", "runs"}
    status = Run(run_path("new")).status()
    assert (status.state, status.images_seen, status.message) == ("finished", 20, "")


def test_who_has_neither_a_name_nor_a_home_can_train_and_draw(folder, monkeypatch):
    def nobody(uid):
        raise KeyError(f"getpwuid(): uid not found: {uid}")  # as in a container

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    for name in ("HOME", "USER", "LOGNAME", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    assert main(["sample", train_new(), "--num-images", "1", "--output", "drawn.png"]) == 0
    assert (folder / "drawn.png").exists()


@pytest.mark.parametrize(
    ("number", "stopped_in_step"), [(signal.SIGINT, 1), (signal.SIGTERM, 2), (signal.SIGINT, 3)]
)
def test_train_stopped_and_resumed_equals_train_in_one_go(
    trained, folder, monkeypatch, capsys, number, stopped_in_step
):
    whole = f"train whole {SHAPE} {RUN} --total-images 20 --seed 1"
    update, steps = TrainingState.update, []

    def interrupted(*arguments):
        steps.append(1)
        if len(steps) == stopped_in_step:
            os.kill(os.getpid(), number)  # in the middle of an update
        return update(*arguments)

    handlers = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
    with monkeypatch.context() as patch:
        patch.setattr(TrainingState, "update", interrupted)
        assert main(whole.split()) == 130
    assert "--resume goes on" in capsys.readouterr().out
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)] == handlers
    info = read_info(checkpoint_path("run:whole"))
    assert info.images_seen == 5 * stopped_in_step
    assert info.bits_per_dim == {}  # a score of earlier weights is not theirs
    assert Run(run_path("whole")).status().state == "stopped"
    assert main(["train", "whole", "--resume"]) == 0
    assert files_of(folder, "whole") == files_of(folder, "new")
    curves = [curve(Run(run_path(name))) for name in ("whole", "new")]
    assert curves[0] == curves[1] and len(curves[0]) == 7


def test_a_finished_run_is_neither_overwritten_nor_changed_by_other_settings(
    trained, folder, capsys
):
    before = files_of(folder, "new")
    assert main(["train", "new", "--resume"]) == 0
    for options, words in (
        (f"{SHAPE} {RUN}", "new: would be overwritten; go on with --resume"),
        ("--resume --learning-rate 0.1", "leave out ['learning_rate']"),
        ("--resume --num-levels 8", "leave out ['num_levels']"),
        ("--resume --unconditional", "unconditional"),
        ("--resume --threads 2", "leave them out"),
        ("--resume --compile", "leave them out"),
        ("--resume --init-from run:new", "Give one of"),
    ):
        refused(capsys, f"train new {options}", words)
    assert files_of(folder, "new") == before


def test_resuming_takes_over_length_device_and_folder_of_the_data(trained, folder, tmp_path):
    shutil.copytree(os.environ["PIXELCNN_DATA"], tmp_path / "moved")
    resumed = f"train new --resume --total-images 25 --data-dir {tmp_path / 'moved'} --device cpu"
    assert main(resumed.split()) == 0
    run = Run(run_path("new"))
    config = run.config()
    assert (config.data_dir, config.device) == (str(tmp_path / "moved"), "cpu")
    assert config.train == load_training_state(run.state_path)[1]
    assert config.train.total_images == read_info(run.checkpoint).images_seen == 25
    assert run.status().state == "finished"


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
    command = "train orders --init-from run:new --num-orders 8 --total-images 5 --batch-size 5"
    assert main(f"{command} --learning-rate 0 --weight-decay 0".split()) == 0
    again = shlex.split(command_line(Run(run_path("orders")).config(), "again"))
    assert again[5:9] == ["--init-from", "run:new", "--total-images", "5"]
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
    for options, words in (
        ("--begin-with run:new --num-features 6", "another shape of model"),  # its old name
        ("--init-from run:orders --num-orders 1", "another shape of model"),
        ("--init-from run:new --architecture classic", "keeps the architecture"),
        ("--init-from run:new --unconditional", "keeps the classes"),
    ):
        refused(capsys, f"train x {options}", words)


def test_a_run_with_its_stages_has_a_name_for_each_checkpoint(folder):
    command = f"{SHAPE} {RUN} --total-images 20 --stages 5 13"
    assert main(f"train elsewhere/new {command}".split()) == 0  # a path: no run of the folder
    assert len(Run(folder / "elsewhere" / "new").stages()) == 2 and not (folder / "runs").exists()
    assert main(f"train new {command}".split()) == 0
    for name, images_seen in (("run:new", 20), ("run:new@5", 5), ("run:new@15", 15)):
        info = read_info(checkpoint_path(name))
        assert info.images_seen == images_seen and info.bits_per_dim.keys() == {"validation"}
    records = Run(run_path("new")).metrics()
    scores = {r["images_seen"]: r["validation"] for r in records if "validation" in r}
    best = read_info(checkpoint_path("run:new@best"))
    assert scores[best.images_seen] == min(scores.values())
    assert best.bits_per_dim == {"validation": min(scores.values())}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--num-features 0", "`num_features` (=0) must be an integer from"),
        ("--dilations 1 99", "`dilations` (="),
        ("--batch-size 0", "`batch_size` (=0)"),
        ("--learning-rate nan", "`learning_rate` (=nan)"),
        ("--threads 0", "`threads` (=0) must be an integer from 1 to 4096"),
        ("--resume", "new: its config.json cannot be read"),
        ("--dataset imagenet", "`dataset` (='imagenet') must be one of fashion-mnist"),
        ("--dataset mnist/10", "with a class N from 0 to 9"),
        ("--unconditional --label-contrast 5", "`label_contrast` (=5.0) must be 0"),
        ("--dataset absent.images.safetensors", "is not a readable file of own images"),
        ("--device cuda", "`device` (='cuda') is not there"),
    ],
)
def test_bad_options_of_train_are_refused(folder, capsys, no_network, options, words):
    refused(capsys, f"train new {options}", words)
    assert not (folder / "runs" / "new").exists()


@pytest.mark.parametrize(
    "name",
    ["new.safetensors", "a b", "-x/..", ".hidden", "x/$y", "..", "a\n", "x" * 81, "images"],
)
def test_names_that_no_run_can_have_are_refused(folder, capsys, name):
    refused(capsys, ["train", *(["--"] if name.startswith("-") else []), name], "run")
    assert {p.name for p in folder.iterdir()} <= {"data", "x"}


def test_a_run_whose_data_are_missing_says_so_and_goes_on_when_they_are_there(
    folder, capsys, no_network
):
    command = f"train new {SHAPE} {RUN} --total-images 5 --dataset mnist"
    refused(capsys, command, "MNIST is not in the folder")
    status = Run(run_path("new")).status()
    assert status.state == "failed" and status.message.endswith("Then resume.")
    write_mnist_like(folder / "data", "MNIST")
    assert main(["train", "new", "--resume"]) == 0
