"""Downloads of a drawing: picture, animation, and the whole trace as data. Knows no Streamlit."""

from collections.abc import Generator

import numpy as np
from torch import Tensor

from pixelcnn.data.pictures import animated_sheet, png_bytes, sheet
from pixelcnn.progress import drain
from pixelcnn.ui.generate.course import Course
from pixelcnn.ui.generate.drawing import Drawing
from pixelcnn.ui.shared.downloads import json_bytes, npz_bytes
from pixelcnn.ui.shared.made import Made


def made(drawing: Drawing) -> Made:
    """Describe the pictures of a drawing to the other pages."""

    def finish() -> Generator[float, None, Tensor]:
        course = drawing.current
        yield from course.iter_finish()
        return course.levels()

    by = f"the Generate page, drawn by {drawing.subject.checkpoint}"
    return Made(
        drawing.config,
        captions=[f"{by}: {caption}" for caption in drawing.captions],
        classes=list(drawing.captions),
        key=lambda: (drawing.picture, drawing.current.name),
        finish=finish,
    )


def finished(drawing: Drawing) -> Course:
    """Draw the course that is shown to its end."""
    course = drawing.current
    drain(course.iter_finish())
    return course


def as_png(drawing: Drawing, scale: int) -> bytes:
    """Encode the finished picture or sheet, every pixel `scale` screen pixels wide."""
    levels, columns = finished(drawing).levels(), drawing.columns
    return png_bytes(sheet(levels, drawing.config.num_levels, columns=columns, scale=scale))


def as_gif(drawing: Drawing) -> bytes:
    """Encode the drawing as an animation of about five seconds."""
    levels, columns = finished(drawing).levels(), drawing.columns
    scale = 10 if drawing.subject.num_images == 1 else 3
    return animated_sheet(levels, drawing.config.num_levels, columns=columns, scale=scale)


def as_npz(drawing: Drawing) -> bytes:
    """Write the whole trace as arrays, pixels in raster order."""
    course = finished(drawing)
    return npz_bytes(_settings(drawing, course), course.arrays())


def as_json(drawing: Drawing) -> bytes:
    """Write the same as JSON."""
    course = finished(drawing)
    return json_bytes(_settings(drawing, course), course.arrays())


def _settings(drawing: Drawing, course: Course) -> dict[str, object]:
    subject = drawing.subject
    return {
        "checkpoint": subject.checkpoint,
        "seed": subject.seed,
        "first_image": subject.image,
        "num_images": subject.num_images,
        "labels": subject.labels(drawing.config.num_classes),
        "num_levels": drawing.config.num_levels,
        "height": drawing.config.height,
        "width": drawing.config.width,
        "rules": [{"start": start, **rule.to_dict()} for start, rule in course.history.rules],
        "forced": {str(p): v for p, v in course.history.forced.items()},
        "history": course.name,
        "total_bits": [float(v) for v in course.surprise_bits.sum(0, dtype=np.float64)],
    }
