"""The command line: every command on tiny things, and plain words for bad input."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from pixelcnn.commands.main import main
from pixelcnn.config import SamplingRule
from pixelcnn.data import datasets as data
from pixelcnn.data.pictures import sheet
from pixelcnn.files import write_atomically
from pixelcnn.models.convolutions import MaskedConv2d
from pixelcnn.sampling import sample
from pixelcnn.storage import checkpoint_path, load_checkpoint, read_info
from pixelcnn.training.scoring import evaluate

from .commands import RUN, SHAPE, refused, save_model, train_new, working_folder
from .made_up_data import write_mnist_like
from .tiny import randomize, tiny_model


@pytest.fixture
def folder(tmp_path, monkeypatch):
    return working_folder(tmp_path, monkeypatch)


@pytest.fixture
def trained(folder):
    return train_new()


@pytest.fixture
def checkpoint(folder):
    """A tiny model of 5 x 6 pictures and 3 classes."""
    save_model(folder / "tiny.safetensors", tiny_model(num_classes=3, dtype=torch.float32))
    return str(folder / "tiny.safetensors")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("", "train estimate images sample evaluate check examples"),
        ("train", "--resume --from-state --init-from --now --learning-rate --dilations --compile"),
        ("train", "--unconditional --device --threads --architecture Ctrl-C 0.008) auto) gated)"),
        ("estimate", "--json --learning-rate --device"),
        ("images", "--size --colour 28)"),
        ("sample", "--temperature --top-k --top-p --class-per-row --output 16)"),
        ("evaluate", "--split --num-images --write --table --class-accuracy --data-dir"),
        ("measure", "--second --num-images --output paradox calibration family 500,"),
        ("check", "derivatives checkpoint"),
    ],
)
def test_help_names_every_option_and_each_default_once(capsys, command, words):
    with pytest.raises(SystemExit) as leave:
        main([*command.split(), "--help"])
    assert leave.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for word in words.split():
        assert word in text
    assert not any(bad in text for bad in ("%(default)", "%%", "SUPPRESS"))
    assert text.count("(default: ") == text.count("(default")
    assert text.count("(default: 60000)") == (command in ("train", "estimate"))


@pytest.mark.parametrize("command", [[], ["paint"], ["sample"], ["sample", "x", "--seed", "one"]])
def test_a_command_that_cannot_be_read_ends_with_status_2(capsys, command):
    with pytest.raises(SystemExit) as leave:
        main(command)
    assert leave.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_sample_writes_what_the_library_draws(checkpoint, folder, capsys):
    command = ["sample", checkpoint, "--num-images", "5", "--columns", "3", "--scale", "2"]
    command += ["--seed", "4", "--label", "1", "--temperature", "0.8", "--top-k", "3"]
    assert main([*command, "--output", "out/pictures.png"]) == 0
    assert "wrote out/pictures.png: 5 pictures" in capsys.readouterr().out
    model, _ = load_checkpoint(checkpoint)
    rule = SamplingRule(temperature=0.8, top_k=3)
    levels = sample(model, num_images=5, seed=4, label=1, rule=rule)
    with Image.open(folder / "out" / "pictures.png") as image:
        assert np.array_equal(np.asarray(image), sheet(levels, 4, columns=3, scale=2))
    assert main([*command, "--output", "naive.png", "--method", "naive"]) == 0
    written = [(folder / name).read_bytes() for name in ("out/pictures.png", "naive.png")]
    assert written[0] == written[1]


def test_sample_can_show_one_class_per_row(checkpoint, folder, capsys):
    command = f"sample {checkpoint} --num-images 8 --columns 2 --class-per-row"
    assert main(command.split()) == 0
    levels = sample(load_checkpoint(checkpoint)[0], num_images=8, label=[0, 0, 1, 1, 2, 2, 0, 0])
    with Image.open(folder / "sample.png") as image:
        assert np.array_equal(np.asarray(image), sheet(levels, 4, columns=2, scale=4))
    save_model(folder / "plain.safetensors", tiny_model(dtype=torch.float32))
    refused(capsys, "sample plain.safetensors --class-per-row", "needs a model with classes")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--num-images 0", "`num_images` (=0) must be an integer from 1 to 1024"),
        ("--scale 33", "`scale` (=33)"),
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


def test_check_tells_by_its_status_whether_a_model_is_causal(checkpoint, monkeypatch, capsys):
    assert main(["check", checkpoint]) == 0
    out = capsys.readouterr().out
    assert "None of the 30 of 30 predictions" in out and "465 derivatives are exactly 0" in out
    model = tiny_model("classic", dtype=torch.float32)
    model.first = randomize(MaskedConv2d(8, 6, 3, "B"))
    monkeypatch.setattr("pixelcnn.commands.check.load_model", lambda _: model)
    assert main(["check", checkpoint]) == 1
    assert "NOT CAUSAL" in capsys.readouterr().out


def test_evaluate_prints_and_records_bits_per_dim(trained, capsys):
    write_mnist_like(data.data_dir(), test=1003)  # more than one batch
    path = checkpoint_path(trained)
    model, _ = load_checkpoint(path)
    score = evaluate(model, *data.load_dataset("fashion-mnist", "test", num_levels=4))
    assert main(f"evaluate {trained} --split test --write".split()) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith(f"fashion-mnist test: {score:.4f} bits/dim (4 levels, 1,003 images,")
    recorded = read_info(path).bits_per_dim
    assert recorded["test"] == pytest.approx(score) and "validation" in recorded
    assert main(f"evaluate {trained} --num-images 3".split()) == 0
    assert "3 images" in capsys.readouterr().out.splitlines()[-1]
    for options, words in (
        (
            "--num-images 1004 --split test",
            "`num_images` (=1004) must be an integer from 1 to 1003",
        ),
        ("--num-images -1", "`num_images` (=-1)"),
        ("--num-images 2 --write", "`--write` records only results on the whole split"),
    ):
        refused(capsys, f"evaluate {trained} {options}", words)
    assert read_info(path).bits_per_dim == recorded


def test_evaluate_needs_a_data_set_that_fits(checkpoint, folder, capsys):
    refused(capsys, ["evaluate", checkpoint], "must be int64 (B, 1, 5, 6)")
    for dataset, words in (
        (None, "does not say which data set it learned"),
        ("mine", "`dataset` (='mine') must be one of"),
    ):
        save_model(folder / "own.safetensors", tiny_model(dtype=torch.float32), dataset)
        refused(capsys, "evaluate own.safetensors", words)


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
    for options, words in (
        (f"mine {images}", "would be overwritten"),
        ("absent other.images.safetensors", "absent: is not a folder"),
        ("~nobody-of-this-name/a other.images.safetensors", "is not a folder"),
        ("mine other.safetensors", "must end with .images.safetensors"),
        ("mine b.images.safetensors --size 7", "`size` (=7)"),
        ("mine b.images.safetensors --size 65", "`size` (=65)"),
    ):
        refused(capsys, f"images {options}", words)
    assert main(f"train new {SHAPE} {RUN} --total-images 10 --dataset {images}".split()) == 0
    config = read_info(checkpoint_path("run:new")).config
    assert (config.num_channels, config.height, config.num_classes) == (3, 8, 2)
    assert main(["evaluate", "run:new"]) == 0
    refused(capsys, "evaluate run:new --split test", "no test split")
