"""Drawings to begin with: a few strokes each, as somebody might draw them. Knows no Streamlit."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from pixelcnn.data.pictures import GAP, Picture
from pixelcnn.storage import CHECKPOINT_DIR
from pixelcnn.ui.shared.sketch import DRAWN, Sketch

SHAPE = (1, 28, 28)
PICTURES = CHECKPOINT_DIR / "pictures" / "challenges.png"
"""Each challenge and two completions in a row; `benchmarks/completion.py drawings` draws them."""

Stroke = tuple[int, tuple[tuple[int, int], ...]]
"""Width of the brush in pixels, and the pixels (row, column) between which it goes."""


@dataclass(frozen=True)
class Challenge:
    """A drawing to be completed."""

    title: str
    """What it is meant to be."""
    dataset: str
    """Whose models can complete it."""
    label: int
    """The class that it is meant to be."""
    strokes: tuple[Stroke, ...]

    def sketch(self) -> Sketch:
        """Draw the strokes in full ink."""
        state = np.zeros(SHAPE[1:], np.uint8)
        for size, path in self.strokes:
            before = (size - 1) // 2
            for start, end in zip(path, path[1:], strict=False):
                steps = max(abs(end[0] - start[0]), abs(end[1] - start[1]), 1)
                for share in np.linspace(0, 1, steps + 1):
                    row = round(start[0] + (end[0] - start[0]) * share)
                    col = round(start[1] + (end[1] - start[1]) * share)
                    top, left = max(0, row - before), max(0, col - before)
                    state[top : row - before + size, left : col - before + size] = DRAWN
        return Sketch(np.where(state == DRAWN, 255, 0).astype(np.uint8)[None], state)


CHALLENGES = (
    Challenge(
        "Half a shoe",
        "fashion-mnist",
        7,
        ((2, ((20, 3), (20, 14))), (2, ((20, 3), (17, 3), (15, 6), (13, 10), (12, 14)))),
    ),
    Challenge(
        "The heel of a boot",
        "fashion-mnist",
        9,
        ((2, ((4, 20), (12, 20), (22, 21))), (3, ((23, 16), (23, 21)))),
    ),
    Challenge(
        "Only a collar",
        "fashion-mnist",
        0,
        ((1, ((4, 10), (6, 12), (7, 14), (6, 16), (4, 18))), (1, ((4, 10), (6, 6)))),
    ),
    Challenge(
        "The outline of a T-shirt",
        "fashion-mnist",
        0,
        (
            (1, ((3, 10), (5, 4), (11, 2), (13, 6), (11, 8), (25, 8), (25, 19))),
            (1, ((25, 19), (11, 19), (13, 22), (11, 25), (5, 23), (3, 17), (5, 14), (3, 10))),
        ),
    ),
    Challenge(
        "Two trouser legs",
        "fashion-mnist",
        1,
        ((3, ((4, 11), (25, 10))), (3, ((4, 17), (25, 18))), (2, ((3, 10), (3, 18)))),
    ),
    Challenge(
        "The handle of a bag",
        "fashion-mnist",
        8,
        ((1, ((11, 8), (6, 10), (4, 14), (6, 18), (11, 20))),),
    ),
    Challenge("Half a 3", "mnist", 3, ((2, ((6, 9), (5, 13), (6, 17), (9, 18), (12, 14))),)),
    Challenge("The top of a 7", "mnist", 7, ((2, ((6, 8), (6, 19), (12, 17))),)),
    Challenge("Half a 0", "mnist", 0, ((2, ((5, 16), (7, 11), (13, 8), (19, 10), (22, 14))),)),
)
"""Three of them are digits."""


def pictures() -> list[Picture]:
    """Cut the rows out of `PICTURES`, one for each challenge."""
    sheet = np.asarray(Image.open(PICTURES))
    _, height, _ = SHAPE
    return [sheet[i * (height + GAP) :][:height] for i in range(len(CHALLENGES))]
