"""Checkpoints: the same bytes again, clear words for every bad file, never half a file."""

import json
import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save, save_file

import pixelcnn
from pixelcnn import storage
from pixelcnn.files import HERE, write_atomically
from pixelcnn.inspection.receptive_field import (
    check_causality,
    dependency_maps,
    past_coverage,
    spread_positions,
)
from pixelcnn.storage import (
    CheckpointError,
    CheckpointInfo,
    checkpoint_path,
    list_checkpoints,
    load_checkpoint,
    load_model,
    read_info,
    save_checkpoint,
)

from .tiny import ARCHITECTURES, random_levels, tiny_config, tiny_model

SHIPPED = list_checkpoints()
assert SHIPPED


def info_of(model, **changes):
    values = {"dataset": "mnist", "images_seen": 123, "bits_per_dim": {"validation": 2.5}}
    return CheckpointInfo(config=model.config, **(values | changes))


@pytest.fixture
def path(tmp_path):
    """A good checkpoint of a tiny model."""
    model = tiny_model(dtype=torch.float32, num_classes=2)
    save_checkpoint(tmp_path / "tiny.safetensors", model, info_of(model))
    return tmp_path / "tiny.safetensors"


def rewrite(path, change_tensors=None, change_values=None, **metadata):
    """Write a checkpoint again with other tensors, other JSON values or other metadata."""
    info = read_info(path).to_metadata()
    values = json.loads(info["pixelcnn"])
    if change_values:
        change_values(values)
        info["pixelcnn"] = json.dumps(values)
    tensors = load_file(path)
    if change_tensors:
        change_tensors(tensors)
    save_file(tensors, path, info | metadata)


@pytest.mark.parametrize("num_classes", [0, 3])
@pytest.mark.parametrize("num_channels", [1, 3])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_save_load_save_gives_the_same_bytes(tmp_path, architecture, num_channels, num_classes):
    model = tiny_model(
        architecture, dtype=torch.float32, num_channels=num_channels, num_classes=num_classes
    )
    info = info_of(model, dataset=None)
    save_checkpoint(tmp_path / "one", model, info)
    loaded, loaded_info = load_checkpoint(tmp_path / "one")
    save_checkpoint(tmp_path / "two", loaded, loaded_info)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert loaded_info == info == read_info(tmp_path / "two")
    levels = random_levels(model.config, 2)
    assert torch.equal(loaded(levels), model(levels))
    assert not loaded.training
    assert not any(p.requires_grad for p in loaded.parameters())


def test_weights_of_other_precision_are_loaded_as_float32(path):
    rewrite(path, lambda t: t.update({k: v.to(torch.bfloat16) for k, v in t.items()}))
    assert {p.dtype for p in load_model(path).parameters()} == {torch.float32}


@pytest.mark.parametrize("value", [1e6, float("nan")])
def test_weights_beyond_half_precision_are_refused(tmp_path, value):
    model = tiny_model(dtype=torch.float32)
    model.row_bias[0, 0] = value
    with pytest.raises(CheckpointError, match="'row_bias' has values beyond half precision"):
        save_checkpoint(tmp_path / "one", model, info_of(model))
    assert not list(tmp_path.iterdir())


def test_loading_draws_no_random_numbers(path):
    before = torch.get_rng_state()
    load_model(path)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    "content", [b"", b"only text", b"\xff" * 4096, b"PK\x03\x04" + bytes(100), 0.01, 0.9, 0.999]
)
def test_files_of_another_kind_and_truncated_ones_are_refused(path, content):
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * content)] if isinstance(content, float) else content)
    for read in (load_checkpoint, read_info, load_model):
        with pytest.raises(CheckpointError, match="tiny.safetensors: is damaged or no safetens"):
            read(path)


def test_missing_files_and_folders_are_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"absent: cannot be read \(No such file"):
        load_checkpoint(tmp_path / "absent")
    with pytest.raises(CheckpointError, match="cannot be read|is damaged"):
        load_checkpoint(tmp_path)
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        checkpoint_path(tmp_path)


def test_too_large_files_are_refused_before_they_are_read(path, monkeypatch):
    monkeypatch.setattr(storage, "MAX_BYTES", 100)
    monkeypatch.setattr(storage, "safe_open", None)
    with pytest.raises(CheckpointError, match="bytes are more than the limit of 100"):
        load_checkpoint(path)


