"""The models, one file per architecture: levels in, a distribution for every dimension out."""

from pixelcnn.models.base import (
    ARCHITECTURES,
    FullPass,
    Model,
    ModelConfig,
    Stepper,
    architecture,
    build_model,
    read_config,
    register,
    reshape_config,
)
from pixelcnn.models.gated import GatedConfig, GatedPixelCNN

# isort: split
# The first one registered, the gated one, is the default of the command line and the pages.
from pixelcnn.models.classic import ClassicConfig, PixelCNN

__all__ = [
    "ARCHITECTURES",
    "ClassicConfig",
    "FullPass",
    "GatedConfig",
    "GatedPixelCNN",
    "Model",
    "ModelConfig",
    "PixelCNN",
    "Stepper",
    "architecture",
    "build_model",
    "read_config",
    "register",
    "reshape_config",
]
