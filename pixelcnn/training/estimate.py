"""How long a run will take and how much memory: measured by training for a moment, not guessed."""

import sys
import time
from dataclasses import dataclass

import torch

from pixelcnn.training.engine import train_step
from pixelcnn.training.runs import RunConfig
from pixelcnn.training.scoring import evaluate
from pixelcnn.training.state import TrainingState

WARM_UP_SECONDS = 4.0
"""At least two updates are measured, then as many as fit into this time."""
SCORED_IMAGES = 50


@dataclass(frozen=True)
class Estimate:
    """What a run needs, on this machine as busy as it is now."""

    parameters: int
    """Weights of the model."""
    seconds: float
    """Time of the whole run, its evaluations included."""
    images_per_second: float
    """Speed of training alone."""
    memory_bytes: int
    """Most memory that the process held, without the data set."""
    device: str
    """Where it was measured, and whether in bfloat16."""


def estimate(config: RunConfig, device: torch.device) -> Estimate:
    """Train on random images for a few seconds and extrapolate.

    The peak of memory is that of this process: run it in a fresh one.
    """
    c, t = config.model, config.train
    state = TrainingState(c, t, device)
    if config.compiled:
        state.compile()
    generator = torch.Generator().manual_seed(0)
    shape = (max(t.batch_size, SCORED_IMAGES), c.num_channels, c.height, c.width)
    levels = torch.randint(c.num_levels, shape, generator=generator)
    label = torch.randint(max(c.num_classes, 1), shape[:1], generator=generator)
    batch = levels[: t.batch_size], label[: t.batch_size]
    train_step(state, t, *batch)  # the first one is slow
    steps, started = 0, time.monotonic()
    while steps < 2 or time.monotonic() - started < WARM_UP_SECONDS:
        train_step(state, t, *batch)
        steps += 1
    per_image = (time.monotonic() - started) / steps / t.batch_size
    started = time.monotonic()
    evaluate(state.ema, levels[:SCORED_IMAGES], label[:SCORED_IMAGES], bfloat16=state.bfloat16)
    per_score = (time.monotonic() - started) / SCORED_IMAGES
    marks = {*range(t.evaluate_every, t.total_images, t.evaluate_every), t.total_images}
    evaluations = len(marks | {stage for stage in t.stages if stage < t.total_images})
    return Estimate(
        parameters=state.model.num_parameters,
        seconds=per_image * t.total_images + per_score * t.validation_images * evaluations,
        images_per_second=1 / per_image,
        memory_bytes=peak_memory_bytes(device),
        device=f"{device}, {'bfloat16' if state.bfloat16 else 'float32'}",
    )


def peak_memory_bytes(device: torch.device) -> int:
    """Return the most memory that was held: on the GPU of CUDA, else by this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    import resource  # here, as Windows has none

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux counts in KiB
