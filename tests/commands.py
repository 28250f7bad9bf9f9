"""What tests of the command line share: a folder, a finished run, refusals."""

import json

from pixelcnn.commands.main import main
from pixelcnn.storage import CheckpointInfo, save_checkpoint

from .made_up_data import write_mnist_like

SHAPE = "--num-levels 4 --num-features 3 --head-features 3 --dilations 1 --first-kernel-size 3"
RUN = "--batch-size 5 --validation-images 4 --evaluate-every 10 --no-bfloat16 --label-dropout 0.5"


def working_folder(tmp_path, monkeypatch):
    """A working folder with made-up data, 15 training pictures, 5 held out and 6 of a test set."""
    monkeypatch.setenv("PIXELCNN_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("PIXELCNN_RUNS", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
    write_mnist_like(tmp_path / "data")
    return tmp_path


def train_new():
    """A finished run on the made-up data; returns the name of its checkpoint."""
    command = f"train new {SHAPE} {RUN} --total-images 20 --seed 1"
    assert main(command.split()) == 0
    return "run:new"


def save_model(path, model, dataset="fashion-mnist"):
    """A checkpoint of a model, as if it had learned this data set."""
    info = CheckpointInfo(config=model.config, dataset=dataset, images_seen=7, bits_per_dim={})
    save_checkpoint(path, model, info)


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
