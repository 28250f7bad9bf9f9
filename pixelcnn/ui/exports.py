"""Downloads of a drawing: picture, animation, and the whole trace as data. Knows no Streamlit."""

import io
import json

import numpy as np

from pixelcnn.pictures import animated_sheet, png_bytes, sheet
from pixelcnn.ui.branch import Branch
from pixelcnn.ui.drawing import Drawing
from pixelcnn.ui.history import to_text


def finished(drawing: Drawing) -> Branch:
    """Draw the current branch to its end and return it."""
    with drawing.lock:
        drawing.current.finish()
        return drawing.current


def as_png(drawing: Drawing, scale: int) -> bytes:
    """Encode the finished picture or sheet, every pixel `scale` screen pixels wide."""
    branch = finished(drawing)
    columns = drawing.subject.columns
    return png_bytes(
        sheet(branch.levels(), drawing.config.num_levels, columns=columns, scale=scale)
    )


def as_gif(drawing: Drawing) -> bytes:
    """Encode the drawing as an animation of about five seconds."""
    branch = finished(drawing)
    scale = 10 if drawing.subject.num_images == 1 else 3
    return animated_sheet(
        branch.levels(), drawing.config.num_levels, columns=drawing.subject.columns, scale=scale
    )


def as_npz(drawing: Drawing) -> bytes:
    """Write the whole trace as arrays, pixels in raster order, with the settings as JSON text."""
    branch = finished(drawing)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, settings=json.dumps(settings(drawing)), **_arrays(branch))
    return buffer.getvalue()


def as_json(drawing: Drawing) -> bytes:
    """Write the whole trace as JSON; probabilities have six digits."""
    branch = finished(drawing)
    trace = {
        name: [[round(float(v), 6) for v in row] for row in values]
        if values.dtype.kind == "f"
        else values.tolist()
        for name, values in _arrays(branch).items()
    }
    return json.dumps({"settings": settings(drawing), **trace}).encode()


def settings(drawing: Drawing) -> dict[str, object]:
    """Tell all that reproduces the picture."""
    subject, branch = drawing.subject, drawing.current
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
