"""How much faster is the cached sampler? Prints ratios measured in this one run.

    python benchmarks/sampling.py [checkpoint] [--batches 1 16]

The naive sampler is timed over its first pixels (every pixel costs it one whole pass, so they are
all alike) and scaled to the picture; the cached one over whole pictures. Passes are timed beside
them, and all parts are repeated in turn, so that other work on the machine hits all alike.
"""

import argparse
import itertools
import statistics
import time

import torch

import pixelcnn
from pixelcnn.sampling import label_tensor, sample_cached
from pixelcnn.sampling.naive import iter_naive

REPEATS = 15
NAIVE_PIXELS = 16


def timed(function):
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", nargs="?", default="fashion-mnist-gated")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16])
    options = parser.parse_args()
    model = pixelcnn.load_model(options.checkpoint)
    config, rule = model.config, pixelcnn.SamplingRule()
    print(
        f"{options.checkpoint}: {model.num_parameters:,} parameters, float32, "
        f"torch {torch.__version__}, {torch.get_num_threads()} threads"
    )
    print("batch  one pass   naive/picture  cached/picture  naive : cached  cached in passes")
    for batch in options.batches:
        noise = pixelcnn.make_noise(config, num_images=batch, seed=0)
        label = label_tensor(0 if config.num_classes else None, batch)
        levels = torch.zeros(noise.shape, dtype=torch.int64)

        @torch.inference_mode()
        def one_pass(levels=levels, label=label):
            model(levels, label)

        def naive(noise=noise, label=label):
            for _ in itertools.islice(iter_naive(model, noise, rule, label), NAIVE_PIXELS):
                pass

        def cached(noise=noise, label=label):
            sample_cached(model, noise, rule, label)

        for warm_up in (one_pass, naive, cached):
            warm_up()
        seconds = {f: [] for f in (one_pass, naive, cached)}
        for _ in range(REPEATS):
            for function, times in seconds.items():
                times.append(timed(function))
        forward, slow, fast = (statistics.median(times) for times in seconds.values())
        slow *= config.num_dims / NAIVE_PIXELS
        print(
            f"{batch:5d}  {forward * 1e3:6.1f} ms  {slow / batch:11.3f} s  {fast / batch:12.3f} s"
            f"  {slow / fast:12.0f} x  {fast / forward:16.2f}"
        )


if __name__ == "__main__":
    main()