FOREIGN = "is not a checkpoint of this app"
TEXTS = ("{", "[1]", "null", "[" * 100_000)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (None, "format (=None) is not 'pixelcnn-checkpoint-1'"),
        ({"format": "pixelcnn-checkpoint-2"}, "is not 'pixelcnn-checkpoint-1'"),
        ({"format": storage.FORMAT}, FOREIGN),
        *(({"format": storage.FORMAT, "pixelcnn": t}, FOREIGN) for t in TEXTS),
    ],
)
def test_safetensors_of_other_programs_are_refused(tmp_path, metadata, message):
    (tmp_path / "foreign").write_bytes(save({"weight": torch.zeros(2)}, metadata))
    for read in (load_checkpoint, read_info):
        with pytest.raises(CheckpointError, match=re.escape(message)):
            read(tmp_path / "foreign")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"config": {"a": 1}}, "`architecture` (=None) must be 'classic', 'gated'"),
        ({"config": [1]}, "`config` (=[1]) must be an object"),
        ({"config": None}, "`config` (=None) must be an object"),
        ({"images_seen": -1}, "images_seen (=-1)"),
        ({"images_seen": "9"}, "images_seen (='9')"),
        ({"images_seen": True}, "images_seen (=True)"),
        ({"dataset": 7}, "dataset (=7)"),
        ({"dataset": ["mnist"]}, "dataset (=['mnist'])"),
        ({"bits_per_dim": [1]}, "bits_per_dim (=[1])"),
        ({"bits_per_dim": {"test": "low"}}, "bits_per_dim.test (='low')"),
        ({"bits_per_dim": {"test": None}}, "bits_per_dim.test (=None)"),
        ({"bits_per_dim": {"test": float("nan")}}, "bits_per_dim.test (=nan)"),
        ({"bits_per_dim": {"test": -1.0}}, "bits_per_dim.test (=-1.0)"),
        ({"extra": 1}, "extra (=1)"),
        (lambda v: v.pop("images_seen"), "images_seen (="),
        (lambda v: v["config"].pop("width"), "missing fields ['width']"),
        (lambda v: v["config"].update(width="28"), "`width` (='28') must be an integer"),
        (lambda v: v["config"].update(num_kinds=8), "are no longer supported."),
    ],
)
def test_wrong_metadata_is_refused_in_words(path, change, message):
    rewrite(path, change_values=change if callable(change) else lambda v: v.update(change))
    for read in (load_checkpoint, read_info):
        with pytest.raises(CheckpointError, match=re.escape(message)) as error:
            read(path)
        assert "\n" not in str(error.value) and not str(error.value).endswith("..")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("head.0.bias"), "do not fit the configuration, first at 'head.0.bias'"),
        (lambda t: t.update(more=torch.zeros(1)), "first at 'more'"),
        (lambda t: t.update({"row_bias": torch.zeros(1, 6, 6, 1)}), "first at 'row_bias'"),
        (lambda t: t["row_bias"].fill_(float("nan")), "'row_bias' holds values that are not num"),
        (lambda t: t["row_bias"][0, 0].fill_(float("inf")), "'row_bias' holds values"),
        (lambda t: t.update(row_bias=t["row_bias"].double() + 1e300), "'row_bias' holds values"),
        (lambda t: t.update(row_bias=t["row_bias"].long()), "'row_bias' holds values"),
        (lambda t: t.update(row_bias=t["row_bias"].bool()), "'row_bias' holds values"),
    ],
)
def test_wrong_weights_are_refused_in_words(path, change, message):
    rewrite(path, change)
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(path)


def test_a_small_file_that_claims_a_huge_model_is_refused_without_building_it(path):
    huge = {"num_features": 1024, "kernel_size": 9, "dilations": [1] * 64}
    rewrite(path, change_values=lambda v: v["config"].update(huge))
    with pytest.raises(CheckpointError, match="needs more weights than"):
        load_checkpoint(path)


def test_checkpoints_are_found_by_name_and_by_path(path, monkeypatch):
    monkeypatch.setattr(storage, "CHECKPOINT_DIR", path.parent)
    assert checkpoint_path("tiny") == path == checkpoint_path(str(path))
    assert list_checkpoints() == {"tiny": path}
    assert pixelcnn.load_model("tiny").config == tiny_config(num_classes=2)


@pytest.mark.parametrize("failing", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError("No space left on device"), KeyboardInterrupt()])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(path, monkeypatch, failing, error):
    before = path.read_bytes()

    def fail(*_):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(os, failing, fail)
        with pytest.raises(type(error)):
            save_checkpoint(path, tiny_model(seed=1), read_info(path))
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def mode_of(path):
    return path.stat().st_mode & 0o777


def test_writing_makes_folders_heeds_the_umask_and_keeps_modes_and_links(tmp_path):
    file, link = tmp_path / "new" / "folder" / "file", tmp_path / "link"
    umask = os.umask(0o027)
    try:
        write_atomically(file, b"one")
    finally:
        os.umask(umask)
    assert mode_of(file) == 0o640
    file.chmod(0o604)
    link.symlink_to(file)
    write_atomically(link, b"two")
    assert link.is_symlink() and file.read_bytes() == b"two" and mode_of(file) == 0o604
    assert [p.name for p in file.parent.iterdir()] == ["file"]
    (tmp_path / "nowhere").symlink_to(tmp_path / "later")
    write_atomically(tmp_path / "nowhere", b"three")
    assert (tmp_path / "later").read_bytes() == b"three"
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(OSError):
        write_atomically(tmp_path / "circle", b"four")


def test_pipes_and_devices_are_written_and_stay_what_they_are(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_atomically(pipe, b"content")
    assert os.read(reader, 100) == b"content" and pipe.is_fifo()
    os.close(reader)
    write_atomically(Path(os.devnull), b"content")
    assert Path(os.devnull).is_char_device()
    with pytest.raises(OSError, match="No space left"):
        write_atomically(Path("/dev/full"), b"content")


def test_what_a_dead_process_left_is_cleaned_up_and_nothing_else(tmp_path):
    dead = subprocess.Popen(["true"])
    dead.wait()
    left, living = (f".a.{HERE}-{pid}-0123abcd.part" for pid in (dead.pid, os.getppid()))
    others = {living, ".a.elsewhere-1-0123abcd.part", ".mine.part", "b"}
    for name in (left, *others):
        (tmp_path / name).touch()
    write_atomically(tmp_path / "a", b"content")
    assert {p.name for p in tmp_path.iterdir()} == others | {"a"}


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_checkpoints_load_are_causal_and_see_the_past(name):
    model, info = load_checkpoint(SHIPPED[name])
    assert info.images_seen > 0
    assert 0 < min(info.bits_per_dim.values(), default=1) < np.log2(info.config.num_levels)
    report = check_causality(model, spread_positions(model, 4))
    assert report.is_causal
    assert report.past_pairs_seen > 0
    seen, past = past_coverage(dependency_maps(model))
    if info.config.architecture == "gated":
        assert seen / past >= 0.95
