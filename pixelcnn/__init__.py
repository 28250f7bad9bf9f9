"""A PixelCNN that one can watch: library, command line and pages.

    import pixelcnn
    model = pixelcnn.load_model("fashion-mnist-gated")
    levels = pixelcnn.sample(model, num_images=16, seed=0, label=7)
    bits = pixelcnn.bits_per_dim(model, levels, 7)

Read in this order: `masks`, `models.base`, `models.convolutions`, `models.classic`,
`models.gated` (what the networks are), `sampling.rules`, `sampling.naive`, `sampling.sampler`
(how pictures are drawn), `completion` (how a part of a picture is completed), `inspection` (what
a prediction can see), `training.engine`, `storage`, `data`; `ui` is the only part that knows the
screen.

The names below are imported when they are first used, so that `import pixelcnn` is quick.
"""

import importlib
from typing import Any

_PUBLIC = {
    "load_model": "storage",
    "CheckpointError": "storage",
    "SamplingRule": "config",
    "ModelConfig": "models",
    "TrainConfig": "config",
    "build_model": "models",
    "Model": "models",
    "Stepper": "models",
    "register": "models",
    "sample": "sampling",
    "iter_samples": "sampling",
    "Sampler": "sampling",
    "explain": "sampling",
    "make_noise": "sampling",
    "bits_per_dim": "evaluation.likelihoods",
    "complete": "completion",
    "begin_completion": "completion",
    "class_posterior": "completion",
    "Completion": "completion",
    "NotAPrefixError": "completion",
    "occlusion": "completion",
    "best_order": "completion",
    "is_prefix": "completion",
    "score_image": "evaluation.scores",
    "score_classes": "evaluation.scores",
    "check_causality": "inspection.receptive_field",
    "dependency_maps": "inspection.receptive_field",
}
__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the module defines
    if name not in _PUBLIC:
        raise AttributeError(f"module 'pixelcnn' has no attribute {name!r}")
    return getattr(importlib.import_module(f"pixelcnn.{_PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return __all__
