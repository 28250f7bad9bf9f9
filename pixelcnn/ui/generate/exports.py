"""Downloads of a drawing: picture, animation, and the whole trace as data. Knows no Streamlit."""

import io
import json
import time
from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from pixelcnn.data.pictures import animated_sheet, png_bytes, sheet
from pixelcnn.progress import drain
from pixelcnn.ui.generate.branch import Branch
from pixelcnn.ui.generate.drawing import SECONDS_PER_ANSWER, Drawing
from pixelcnn.ui.shared.history import to_text
from pixelcnn.ui.shared.made import Made


@dataclass(frozen=True)
class Finished:
    """A finished branch, copied under the lock: playing on does not change it."""

    levels: Tensor
    """int64 (B, 1, H, W)."""
    arrays: dict[str, np.ndarray]
    """The whole trace, pixels in raster order first."""
    settings: dict[str, object]
    """All that reproduces the picture."""


def made(drawing: Drawing) -> Made:
    """Describe the pictures of a drawing to the other pages."""

    def finish() -> Generator[float, None, Tensor]:
        return (yield from iter_finished(drawing)).levels

    by = f"the Generate page, drawn by {drawing.subject.checkpoint}"
    return Made(
        drawing.config,
        captions=[f"{by}: {caption}" for caption in drawing.captions],
        classes=list(drawing.captions),
        key=lambda: (drawing.current.run, len(drawing.current.rewinds)),
        finish=finish,
    )


def finished(drawing: Drawing) -> Finished:
    """Do the work of `iter_finished` to its end."""
    return drain(iter_finished(drawing))


def iter_finished(drawing: Drawing) -> Generator[float, None, Finished]:
    """Draw the current branch to its end, a little at a time so that the player is answered."""
    while True:
        with drawing.lock:
            branch = drawing.current
            branch.draw(branch.total, SECONDS_PER_ANSWER)
            if branch.done:
                arrays = {name: values.copy() for name, values in _arrays(branch).items()}
                return Finished(branch.levels(), arrays, _settings(drawing, branch))
        yield branch.count / branch.total
        time.sleep(0.001)  # a lock that is taken again at once is never passed on


def as_png(drawing: Drawing, scale: int) -> bytes:
    """Encode the finished picture or sheet, every pixel `scale` screen pixels wide."""
    levels, columns = finished(drawing).levels, drawing.subject.columns
    return png_bytes(sheet(levels, drawing.config.num_levels, columns=columns, scale=scale))


def as_gif(drawing: Drawing) -> bytes:
    """Encode the drawing as an animation of about five seconds."""
    levels, columns = finished(drawing).levels, drawing.subject.columns
    scale = 10 if drawing.subject.num_images == 1 else 3
    return animated_sheet(levels, drawing.config.num_levels, columns=columns, scale=scale)


def as_npz(drawing: Drawing) -> bytes:
    """Write the whole trace as arrays, pixels in raster order, with the settings as JSON text."""
    done = finished(drawing)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, settings=json.dumps(done.settings), **done.arrays)
    return buffer.getvalue()


def as_json(drawing: Drawing) -> bytes:
    """Write the whole trace as JSON; probabilities have six digits."""
    done = finished(drawing)
    trace = {
        name: [[round(float(v), 6) for v in row] for row in values]
        if values.dtype.kind == "f"
        else values.tolist()
        for name, values in done.arrays.items()
    }
    return json.dumps({"settings": done.settings, **trace}).encode()


def _settings(drawing: Drawing, branch: Branch) -> dict[str, object]:
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
        "rules": [{"start": start, **rule.to_dict()} for start, rule in branch.history.rules],
        "forced": {str(p): v for p, v in branch.history.forced.items()},
        "history": to_text(branch.history),
        "total_bits": [float(v) for v in branch.surprise_bits.sum(0, dtype=np.float64)],
    }


def _arrays(branch: Branch) -> dict[str, np.ndarray]:
    arrays = {
        "level": branch.level,
        "uniform": branch.uniform,
        "entropy_bits": branch.entropy_bits,
        "surprise_bits": branch.surprise_bits,
    }
    if branch.model_probabilities.shape[1]:
        arrays["model_probabilities"] = branch.model_probabilities
        arrays["rule_probabilities"] = branch.rule_probabilities
    return arrays
