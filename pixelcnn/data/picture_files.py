"""Picture files from outside, as values of the model's size: the one place that decodes them."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
"""What Pillow is asked to read; some of its other formats run programs."""
MAX_BYTES = 64 * 2**20
"""Of a file."""
MAX_PIXELS = 50_000_000
"""Of a picture: a small file can hold a huge one."""
MAX_SIDE = 20_000
MAX_DECODED = 24_000_000
"""Pixels that are held in memory; of a JPEG fewer than it has."""
MAX_WEBP = 16_000_000
"""Of a WebP, of which its decoder holds four copies."""
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What undoes an orientation that a camera noted."""
SIDEWAYS = [TURNS[number] for number in (5, 6, 7, 8)]
LARGE_PIXELS = 4_000_000
"""From here on a picture is made smaller before anything else is done with it."""
FINER = 8
"""How many times finer than asked for a picture is kept until the end, at least."""


class PictureError(ValueError):
    """A file cannot be used as a picture; names it and says why."""


def read_picture(
    name: str,
    content: bytes,
    height: int,
    width: int,
    *,
    channels: int = 1,
    whole: bool = False,
    invert: bool = False,
) -> NDArray[np.uint8]:
    """Turn a file into a picture of a given size, grey (1 channel) or RGB (3).

    It is turned as the camera noted. What is transparent becomes background, 0. Of an animation
    the first frame is taken. More than 8 bits are scaled down to 8.

    With `whole` all of it is fit in and centred, instead of cutting out the middle. `invert` turns
    dark ink on a bright ground into bright ink on a dark one, as the data sets have it.

    Returns:
        uint8 (C, H, W), 0..255.

    Raises:
        PictureError: if the file is too large, damaged, or no picture.
    """
    if not 0 < len(content) <= MAX_BYTES:
        raise PictureError(f"{name}: is empty or larger than {MAX_BYTES // 2**20} MiB.")
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            # JPEG: decoded only as finely as needed, but all passes of a progressive one are held.
            _check_size(name, image, MAX_DECODED if "progressive" in image.info else MAX_PIXELS)
            turn = TURNS.get(_orientation(image))
            sides = (height, width) if turn in SIDEWAYS else (width, height)
            image.draft("L" if channels == 1 else None, [FINER * side for side in sides])
            _check_size(name, image, MAX_WEBP if image.format == "WEBP" else MAX_DECODED)
            image.load()
            plain, white = _plain(name, image, channels)
            if not whole:
                plain = _middle(plain, *sides)
            # A large one is averaged down to a few million pixels.
            choose = max if whole else min
            factor = choose(
                own // (FINER * side) for own, side in zip(plain.size, sides, strict=True)
            )
            if factor > 1 and plain.height * plain.width >= LARGE_PIXELS:
                plain = plain.reduce(factor)
            plain = plain if turn is None else plain.transpose(turn)
    except PictureError:
        raise
    except Exception as error:  # Pillow's readers of damaged files raise many kinds
        reason = f"cannot be decoded ({str(error) or type(error).__name__})"
        if isinstance(error, UnidentifiedImageError):
            reason = f"is no picture that can be read; it must be one of {', '.join(FORMATS)}"
        elif isinstance(error, Image.DecompressionBombError):
            reason = f"has more than {MAX_PIXELS:,} pixels"
        raise PictureError(f"{name}: {reason}.") from error
    values = np.asarray(plain, np.float32) * np.float32(255 / white)
    if not np.isfinite(values).all():
        raise PictureError(f"{name}: holds values that are not numbers.")
    values = values if values.ndim == 3 else values[:, :, None]  # (height, width, bands)
    ink, clear = values, np.float32(1)
    if "A" in plain.getbands():
        ink, clear = values[..., :-1], values[..., -1:] / 255
    ink = (255 - ink if invert else ink) * clear
    planes = np.broadcast_to(ink, (*ink.shape[:2], channels))
    return np.stack([_fit(plane, height, width, whole) for plane in planes.transpose(2, 0, 1)])


def _check_size(name: str, image: Image.Image, most: int) -> None:
    """Check what the header says before anything is decoded."""
    size = f"{image.width} x {image.height} pixels"
    if image.width * image.height > most:
        raise PictureError(f"{name}: {size} are more than {most:,}.")
    if max(image.size) > MAX_SIDE:
        raise PictureError(f"{name}: {size}; no side may have more than {MAX_SIDE:,}.")


def _orientation(image: Image.Image) -> object:
    """Read how the camera was held; what else it noted, and how badly, does not matter."""
    try:
        return image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # Pillow's readers of damaged notes raise many kinds
        return None


def _plain(name: str, image: Image.Image, channels: int) -> tuple[Image.Image, int]:
    """Bring every mode to grey or RGB, with opacity if there is any; the number is white."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return image.convert("F"), _white_of(name, image)
    clear = "A" in image.getbands() or "transparency" in image.info or image.mode in ("La", "RGBa")
    if image.mode not in ("L", "LA", "RGB", "RGBA"):
        image = image.convert("RGBA" if clear else "RGB")
    if clear and "A" not in image.getbands():  # one grey or colour stands for transparent
        image = image.convert("RGBA")
    mode = ("L" if channels == 1 else "RGB") + ("A" if clear else "")
    return image if image.mode == mode else image.convert(mode), 255


def _white_of(name: str, image: Image.Image) -> int:
    """Say which of grey values of more than 8 bits is white."""
    low, high = image.getextrema()
    if low < 0 or high > 65535:
        raise PictureError(
            f"{name}: holds values from {low:g} to {high:g}; they must lie in 0..65535."
        )
    if image.mode == "F" and high <= 1:
        return 1
    # TIFF does not say what is white.
    return 255 if image.format == "TIFF" and image.mode in ("I", "F") and high <= 255 else 65535


def _middle(image: Image.Image, width: int, height: int) -> Image.Image:
    """Cut out the largest part of the proportions W x H, before anything else is done with it."""
    scale = max(height / image.height, width / image.width)
    cut = [max(1, round(side / scale)) for side in (width, height)]
    left, top = (image.width - cut[0]) // 2, (image.height - cut[1]) // 2
    return image.crop((left, top, left + cut[0], top + cut[1]))


def _fit(plane: NDArray[np.float32], height: int, width: int, whole: bool) -> NDArray[np.uint8]:
    """Scale one plane, 0..255, to H x W."""
    image = Image.fromarray(np.ascontiguousarray(plane))
    scale = min(height / image.height, width / image.width)
    size = [width, height]
    if whole:
        size = [max(1, round(side * scale)) for side in (image.width, image.height)]
    # Enlarged pixels are found again exactly.
    exact = image.width % size[0] == 0 and image.height % size[1] == 0
    method = Image.Resampling.BOX if exact else Image.Resampling.LANCZOS
    fitted = np.rint(np.asarray(image.resize(size, method))).clip(0, 255).astype(np.uint8)
    result = np.zeros((height, width), np.uint8)
    top, left = (height - size[1]) // 2, (width - size[0]) // 2
    result[top : top + size[1], left : left + size[0]] = fitted
    return result
