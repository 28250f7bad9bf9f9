"""How well, how surely and how quickly are drawings completed?

    python benchmarks/completion.py bits DATASET [--num-images 200]
    python benchmarks/completion.py weights DATASET [--num-images 10]
    python benchmarks/completion.py sketches DATASET [--num-images 100]
    python benchmarks/completion.py drawings
    python benchmarks/completion.py time CHECKPOINT [--repeats 5]

DATASET is fashion-mnist or mnist; the models are DATASET-complete and, without its evidence, the
gated model that it began with. `bits`, `weights` and `sketches` need the data.

- `bits`: mean bits of the held-back pixels of test images, the class told, for five kinds of
  evidence: when each is predicted from all evidence (learned), and when evidence that comes later
  is not known (what prefix, clamping and particles draw from). For halves also by the model of
  eight orders, exact: in one that reads the known half last, and in one that reads it first.
- `weights`: what particles are worth with the conditioned model as their proposal, and without:
  the estimate of log2 p(known), the effective number of pictures begun, and how many of 16 differ.
- `sketches`: test images drawn by a made-up unsteady hand, completed without and with their class,
  and without the twist; the share of completions of which a classifier, trained on real images,
  finds the class, and how much of their shape they share with the image.
- `drawings`: the challenges of the Complete page and their completions, as a click there draws
  them: the class is told. It makes the sheet of the README, and the small pictures that the page
  shows, and prints which class the model guesses. Run it after a change of the shipped models.
- `time`: seconds as the Complete page computes them, without a browser: until an unknown pixel can
  be shown, of the longest single answer, until all is drawn and summed up; medians.
"""

import argparse
import math
import os
import statistics
import time

import numpy as np
import torch

import pixelcnn
from pixelcnn.completion.known import choose_order, is_prefix
from pixelcnn.completion.log_prob import iter_log_prob_map
from pixelcnn.data.datasets import class_names, load_dataset
from pixelcnn.data.pictures import enlarge, grid, pictures, png_bytes
from pixelcnn.evaluation.class_accuracy import recognised, train_classifier
from pixelcnn.evaluation.likelihoods import nll_nats
from pixelcnn.files import write_atomically
from pixelcnn.models import Evidence
from pixelcnn.orders import to_raster
from pixelcnn.progress import drain
from pixelcnn.training.evidence import sketches
from pixelcnn.ui.complete.challenges import CHALLENGES, PICTURES
from pixelcnn.ui.complete.run import CompletionRun, Request
from pixelcnn.ui.shared.sketch import given

KINDS = ("upper-half", "lower-half", "left-half", "around-box", "random-half")
SIDE, PER_PASS = 28, 20
STROKES = np.array([255, 136, 40], np.uint8)
"""The colour of strokes, as on the canvas."""


