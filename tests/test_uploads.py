"""Picture files of all kinds become values, or a message that says why not."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from pixelcnn.data import picture_files
from pixelcnn.data.picture_files import MAX_BYTES, PictureError, read_picture


def file_of(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def read_upload(content, height, width, **options):
    return read_picture("a.png", content, height, width, whole=True, **options)[0]


def random_picture(height=28, width=28, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)


@pytest.mark.parametrize("invert", [False, True])
@pytest.mark.parametrize("kind", ["PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM"])
def test_a_picture_of_the_right_size_is_taken_as_it_is(kind, invert):
    picture = random_picture()
    options = {"lossless": True} if kind == "WEBP" else {}
    content = file_of(Image.fromarray(picture), kind, **options)
    result = read_upload(content, 28, 28, invert=invert).astype(int)
    assert abs(result - (255 - picture if invert else picture)).max() <= (kind == "WEBP")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV"])
def test_every_mode_of_a_white_square_is_read(mode):
    image = Image.new("L", (28, 28), 0)
    image.paste(255, (10, 5, 20, 15))
    kind = "TIFF" if mode in ("CMYK", "YCbCr") else "PNG"
    converted = image.convert("RGB").convert(mode) if mode != "1" else image.convert("1")
    if mode == "HSV":
        converted = converted.convert("RGB")
    result = read_upload(file_of(converted, kind), 28, 28)
    assert np.array_equal(result, np.asarray(image))


def test_large_pictures_are_averaged_and_keep_their_proportions():
    picture = random_picture(28, 14)
    large = picture.repeat(10, 0).repeat(10, 1)  # 280 x 140
    result = read_upload(file_of(Image.fromarray(large)), 28, 28)
    assert np.array_equal(result[:, 7:21], picture)
    assert not result[:, :7].any() and not result[:, 21:].any()


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (3000, 2), (7, 9), (29, 28)])
def test_any_size_fits(size):
    picture = np.full(size, 200, np.uint8)
    result = read_upload(file_of(Image.fromarray(picture)), 28, 28)
    assert result.shape == (28, 28) and set(np.unique(result)) <= {0, 200} and result.any()


def test_a_picture_is_turned_as_the_camera_noted():
    picture = np.zeros((28, 28), np.uint8)
    picture[:14] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    content = file_of(Image.fromarray(picture), "PNG", exif=exif)
    assert np.array_equal(read_upload(content, 28, 28), np.rot90(picture, -1))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_undone_as_pillow_does_it(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = file_of(Image.fromarray(random_picture(20, 28)), "PNG", exif=exif)
    turned = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    size = turned.height, turned.width
    assert np.array_equal(read_upload(content, *size), np.asarray(turned))


@pytest.mark.parametrize("tags", [{282: (-72, 1)}, {282: (1, 0)}, {0x0112: 99}, {0x0112: "up"}])
def test_what_else_a_camera_noted_does_not_decide_whether_a_picture_is_read(tags):
    notes = ImageFileDirectory_v2()
    for tag, value in tags.items():
        kind = 10 if isinstance(value, tuple) else 2 if isinstance(value, str) else 3
        notes.tagtype[tag], notes[tag] = kind, value
    buffer = io.BytesIO(b"")
    notes.save(buffer)
    content = file_of(Image.new("L", (28, 28), 130), "JPEG", exif=b"Exif\0\0" + buffer.getvalue())
    assert abs(read_upload(content, 28, 28).astype(int) - 130).max() <= 1


@pytest.mark.parametrize("invert", [False, True])
def test_what_is_transparent_becomes_background(invert):
    rgba = np.zeros((28, 28, 4), np.uint8)
    rgba[..., :3] = 50
    rgba[5:10, :, 3] = 255
    result = read_upload(file_of(Image.fromarray(rgba)), 28, 28, invert=invert)
    assert (result[5:10] == (205 if invert else 50)).all()
    assert not result[:5].any() and not result[10:].any()


def test_of_an_animation_the_first_frame_is_taken():
    frames = [Image.new("L", (28, 28), value) for value in (40, 200)]
    content = file_of(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert (read_upload(content, 28, 28) == 40).all()


def test_the_middle_is_cut_out_and_inverted_in_grey_and_in_colour():
    picture = np.zeros((60, 100), np.uint8)
    picture[:, 20:80] = 200  # the middle square
    content = file_of(Image.fromarray(picture))
    assert (read_picture("a", content, 28, 28) == 200).all()
    colour = read_picture("a", content, 20, 20, channels=3, invert=True)
    assert colour.shape == (3, 20, 20) and (colour == 55).all()
    own_proportions = read_picture("a", content, 30, 50)
    assert (own_proportions == picture[::2, ::2]).all()


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        (np.linspace(0, 65535, 784, dtype=np.uint16), "PNG", np.linspace(0, 255, 784)),
        (np.linspace(0, 65535, 784, dtype=np.uint16), "TIFF", np.linspace(0, 255, 784)),
        (np.linspace(0, 200, 784, dtype=np.uint16), "PNG", np.linspace(0, 200 / 257, 784)),
        (np.linspace(0, 65535, 784, dtype=np.int32), "TIFF", np.linspace(0, 255, 784)),
        (np.linspace(0, 200, 784, dtype=np.int32), "TIFF", np.linspace(0, 200, 784)),
        (np.linspace(0, 1, 784, dtype=np.float32), "TIFF", np.linspace(0, 255, 784)),
        (np.linspace(0, 250, 784, dtype=np.float32), "TIFF", np.linspace(0, 250, 784)),
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_more_than_eight_bits_are_scaled_and_not_cut_off(values, kind, expected, channels):
    content = file_of(Image.fromarray(values.reshape(28, 28)), kind)
    result = read_picture("a", content, 28, 28, channels=channels)
    assert result.shape == (channels, 28, 28)
    assert abs(result - expected.reshape(28, 28)).max() < 1.6


def test_a_palette_and_a_grey_with_a_transparent_entry_have_a_background():
    picture = np.full((28, 28), 2, np.uint8)
    picture[:14] = 1
    indexed = Image.fromarray(picture, "P")
    indexed.putpalette([0, 0, 0, 250, 250, 250, 90, 90, 90])
    for image in (indexed, Image.fromarray(picture)):
        result = read_upload(file_of(image, transparency=2), 28, 28)
        assert not result[14:].any() and result[:14].all()


def test_large_photographs_are_made_small_first(monkeypatch):
    sizes = []
    resize = Image.Image.resize
    monkeypatch.setattr(
        Image.Image, "resize", lambda i, *a: sizes.append(i.width * i.height) or resize(i, *a)
    )
    for kind in ("JPEG", "PNG"):
        result = read_picture("a", file_of(Image.new("L", (6000, 4000), 130), kind), 28, 28)
        assert abs(result.astype(int) - 130).max() <= 1
    assert 0 < max(sizes) < 1_000_000


def of_floats(value):
    return file_of(Image.fromarray(np.full((28, 28), value, np.float32)), "TIFF")


def huge_png():
    """A small file that claims 60,000 x 60,000 pixels."""
    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(b"\0" * 100)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty or larger than 64 MiB"),
        (b"hello, this is text", "is no picture that can be read; it must be one of PNG, JPEG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is no picture"),
        (file_of(Image.new("L", (64, 64), 9))[:60], "cannot be decoded|no picture"),
        (file_of(Image.fromarray(random_picture(200, 200)), "JPEG")[:1500], "cannot be decoded"),
        (b"x" * (MAX_BYTES + 1), "is empty or larger than 64 MiB"),
        (huge_png(), "more than 50,000,000"),
        (of_floats(-3.0), "from -3 to -3; they must lie in 0..65535"),
        (of_floats(np.nan), "not numbers"),
        (file_of(Image.new("1", (8000, 7000))), "8000 x 7000 pixels are more than 50,000,000"),
    ],
)
def test_files_that_cannot_be_read_are_named(content, message):
    with pytest.raises(PictureError, match=f"mine.png: (has )?.*({message})"):
        read_picture("mine.png", content, 28, 28)


@pytest.mark.parametrize(
    "error", [struct.error("x"), NotImplementedError("x"), SyntaxError("x"), MemoryError()]
)
def test_whatever_a_reader_raises_is_one_error(monkeypatch, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(picture_files, "_plain", fail)
    with pytest.raises(PictureError, match=r"mine.png: cannot be decoded \((x|MemoryError)\)"):
        read_picture("mine.png", file_of(Image.new("L", (9, 9))), 28, 28)
