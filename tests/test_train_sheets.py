"""Pictures of checkpoints in the background, and checkpoints that come from elsewhere."""

import re
import threading
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from pixelcnn.config import SamplingRule
from pixelcnn.data.pictures import pictures
from pixelcnn.sampling import sample
from pixelcnn.storage import CheckpointError, checkpoint_path, save_checkpoint
from pixelcnn.ui.train import sheets as sheets_module
from pixelcnn.ui.train import transfer
from pixelcnn.ui.train.sheets import Request, Sheets

from .tiny import tiny_model
from .tiny_runs import info_of, wait_for


@pytest.fixture
def checkpoint(tmp_path, monkeypatch):
    monkeypatch.setenv("PIXELCNN_RUNS", str(tmp_path / "runs"))
    return save(tmp_path / "tiny.safetensors")


def save(path, seed=0):
    model = tiny_model(seed=seed, num_classes=3, dtype=torch.float32)
    save_checkpoint(path, model, info_of(model))
    return path


def test_sheets_are_what_the_library_draws_with_the_same_noise(checkpoint):
    sheets = Sheets()
    request = Request.of(checkpoint, 5, temperature=0.7, seed=4)
    sheet = wait_for(lambda: s if (s := sheets.get(request)).is_over else None)
    model = tiny_model(num_classes=3, dtype=torch.float32)
    rule = SamplingRule(temperature=0.7)
    levels = sample(model, num_images=5, seed=4, rule=rule, label=[0, 1, 2, 0, 1])
    for drawn, wanted in zip(sheet.pictures, pictures(levels, 4), strict=True):
        assert np.array_equal(drawn, wanted)
    assert (sheet.done, sheet.images_seen, sheet.problem) == (1.0, 7, None)
    assert sheets.get(request) is sheet  # it is kept


def test_while_a_newer_checkpoint_is_drawn_the_older_pictures_stay(checkpoint, monkeypatch):
    sheets = Sheets()
    old = Request.of(checkpoint, 2)
    wait_for(lambda: sheets.get(old).is_over)
    gate = threading.Event()

    def half(request, sheet):
        sheet.done = 0.5
        gate.wait()
        sheet.problem = "not drawn in this test"

    monkeypatch.setattr(sheets_module, "draw", half)
    newer = Request(old.path, old.modified_ns + 1, 2)
    finished, awaited = sheets.newest(newer)
    assert finished is sheets.get(old) and awaited is sheets.get(newer)
    wait_for(lambda: awaited.done)
    last, still = sheets.newest(Request(old.path, 9, 2))  # the file was saved once more
    assert last is finished and still is awaited
    gate.set()
    wait_for(lambda: awaited.is_over)
    last, newest = sheets.newest(Request(old.path, 9, 2))
    assert last is finished and newest is not awaited
    assert sheets.newest(Request(old.path, 1, 2, temperature=0.5))[0] is None
    assert sheets.newest(Request(old.path.with_name("x"), 1, 2))[0] is None


def test_a_checkpoint_that_cannot_be_drawn_is_named_and_the_next_one_is_drawn(checkpoint):
    bad = checkpoint.with_name("bad.safetensors")
    bad.write_bytes(b"rubbish")
    sheets = Sheets()
    sheet = wait_for(lambda: s if (s := sheets.get(Request.of(bad, 2))).is_over else None)
    assert sheet.pictures is None and "bad.safetensors: is damaged" in sheet.problem
    wait_for(lambda: sheets.get(Request.of(checkpoint, 2)).pictures)


def test_imported_checkpoints_are_checked_and_overwrite_nothing(checkpoint, tmp_path):
    content = checkpoint.read_bytes()
    name, info = transfer.keep("../../My boots!.safetensors", content)
    assert name == "imported:My-boots" and info.images_seen == 7
    assert checkpoint_path(name).read_bytes() == content
    assert transfer.keep("My boots.safetensors", content)[0] == name  # the same again
    other, _ = transfer.keep("My boots.safetensors", save(checkpoint, seed=1).read_bytes())
    assert other == "imported:My-boots-2" and checkpoint_path(name).read_bytes() == content
    kept = sorted(path.name for path in (tmp_path / "runs" / "imported").iterdir())
    assert kept == ["My-boots-2.safetensors", "My-boots.safetensors"]


def test_two_visitors_who_import_files_of_one_name_keep_both(checkpoint, monkeypatch):
    contents = [checkpoint.read_bytes(), save(checkpoint, seed=1).read_bytes()]
    both_checked, load = threading.Barrier(2, timeout=20), transfer.load_checkpoint

    def slow(path):
        found = load(path)
        both_checked.wait()
        return found

    monkeypatch.setattr(transfer, "load_checkpoint", slow)
    with ThreadPoolExecutor(2) as pool:
        kept = list(pool.map(lambda c: transfer.keep("boots.safetensors", c)[0], contents))
    assert [checkpoint_path(name).read_bytes() for name in kept] == contents


def test_files_that_are_no_checkpoints_are_not_imported(checkpoint, tmp_path):
    whole = checkpoint.read_bytes()
    foreign = whole.replace(b"pixelcnn-checkpoint-1", b"pixelcnn-checkpoint-9")
    for content in (b"", b"x" * 999, whole[: len(whole) // 2], foreign):
        with pytest.raises(CheckpointError, match="^mine.safetensors: is "):
            transfer.keep("mine.safetensors", content)
    assert list((tmp_path / "runs" / "imported").iterdir()) == []


def test_no_uploader_promises_more_than_the_server_takes():
    root = Path(__file__).parent.parent
    settings = tomllib.loads((root / ".streamlit" / "config.toml").read_text())
    sizes = []
    for path in (root / "pixelcnn" / "ui").rglob("*.py"):
        text = path.read_text()
        named = dict(re.findall(r"^(UPLOAD_MB) = (\d+)$", text, re.M))
        found = re.findall(r"max_upload_size=(\w+)", text)
        assert len(found) == text.count("file_uploader("), path
        sizes += [int(named.get(size, size)) for size in found]
    assert max(sizes) == settings["server"]["maxUploadSize"]
