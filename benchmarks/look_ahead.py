"""Half a picture as late evidence: does tempering help particles, or drawing from its side?

    python benchmarks/look_ahead.py [--model fashion-mnist-gated] [--orders fashion-mnist-orders]
        [--cover lower-half] [--pictures 6]

A half of some pictures of the model is known, the one that comes late in its order. 64 upper
halves are drawn twice: by the model itself, which has not seen the known half yet, as particles
are; and by the model of eight orders from the other side, which has. Printed is how well they fit:
log2 p(known half | drawn half) under the model, best of all, beside that of the true half. Then

- power: tempering, the power to which that probability must be taken to leave half of the 64
  effective; what is known then counts for this share only;
- ESS: how many of the halves drawn from the other side are effective once they are weighted to
  answer the question exactly for the model of one order.
"""

import argparse
import math

import torch
from torch import Tensor

import pixelcnn
from pixelcnn.evaluation.likelihoods import nll_nats
from pixelcnn.models import Model
from pixelcnn.orders import to_raster

NUM = 64


def log2_prob(model: Model, levels: Tensor, label: int, of: Tensor, order: int = 0) -> Tensor:
    """Sum log2 p of the pixels `of` (1, 1, H, W), each given all before it: float64 (B,)."""
    of, parts = to_raster(of, order), []
    for part in to_raster(levels, order).split(16):
        every = torch.full((len(part),), label), torch.full((len(part),), order)
        with torch.inference_mode():
            nats = nll_nats(model(part, *every).float(), part).double()
        parts.append(-(nats * of).flatten(1).sum(1) / math.log(2))
    return torch.cat(parts)


def effective(log2_weights: Tensor) -> float:
    """Effective sample size of the weights."""
    weights = torch.softmax(log2_weights * math.log(2), 0)
    return float(1 / (weights**2).sum())


def power_for_half(log2_weights: Tensor) -> float:
    """Find the power of the weights that leaves half of them effective, by bisection."""
    low, high = 0.0, 1.0
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (
            (low, middle)
            if effective(middle * log2_weights) < len(log2_weights) / 2
            else (middle, high)
        )
    return low


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="fashion-mnist-gated")
    parser.add_argument("--orders", default="fashion-mnist-orders")
    parser.add_argument("--cover", default="lower-half", choices=("lower-half", "right-half"))
    parser.add_argument("--pictures", type=int, default=6)
    options = parser.parse_args()
    torch.set_num_threads(1)
    model, sided = pixelcnn.load_model(options.model), pixelcnn.load_model(options.orders)
    c = model.config
    known = pixelcnn.occlusion(options.cover, c.height, c.width)
    labels = [i % c.num_classes for i in range(options.pictures)]
    pictures = pixelcnn.sample(model, num_images=options.pictures, seed=5, label=labels)
    print("class   true   own: best  power   other side: best   mean   ESS")
    rows = []
    for picture, label in zip(pictures[:, None], labels, strict=True):
        drawn = pixelcnn.sample(model, num_images=NUM, seed=9, label=label)
        own = log2_prob(model, torch.where(known, picture, drawn), label, known)
        completion = pixelcnn.complete(
            sided, picture, known, method="prefix", num_images=NUM, seed=9, label=label
        )
        halves, order = completion.levels[0], int(completion.order[0])
        other = log2_prob(model, halves, label, known)
        weights = log2_prob(model, halves, label, torch.ones_like(known))
        weights -= log2_prob(sided, halves, label, ~known, order)
        true = float(log2_prob(model, picture, label, known))
        row = (true, own.max(), power_for_half(own), other.max(), other.mean(), effective(weights))
        rows.append([float(number) for number in row])
        print(
            "{:5d}  {:5.0f}  {:10.0f}  {:5.3f}  {:17.0f}  {:5.0f}  {:4.1f}".format(
                label, *rows[-1]
            ),
            flush=True,
        )
    true, best, power, other_best, other_mean, size = torch.tensor(rows).mean(0).tolist()
    print(
        f"Mean below the true half, bits: best of its own {true - best:.0f}; from the other side "
        f"{true - other_mean:.0f}, the best {true - other_best:.0f}. Tempering to a power of "
        f"{power:.3f} leaves half of the {NUM} effective; {size:.1f} of {NUM} from the other side "
        "are, untempered."
    )


if __name__ == "__main__":
    main()
