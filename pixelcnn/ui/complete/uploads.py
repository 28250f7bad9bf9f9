"""Pictures that visitors upload, as levels. Knows no Streamlit."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

MAX_BYTES = 10 * 2**20
MAX_PIXELS = 50_000_000
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
"""What Pillow is asked to read; some of its other formats run programs."""


class UploadError(ValueError):
    """A file cannot be read as a picture; says why."""


def read_upload(
    content: bytes, height: int, width: int, *, invert: bool = False
) -> NDArray[np.uint8]:
    """Turn a file into a grey picture of the model's size.

    The whole picture is fitted into the size, keeping its proportions, and centred; what is left
    over, and what is transparent, becomes background (0). The orientation that a camera noted is
    heeded. Of an animation the first frame is taken.

    Arguments:
        content: the file.
        height: H.
        width: W.
        invert: turn dark ink on a bright ground into bright ink on a dark one, as the data sets
            have it.

    Returns:
        uint8 (H, W), 0..255.

    Raises:
        UploadError: if the file is too large, damaged, or no picture.
    """
    if len(content) > MAX_BYTES:
        raise UploadError(
            f"The file has {len(content) / 2**20:.1f} MB; at most {MAX_BYTES / 2**20:.0f} MB "
            "are allowed."
        )
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            pixels = image.width * image.height
            if pixels > MAX_PIXELS:
                raise UploadError(
                    f"The picture has {image.width} x {image.height} pixels; at most "
                    f"{MAX_PIXELS / 1e6:.0f} million are allowed."
                )
            image.draft("L", (4 * width, 4 * height))  # JPEG: decode only as finely as needed
            grey, opaque = _grey_and_opaque(ImageOps.exif_transpose(image))
    except UnidentifiedImageError:
        raise UploadError(
            f"This is no picture that can be read. Formats: {', '.join(FORMATS)}."
        ) from None
    except Image.DecompressionBombError:
        raise UploadError(
            f"The picture has more than {MAX_PIXELS / 1e6:.0f} million pixels."
        ) from None
    except UploadError:
        raise
    except Exception as error:  # Pillow's readers of damaged files raise many kinds
        raise UploadError(f"The picture is damaged ({error}).") from error
    values = (255 - grey if invert else grey) * opaque
    scale = min(height / values.shape[0], width / values.shape[1])
    size = [max(1, round(side * scale)) for side in (values.shape[1], values.shape[0])]
    fitted = Image.fromarray(values).resize(size, Image.Resampling.BOX)
    result = np.zeros((height, width), np.uint8)
    top, left = (height - fitted.height) // 2, (width - fitted.width) // 2
    result[top : top + fitted.height, left : left + fitted.width] = np.rint(np.asarray(fitted))
    return result


def _grey_and_opaque(image: Image.Image) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Split into grey values 0..255 and opacity 0..1, both (height, width)."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):  # more than 8 bits
        values = np.asarray(image, dtype=np.float32)
        if not np.isfinite(values).all():
            raise UploadError("The picture holds values that are not numbers.")
        low, high = float(values.min()), float(values.max())
        if low < 0 or high > 65535:
            raise UploadError(
                f"The picture holds values from {low:g} to {high:g}; they must lie in 0..65535."
            )
        scale = 255 / 65535 if high > 255 else 1.0
        return values * scale, np.ones_like(values)
    both = np.asarray(image.convert("RGBA").convert("LA"), dtype=np.float32)
    return both[..., 0], both[..., 1] / 255
