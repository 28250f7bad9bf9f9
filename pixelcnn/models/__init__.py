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
from pixelcnn.models.classic import ClassicConfig, PixelCNN
from pixelcnn.models.conditioned import ConditionedConfig, ConditionedPixelCNN, Evidence
from pixelcnn.models.gated import GatedConfig, GatedPixelCNN

DEFAULT_ARCHITECTURE = GatedConfig.architecture
"""What commands and presets train that name none."""

__all__ = [
    "ARCHITECTURES",
    "DEFAULT_ARCHITECTURE",
    "ClassicConfig",
    "ConditionedConfig",
    "ConditionedPixelCNN",
    "Evidence",
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
