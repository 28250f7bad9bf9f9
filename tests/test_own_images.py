"""One's own images: what cannot be read is named, and nothing grows without end."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from pixelcnn.data import own_images
from pixelcnn.data.own_images import ImageSetError, make_image_set, read_folder, read_uploads


def picture(seed=0):
    values = np.random.default_rng(seed).integers(0, 256, (12, 12), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(values).save(file, "PNG")
    return file.getvalue()


def archive(compression=zipfile.ZIP_DEFLATED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as made:
        for number in range(4):
            made.writestr(f"some/{number}.png", picture(number))
    return file.getvalue()


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


@pytest.mark.parametrize("folder", ["~nobody-of-this-name/pictures", "/no/such/folder"])
def test_a_folder_that_is_not_there_is_named(folder):
    with pytest.raises(ImageSetError):
        list(read_folder(folder))
