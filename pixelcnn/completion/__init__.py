"""Completing a picture of which some pixels are known.

    known = pixelcnn.occlusion("lower-half", 28, 28)
    completion = pixelcnn.complete(model, levels, known, num_images=16, label=9)
    completion.levels  # int64 (1, 16, 1, 28, 28)

Five methods:

- `prefix`: where all known pixels come before all unknown ones in an order that the model knows,
  ordinary sampling goes on from them. Exact: every completion is an independent draw from the
  model's distribution given the known pixels.
- `learned`: a model that reads evidence is told all of it at once, known pixels and hints drawn by
  hand, and draws each pixel knowing what comes later too. As good as it was learned. With hints,
  candidates that fit them better go on, see `pixelcnn.completion.guided`.
- `weighed`: particles that the same model proposes, weighed by how probable they are without the
  evidence. Exact in the limit of many, and far fewer are needed.
- `particles`: sequential Monte Carlo, for any known pixels. Approximate, but exact in the limit of
  many particles. `Completion.particles` says how far to trust it. What is known late cannot guide
  it. No weights make up for that: where half of the picture is late, tempering that keeps half of
  the particles takes the evidence to a power of 0.06 (`benchmarks/look_ahead.py`). What helps is
  to look at the evidence first: of the orders that a model knows, the one that does so is taken.
- `clamping`: known pixels are put in place as the scan reaches them. Those that come after an
  unknown pixel are ignored by what is drawn before them, so it is not conditional sampling;
  `Completion.ignored` says which, and `log_weights` what they would have said.
"""

from pixelcnn.completion.complete import Completion, begin_completion, best_method, complete
from pixelcnn.completion.guided import CANDIDATES
from pixelcnn.completion.known import (
    NotAPrefixError,
    best_order,
    is_prefix,
    late_pixels,
    occlusion,
)
from pixelcnn.completion.particles import ParticleReport, ParticleScan
from pixelcnn.completion.posterior import ClassPosterior, class_posterior, iter_class_posterior
from pixelcnn.completion.scan import Scan

__all__ = [
    "CANDIDATES",
    "ClassPosterior",
    "Completion",
    "NotAPrefixError",
    "ParticleReport",
    "ParticleScan",
    "Scan",
    "begin_completion",
    "best_method",
    "best_order",
    "class_posterior",
    "complete",
    "is_prefix",
    "iter_class_posterior",
    "late_pixels",
    "occlusion",
]
