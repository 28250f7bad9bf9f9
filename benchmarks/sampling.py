"""How much faster is the cached sampler? Prints ratios measured in this one run.

    python benchmarks/sampling.py [checkpoint] [--batches 1 16]
    python benchmarks/sampling.py [checkpoint] --equal 320

`--equal` counts instead how many pictures are the same by both samplers, and in batches of 1 and
16. They round float32 in other places; where a uniform number lies that close to an edge of the
cumulative probabilities, another level is drawn, and from there on the picture differs. Products
image by image would make batches equal, but cost what drawing image by image costs.

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
from pixelcnn.sampling import draw, label_tensor, probabilities, sample_cached
from pixelcnn.sampling.naive import iter_naive

REPEATS = 15
NAIVE_PIXELS = 16


def timed(function):
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


@torch.inference_mode()
def count_equal(model, count):
    """Count pictures, of all classes in turn, that are the same in any batch and by both ways."""
    config, rule, batch = model.config, pixelcnn.SamplingRule(), 16
    of_batch = of_way = 0
    for first in range(0, count, batch):
        images = range(first, min(first + batch, count))
        classes = [image % config.num_classes for image in images] if config.num_classes else None
        noise = pixelcnn.make_noise(config, num_images=len(images), seed=0, first_image=first)
        label = label_tensor(classes, len(images))
        together = sample_cached(model, noise, rule, label)
        for i in range(len(images)):
            here = slice(i, i + 1)
            alone = sample_cached(model, noise[here], rule, None if label is None else label[here])
            of_batch += torch.equal(alone, together[here])
        # The naive sampler draws the same if the whole network would, at every dimension.
        logits = model(together, label).movedim(1, -1).flatten(0, -2).numpy()
        naive = draw(probabilities(logits, rule), noise.ravel()).reshape(noise.shape)
        of_way += int((naive == together.numpy()).all((1, 2, 3)).sum())
    print(f"the same in batches of 1 and {batch}: {of_batch} of {count} pictures")
    print(f"the same cached and naive, in batches of {batch}: {of_way} of {count} pictures")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", nargs="?", default="fashion-mnist-gated")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--equal", type=int, metavar="COUNT", help="compare so many pictures")
    options = parser.parse_args()
    model = pixelcnn.load_model(options.checkpoint)
    config, rule = model.config, pixelcnn.SamplingRule()
    print(
        f"{options.checkpoint}: {model.num_parameters:,} parameters, float32, "
        f"torch {torch.__version__}, {torch.get_num_threads()} threads"
    )
    if options.equal:
        return count_equal(model, options.equal)
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
