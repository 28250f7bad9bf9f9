"""Pictures of checkpoints in the background, and checkpoints that come from elsewhere."""

import os
import re
import threading
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from streamlit.testing.v1 import AppTest

from pixelcnn.config import SamplingRule
from pixelcnn.data.pictures import pictures
from pixelcnn.progress import drain
from pixelcnn.sampling import sample
from pixelcnn.storage import CheckpointError, checkpoint_path, save_checkpoint
from pixelcnn.ui.train import gallery, transfer
from pixelcnn.ui.train.gallery import draw

from .tiny import tiny_model
from .tiny_runs import info_of, wait_for

TIMEOUT = 60


@pytest.fixture
def checkpoint(tmp_path, monkeypatch):
    monkeypatch.setenv("PIXELCNN_RUNS", str(tmp_path / "runs"))
    return save(tmp_path / "tiny.safetensors")


def save(path, seed=0):
    model = tiny_model(seed=seed, num_classes=3, dtype=torch.float32)
    save_checkpoint(path, model, info_of(model))
    return path


def test_sheets_are_what_the_library_draws_with_the_same_noise(checkpoint):
    sheet = drain(draw(checkpoint, 5, 0.7))
    model = tiny_model(num_classes=3, dtype=torch.float32)
    rule = SamplingRule(temperature=0.7)
    levels = sample(model, num_images=5, rule=rule, label=[0, 1, 2, 0, 1])
    for drawn, wanted in zip(sheet.pictures, pictures(levels, 4), strict=True):
        assert np.array_equal(drawn, wanted)
    assert (sheet.images_seen, sheet.modified_ns) == (7, checkpoint.stat().st_mtime_ns)


def test_a_checkpoint_that_cannot_be_drawn_is_named(checkpoint):
    checkpoint.write_bytes(b"rubbish")
    with pytest.raises(CheckpointError, match="tiny.safetensors: is damaged"):
        drain(draw(checkpoint, 2, 1.0))


def test_while_a_newer_checkpoint_is_drawn_the_older_pictures_stay(checkpoint, monkeypatch):
    def script(path):
        import streamlit as st

        from pixelcnn.ui.train import gallery

        sheet = gallery.sheet_of(path, 2, 1.0, "here")
        st.markdown("nothing" if sheet is None else f"as of {sheet.modified_ns}")

    def held(path, *settings):
        held.begun += 1
        assert gate.wait(TIMEOUT)
        return (yield from draw(path, *settings))

    page = AppTest.from_function(script, args=(checkpoint,), default_timeout=TIMEOUT)
    wait_for(lambda: page.run().markdown[0].value == f"as of {checkpoint.stat().st_mtime_ns}")
    old, gate, held.begun = checkpoint.stat().st_mtime_ns, threading.Event(), 0
    monkeypatch.setattr(gallery, "draw", held)
    for saved in range(1, 4):  # again and again, before anything is drawn
        os.utime(checkpoint, ns=(old, old + saved * 10**9))
        assert page.run().markdown[0].value == f"as of {old}" and page.get("progress")
    assert held.begun == 1
    gate.set()
    wait_for(lambda: page.run().markdown[0].value == f"as of {old + 3 * 10**9}")
    assert not page.get("progress")


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
        found = re.findall(r"max_upload_size=(?:upload_mb\()?(\w+)", text)
        assert len(found) == text.count("file_uploader("), path
        sizes += [int(named.get(size, size)) for size in found]
    assert max(sizes) == settings["server"]["maxUploadSize"]
