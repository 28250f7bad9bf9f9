"""What does it cost to store the weights in half precision? Prints bits/dim with and without.

    python benchmarks/half_precision.py STATE [--num-images 1000]

Reads a training state, whose average weights are in single precision, rounds them to half
precision as a checkpoint does, and scores the first validation images with both.
"""

import argparse
import copy

from pixelcnn.data.datasets import load_dataset
from pixelcnn.training.scoring import evaluate
from pixelcnn.training.state import load_training_state


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("state", help="training state, *.state")
    parser.add_argument("--num-images", type=int, default=1000, help="validation images")
    options = parser.parse_args()
    state, config = load_training_state(options.state)
    single = state.ema
    half = copy.deepcopy(single).half().float()
    levels, label = load_dataset(config.dataset, "validation", num_levels=single.config.num_levels)
    images = levels[: options.num_images], label[: options.num_images]
    scores = [evaluate(model, *images) for model in (single, half)]
    print(
        f"{config.dataset}, {len(images[0]):,} validation images, {state.images_seen:,} images "
        f"seen: single precision {scores[0]:.6f}, half {scores[1]:.6f} bits/dim, "
        f"cost {scores[1] - scores[0]:+.6f}"
    )


if __name__ == "__main__":
    main()
