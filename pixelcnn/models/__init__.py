"""The models, one file per architecture: levels in, a distribution for every dimension out."""

from pixelcnn.models import (  # noqa: F401 - each registers its architectures
    classic,
    conditioned,
    gated,
    gated_attention,
    recurrent,
    transformer,
)
from pixelcnn.models.base import (
    ARCHITECTURES,
    FullPass,
    Model,
    ModelConfig,
    Stepper,
    StoredConfig,
    architecture,
    build_model,
    read_config,
    register,
    reshape_config,
)
from pixelcnn.models.conditioned import Evidence
from pixelcnn.models.gated import GatedConfig

DEFAULT_ARCHITECTURE = GatedConfig.architecture
"""What commands and presets train that name none."""

__all__ = [
    "ARCHITECTURES",
    "DEFAULT_ARCHITECTURE",
    "Evidence",
    "FullPass",
    "GatedConfig",
    "Model",
    "ModelConfig",
    "Stepper",
    "StoredConfig",
    "architecture",
    "build_model",
    "read_config",
    "register",
    "reshape_config",
]
