"""How long do completions take?

    python benchmarks/completion.py [checkpoint] [--repeats 5]

First seconds as the Complete page computes them, without a browser: "first" is the time until an
unknown pixel of all completions can be shown, "longest" that of the longest single answer, "all"
until everything is drawn and summed up. Seconds are medians of some repeats, each with another
picture of the model itself.
"""

import argparse
import os
import statistics
import time

import torch

import pixelcnn
from pixelcnn.data.datasets import class_names
from pixelcnn.ui.complete.run import CompletionRun, Wish
from pixelcnn.ui.complete.sketch import given

QUESTIONS = (
    # What is known, method, completions, particles, seconds allowed: first, all
    ("upper-half", "prefix", 16, 0, 1.0, 3.0),
    ("lower-half", "particles", 16, 64, 1.0, 10.0),
    ("around-box", "particles", 16, 64, 1.0, 10.0),
)


def measure(run: CompletionRun) -> tuple[float, float, float]:
    """Pull as the browser does; return seconds: first unknown pixel, longest answer, the end."""
    started = now = time.perf_counter()
    first, longest = None, 0.0
    while not run.done:
        run.answer_pull(run.run, run.serial)
        before, now = now, time.perf_counter()
        longest = max(longest, now - before)
        if first is None and run.count > run.first:
            first = now - started
    return first, longest, now - started


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", nargs="?", default="fashion-mnist-gated")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)  # as in the app
    model = pixelcnn.load_model(options.checkpoint)
    config = model.config
    names = class_names(None, config.num_classes)
    pictures = pixelcnn.sample(model, num_images=options.repeats, seed=0)[:, 0].numpy()
    print(
        f"{options.checkpoint}: {model.num_parameters:,} parameters, {os.cpu_count()} processors, "
        f"torch {torch.__version__}"
    )
    print(
        "known       method     completions  particles  first  allowed  longest      all  allowed"
    )
    for left, method, num_images, num_particles, first_allowed, all_allowed in QUESTIONS:
        known = pixelcnn.occlusion(left, config.height, config.width)[0, 0].numpy()
        seconds = []
        for seed, picture in enumerate(pictures):
            sketch = given(picture, config.num_levels).covered(known)
            wish = Wish(
                options.checkpoint,
                method,
                num_images=num_images,
                num_particles=num_particles,
                seed=seed,
            )
            seconds.append(measure(CompletionRun(model, sketch, wish, names)))
        first, longest, everything = (
            statistics.median(times) for times in zip(*seconds, strict=True)
        )
        print(
            f"{left:10s}  {method:9s}  {num_images:11d}  {num_particles:9d}  {first:4.2f} s"
            f"  {first_allowed:5.1f} s  {longest:5.2f} s"
            f"  {everything:5.2f} s  {all_allowed:5.1f} s"
        )


if __name__ == "__main__":
    main()
