"""One's own images: what cannot be read is named, and nothing grows without end."""

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pixelcnn.data import own_images
from pixelcnn.data.datasets import DataError, dataset_of, load_dataset
from pixelcnn.data.own_images import (
    ImageSetError,
    SourceImage,
    bytes_in,
    describe_image_set,
    load_image_set,
    make_image_set,
    read_folder,
    read_uploads,
    save_image_set,
)
from pixelcnn.storage import save_checkpoint

from .tiny import tiny_model
from .tiny_runs import info_of


def picture(number=0, kind="PNG"):
    """A picture file; the number is its first red value."""
    values = np.random.default_rng(number).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    values[:, :, 0] = number
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, kind)
    return buffer.getvalue()


def archive(compression=zipfile.ZIP_DEFLATED, files=None):
    files = files or {f"some/{number}.png": picture(number) for number in range(4)}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as made:
        for name, content in files.items():
            made.writestr(name, content)
    return buffer.getvalue()


def test_archives_are_read_without_being_unpacked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = {"../../cats/1.png": picture(), "/dogs/2.jpg": picture(kind="JPEG")}
    files |= {"__MACOSX/cats/1.png": b"rubbish", "dogs/notes.txt": b"no picture"}
    uploads = [("both.zip", archive(files=files)), ("broken.png", b"rubbish")]
    made = make_image_set(read_uploads(uploads), size=8, colour=True)
    assert made.class_names == ("cats", "dogs") and sorted(made.label.tolist()) == [0, 1]
    left_out = [line.split(": ")[0] for line in made.left_out]
    assert left_out == ["__MACOSX/cats/1.png", "dogs/notes.txt", "broken.png"]
    assert list(tmp_path.iterdir()) == []


def write_pictures(root, *names):
    for number, name in enumerate(names):
        path = Path(os.fsdecode(os.fsencode(root) + b"/" + os.fsencode(name)))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(number))


def test_linked_folders_are_classes_and_what_is_left_out_is_told(tmp_path):
    root = tmp_path / "mine"
    write_pictures(tmp_path, "elsewhere/1.png", "elsewhere/2.png")
    write_pictures(
        root, "cats/1.png", "cats/more/2.png", ".Trash/3.png", "cats/.4.png", b"\xe9/5.png"
    )
    (root / "dogs").symlink_to(tmp_path / "elsewhere")
    (root / "dogs again").symlink_to(tmp_path / "elsewhere")
    for name, target in (("round", root), ("up", tmp_path), ("circle", "circle")):
        (root / "cats" / name).symlink_to(target)
    (root / "cats" / "gone.png").symlink_to(tmp_path / "nowhere")
    os.mkfifo(root / "cats" / "pipe.png")
    (root / "notes.txt").touch()
    made = make_image_set(read_folder(root), size=8, colour=False)
    assert made.class_names == ("cats", "dogs", "more", "\ufffd")
    assert made.label.tolist() == [0, 2, 1, 1, 3]
    left_out = dict(line.split(": ", 1) for line in made.left_out)
    assert set(left_out) == {
        ".Trash", "notes.txt", "dogs again", "cats/.4.png", "cats/round", "cats/up",
        "cats/circle", "cats/gone.png", "cats/pipe.png",
    }  # fmt: skip
    assert left_out["dogs again"] == "is a folder that was read before."
    assert "No such file" in left_out["cats/gone.png"] and "no file" in left_out["cats/pipe.png"]
    assert bytes_in(root) > 5 * 100


def test_names_in_archives_of_any_origin_are_understood():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        made.writestr("cats\\1.png", picture())
        made.writestr("Füchse/1.png", picture())
    # As if nobody had said that it is UTF-8.
    content = buffer.getvalue().replace(b"\x00\x08\x00\x00", b"\x00\x00\x00\x00")
    made = make_image_set(read_uploads([("a.zip", content)]), size=8, colour=False)
    assert made.class_names == ("Füchse", "cats")


def test_a_data_set_of_own_images_is_split_like_any_other(tmp_path):
    images = [SourceImage(f"{n}.png", picture(n * 10)) for n in range(10)]
    path = tmp_path / "mine.images.safetensors"
    save_image_set(path, make_image_set(images, size=8, colour=True))
    assert describe_image_set(path) == ((), (3, 8, 8))
    assert len(load_image_set(path)[0]) == 10
    assert dataset_of(str(path)).title == "mine"
    parts = [load_dataset(str(path), split)[0] for split in ("train", "validation")]
    assert [part.shape for part in parts] == [(8, 3, 8, 8), (2, 3, 8, 8)]
    together = sorted(int(image[0, 0, 0]) for part in parts for image in part)
    assert together == [n * 10 for n in range(10)]
    with pytest.raises(DataError, match="no test split"):
        load_dataset(str(path), "test")


@pytest.mark.parametrize("content", [b"", b"garbage", None])
def test_damaged_files_of_own_images_are_refused(tmp_path, content):
    path = tmp_path / "bad.images.safetensors"
    if content is None:  # a checkpoint under a wrong name
        model = tiny_model(dtype=torch.float32)
        save_checkpoint(path, model, info_of(model))
    else:
        path.write_bytes(content)
    with pytest.raises(ImageSetError, match="is not a readable file of own images"):
        load_image_set(path)
    with pytest.raises(DataError, match="is not a readable file of own images"):
        dataset_of(str(path))


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_an_archive_with_any_damage_is_read_or_named(compression):
    whole = archive(compression)
    named = 0
    for place in range(0, len(whole), 7):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << (place % 8)
        try:
            make_image_set(read_uploads([("clothes.zip", bytes(damaged))]), size=8, colour=False)
        except ImageSetError as error:
            named += "clothes.zip" in str(error) or "usable images" in str(error)
    assert named > 10


def test_an_archive_that_unpacks_to_too_much_is_refused(monkeypatch):
    monkeypatch.setattr(own_images, "MAX_UNPACKED_BYTES", 3 * len(picture()))
    with pytest.raises(ImageSetError, match="clothes.zip: unpacks to more than"):
        list(read_uploads([("clothes.zip", archive())]))


@pytest.mark.parametrize(
    ("limit", "value", "files"),
    [
        ("MAX_IMAGES", 3, [("clothes.zip", archive())]),
        ("MAX_VALUES", 3 * 8 * 8, [("clothes.zip", archive())]),
        ("MAX_IMAGES", 3, [(f"{n}.png", b"left out, and counted") for n in range(5)]),
    ],
)
def test_too_many_images_are_refused(monkeypatch, limit, value, files):
    monkeypatch.setattr(own_images, limit, value)
    with pytest.raises(ImageSetError, match="more than 3 files"):
        make_image_set(read_uploads(files), size=8, colour=False)