def test_images(dataset: str, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The first images of the test set, and their classes."""
    levels, label = load_dataset(dataset, "test")
    return levels[:count].long(), label[:count]


def model_of(dataset: str) -> pixelcnn.Model:
    """The conditioned model of a data set."""
    return pixelcnn.load_model(f"{dataset}-complete")


@torch.inference_mode()
def bits(options: argparse.Namespace) -> None:
    """Compare what is predicted with all evidence and with the earlier pixels alone."""
    model = model_of(options.dataset)
    several = pixelcnn.load_model(f"{options.dataset}-orders")
    levels, label = test_images(options.dataset, options.num_images)
    print(
        "known        learned   without later evidence   eight orders: known last, first   (bits)"
    )
    for kind in KINDS:
        totals = []
        known = pixelcnn.occlusion(kind, SIDE, SIDE)
        for start in range(0, len(levels), PER_PASS):
            part = levels[start : start + PER_PASS], label[start : start + PER_PASS]
            masks = known.expand(len(part[0]), -1, -1, -1)
            told = model.given(Evidence(part[0], masks, torch.zeros_like(masks)))
            for one in (told, model):
                nats = nll_nats(one(*part), part[0]) * ~known
                totals.append(float(nats.sum()))
        hidden = len(levels) * int((~known).sum()) * math.log(2)
        learned, without = sum(totals[::2]) / hidden, sum(totals[1::2]) / hidden
        found = exact_bits(several, levels, label, known) or "cannot read it first"
        print(f"{kind:11s}  {learned:7.3f}   {without:22.3f}   {found}", flush=True)


def exact_bits(
    model: pixelcnn.Model, levels: torch.Tensor, label: torch.Tensor, known: torch.Tensor
) -> str:
    """Mean bits of the held-back pixels where known ones are read last, and first; or ""."""
    found = []
    for first in (~known[0], known[0]):
        order = choose_order(first, model.config, None)
        if not is_prefix(first, order):
            return ""
        orders = torch.full((len(levels),), order)
        log_prob = drain(iter_log_prob_map(model, to_raster(levels, order), label, orders))
        hidden = ~to_raster(known[0, 0], order)
        found.append(-float(log_prob[..., hidden].mean()) / math.log(2))
    return ", ".join(f"{bits:.3f}" for bits in found)


def weights(options: argparse.Namespace) -> None:
    """Compare particles with and without the proposal."""
    model = model_of(options.dataset)
    levels, label = test_images(options.dataset, options.num_images)
    print("known        method     log2 p(known)   pictures begun, by weight   distinct of 16")
    for kind in KINDS[1:]:
        known = pixelcnn.occlusion(kind, SIDE, SIDE)
        for method in ("weighed", "particles"):
            found = []
            for picture, one in zip(levels, label, strict=True):
                report = pixelcnn.complete(
                    model, picture[None], known, method=method, label=int(one), num_images=16
                ).particles[0]
                found.append(
                    (
                        report.log_evidence / math.log(2),
                        report.effective_beginnings,
                        report.num_distinct,
                    )
                )
            log_p, begun, distinct = np.mean(found, 0)
            print(f"{kind:11s}  {method:9s}  {log_p:13.1f}   {begun:24.2f}   {distinct:14.1f}")


def sketches_of(options: argparse.Namespace) -> None:
    """Complete sketches of test images, and look whether their class is recognised."""
    model = model_of(options.dataset)
    levels, label = test_images(options.dataset, options.num_images)
    train_split = load_dataset(options.dataset, "train")
    classifier = drain(train_classifier(*train_split, num_levels=256, num_classes=10))
    torch.manual_seed(0)
    hints, ink = sketches(levels, model.config.num_levels, whole=True)
    nothing = torch.zeros_like(hints)
    twist = model.encoder.twist
    for told, model.encoder.twist in ((False, twist), (True, twist), (True, None)):
        right, distinct, guessed, shared = [], [], [], []
        for i, true in enumerate(label.tolist()):
            drawing = Evidence(ink[i : i + 1], nothing[i : i + 1], hints[i : i + 1])
            posterior = pixelcnn.class_posterior(model, *drawing)
            guessed.append(int(posterior.probabilities.argmax()) == true)
            asked = true if told else posterior.draw(16, seed=i)
            shown = completed(model, drawing, label=asked, seed=i)
            right.append(recognised(classifier, shown, torch.full((16,), true)).double().mean())
            distinct.append(len(torch.unique(shown, dim=0)))
            shared.append(overlap(shown, levels[i]))
        print(
            f"{options.dataset}, class {'told' if told else 'untold'}, "
            f"{'with' if model.judges_hints else 'without'} a twist: recognised "
            f"{100 * float(np.mean(right)):.1f} % of {16 * len(right)} completions, at least "
            f"{min(distinct)} of 16 differ, encoder's best guess right for "
            f"{100 * float(np.mean(guessed)):.0f} % of the sketches, shape shared with the image "
            f"{100 * float(np.mean(shared)):.1f} %",
            flush=True,
        )


def overlap(pictures: torch.Tensor, image: torch.Tensor) -> float:
    """Mean share of bright pixels that pictures (n, 1, H, W) have in common with an image.

    Intersection over union of what is brighter than a quarter of the range.
    """
    theirs, its = pictures > 64, image > 64
    both, either = (x.sum((1, 2, 3)) for x in (theirs & its, theirs | its))
    return float((both / either.clamp(min=1)).mean())


def completed(
    model: pixelcnn.Model, drawing: Evidence, num_images: int = 16, **settings: object
) -> torch.Tensor:
    """Complete one drawing: int64 (num_images, 1, H, W)."""
    scan = pixelcnn.begin_completion(model, *drawing, num_images=num_images, **settings)
    while not scan.done:
        scan.step()
    return scan.levels


def drawings(options: argparse.Namespace) -> None:
    """Draw the challenges and their completions, into checkpoints/pictures/."""
    sheet, small = [], []
    for challenge in CHALLENGES:
        model, sketch = model_of(challenge.dataset), challenge.sketch()
        evidence = sketch.evidence(exactly=False)
        shown = pictures(completed(model, evidence, label=challenge.label), 256)
        sheet += [*sketch.level, *shown]
        strokes = sketch.known[:, :, None] * STROKES
        small += [strokes, *(picture[:, :, None].repeat(3, 2) for picture in shown[:2])]
        posterior = pixelcnn.class_posterior(model, *evidence)
        names = class_names(challenge.dataset, model.config.num_classes)
        best = int(posterior.probabilities.argmax())
        print(
            f"{challenge.title}: meant {names[challenge.label]}, guessed {names[best]} "
            f"({100 * float(posterior.probabilities[best]):.0f} %)",
            flush=True,
        )
    write_atomically(PICTURES.with_name("drawings.png"), png_bytes(enlarge(grid(sheet, 17), 2)))
    write_atomically(PICTURES, png_bytes(grid(small, 3)))


QUESTIONS = (
    # What is known, method, completions, particles, seconds allowed: first, all
    ("a sketch", "learned", 16, 0, 1.0, 3.0),
    ("lower-half", "learned", 16, 0, 1.0, 3.0),
    ("upper-half", "prefix", 16, 0, 1.0, 3.0),
    ("lower-half", "weighed", 16, 64, 1.0, 20.0),
    ("lower-half", "particles", 16, 64, 1.0, 10.0),
)


def measure(run: CompletionRun) -> tuple[float, float, float]:
    """Pull as the browser does; return seconds: first unknown pixel, longest answer, the end."""
    started = now = time.perf_counter()
    first, longest = None, 0.0
    while not run.done:
        run.answer_pull(run.run, run.serial)
        run.message()
        before, now = now, time.perf_counter()
        longest = max(longest, now - before)
        if first is None and run.count > run.first:
            first = now - started
    return first, longest, now - started


def seconds(options: argparse.Namespace) -> None:
    """Measure as the page computes."""
    torch.set_num_threads(1)  # as in the app
    model = pixelcnn.load_model(options.checkpoint)
    config = model.config
    names = class_names(None, config.num_classes)
    samples = pixelcnn.sample(model, num_images=options.repeats, seed=0).numpy()
    print(
        f"{options.checkpoint}: {model.num_parameters:,} parameters, {os.cpu_count()} processors, "
        f"torch {torch.__version__}"
    )
    print(
        "known       method     completions  particles  first  allowed  longest      all  allowed"
    )
    for left, method, num_images, num_particles, first_allowed, all_allowed in QUESTIONS:
        if method in ("learned", "weighed") and not model.reads_evidence:
            continue
        found = []
        for seed, picture in enumerate(samples):
            if left == "a sketch":
                sketch, exactly = CHALLENGES[seed % len(CHALLENGES)].sketch(), False
            else:
                known = pixelcnn.occlusion(left, config.height, config.width)[0, 0].numpy()
                sketch, exactly = given(picture, config.num_levels).covered(known), True
            request = Request(
                options.checkpoint, method, num_images=num_images, num_particles=num_particles,
                seed=seed, exactly=exactly,
            )  # fmt: skip
            found.append(measure(CompletionRun(model, sketch, request, names)))
        first, longest, everything = (statistics.median(t) for t in zip(*found, strict=True))
        print(
            f"{left:10s}  {method:9s}  {num_images:11d}  {num_particles:9d}  {first:4.2f} s"
            f"  {first_allowed:5.1f} s  {longest:5.2f} s"
            f"  {everything:5.2f} s  {all_allowed:5.1f} s",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    for run, name, count in (
        (bits, "bits", 200), (weights, "weights", 10), (sketches_of, "sketches", 100)
    ):  # fmt: skip
        command = commands.add_parser(name, help=run.__doc__)
        command.add_argument("dataset", choices=("fashion-mnist", "mnist"))
        command.add_argument("--num-images", type=int, default=count)
        command.set_defaults(run=run)
    command = commands.add_parser("drawings", help=drawings.__doc__)
    command.set_defaults(run=drawings)
    command = commands.add_parser("time", help=seconds.__doc__)
    command.add_argument("checkpoint", nargs="?", default="fashion-mnist-complete")
    command.add_argument("--repeats", type=int, default=5)
    command.set_defaults(run=seconds)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
