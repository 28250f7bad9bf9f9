"""The picture that is scored."""

import hashlib
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class ScoredPicture:
    """A picture to score."""

    levels: Tensor
    """int64 (C, H, W)."""
    caption: str
    """What it is, in a few words."""
    label: int | None = None
    """Its class, where that is known and one of the model's own."""

    @property
    def fingerprint(self) -> str:
        """Tell one picture from another."""
        return hashlib.sha256(self.levels.numpy().tobytes()).hexdigest()[:16]
