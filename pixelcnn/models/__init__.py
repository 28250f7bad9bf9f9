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
from pixelcnn.models.gated_attention import AttentionConfig, AttentionPixelCNN
from pixelcnn.models.recurrent import GRU, LSTM, RNN, GRUConfig, LSTMConfig, RNNConfig
from pixelcnn.models.transformer import Transformer, TransformerConfig

DEFAULT_ARCHITECTURE = GatedConfig.architecture
"""What commands and presets train that name none."""

__all__ = [
    "ARCHITECTURES",
    "AttentionConfig",
    "AttentionPixelCNN",
    "ClassicConfig",
    "ConditionedConfig",
    "ConditionedPixelCNN",
    "DEFAULT_ARCHITECTURE",
    "Evidence",
    "FullPass",
    "GRU",
    "GRUConfig",
    "GatedConfig",
    "GatedPixelCNN",
    "LSTM",
    "LSTMConfig",
    "Model",
    "ModelConfig",
    "PixelCNN",
    "RNN",
    "RNNConfig",
    "Stepper",
    "Transformer",
    "TransformerConfig",
    "architecture",
    "build_model",
    "read_config",
    "register",
    "reshape_config",
]
