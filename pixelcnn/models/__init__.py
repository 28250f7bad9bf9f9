"""The models, one file per architecture: levels in, a distribution for every dimension out."""

from pixelcnn.models.base import AutoregressiveModel, GatedPixelCNN, PixelCNN, build_model

__all__ = ["AutoregressiveModel", "GatedPixelCNN", "PixelCNN", "build_model"]
