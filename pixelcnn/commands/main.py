"""The command line: train, estimate, images, sample, evaluate, check."""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from pixelcnn.commands.measure import add_commands as add_measure_commands
from pixelcnn.commands.measure import finish, run_table
from pixelcnn.commands.options import add_data_dir, add_fields, given
from pixelcnn.commands.train import add_commands as add_training_commands
from pixelcnn.config import SamplingRule
from pixelcnn.data.datasets import DataError, class_names, load_dataset
from pixelcnn.data.own_images import ImageSetError
from pixelcnn.durations import clock
from pixelcnn.evaluation.likelihoods import ensemble_bits_per_dim
from pixelcnn.evaluation.model_table import score_images
from pixelcnn.evaluation.stored import MeasurementError
from pixelcnn.models import AutoregressiveModel
from pixelcnn.orders import ORDER_NAMES
from pixelcnn.storage import (
    CheckpointError,
    checkpoint_path,
    load_checkpoint,
    read_info,
    save_checkpoint,
    write_atomically,
)
from pixelcnn.training.engine import TrainingError
from pixelcnn.training.runs import RunError

EXPECTED = (
    ValueError, OSError, CheckpointError, DataError, ImageSetError, MeasurementError, RunError,
    TrainingError,
)  # fmt: skip
"""What bad input, missing files and a failed training end with: said in one line."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status (0 fine, 1 failed check, 2 bad input)."""
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except EXPECTED as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pixelcnn",
        description="Train a PixelCNN, draw pictures, score them, and prove that it is causal.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n"
        "  python -m pixelcnn sample fashion-mnist-gated --label 9 --output boots.png\n"
        "  python -m pixelcnn check fashion-mnist-gated\n"
        "  python -m pixelcnn train mine --dataset mnist --total-images 20000\n"
        "  python -m pixelcnn evaluate run:mine --split test\n"
        "  python -m pixelcnn evaluate --table\n"
        "  python -m pixelcnn measure paradox fashion-mnist-gated",
    )
    commands = parser.add_subparsers(required=True, metavar="command")

    add_training_commands(commands)

    sample = commands.add_parser(
        "sample",
        help="draw pictures",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        description="Draw pictures and write them side by side as one PNG or GIF. Seed and "
        "index fix a picture: image 3 of 16 is the same as image 3 of 4.",
    )
    _add_checkpoint(sample)
    sample.add_argument(
        "--output", type=Path, default=Path("sample.png"), help="PNG, or GIF to see it drawn"
    )
    sample.add_argument("--num-images", type=int, default=16, help="pictures, 1 to 1024")
    sample.add_argument("--columns", type=int, default=None, help="pictures in a row")
    sample.add_argument("--scale", type=int, default=4, help="screen pixels per pixel, 1 to 32")
    sample.add_argument("--seed", type=int, default=0, help="fixes the noise")
    sample.add_argument("--label", type=int, default=None, help="class; any class if left out")
    sample.add_argument(
        "--class-per-row", action="store_true", help="row r shows class r, in turn"
    )
    sample.add_argument("--method", choices=["cached", "naive"], default="cached", help="sampler")
    add_fields(sample, SamplingRule)
    sample.set_defaults(run=_sample)

    evaluate = commands.add_parser(
        "evaluate",
        help="score a model in bits/dim",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        description="Compute the mean bits/dim of a split of the model's data set. Use the "
        "validation split for every choice, the test split once, at the end. A model of eight "
        "raster orders is scored in each of them, and as the ensemble of all.",
    )
    _add_checkpoint(evaluate, nargs="?")
    add_data_dir(evaluate)
    evaluate.add_argument("--split", choices=["validation", "test"], default="validation")
    evaluate.add_argument("--num-images", type=int, default=None, help="only the first N images")
    evaluate.add_argument(
        "--write",
        action="store_true",
        help="record the result in the checkpoint; with --table also beside it, for the app",
    )
    evaluate.add_argument(
        "--table",
        action="store_true",
        help="instead: the table of all checkpoints in checkpoints/, or of the one named: test "
        "bits/dim, parameters, share of the past that is seen, seconds to draw a picture",
    )
    evaluate.add_argument(
        "--class-accuracy",
        action="store_true",
        help="instead: train a plain classifier on the real training images and report how often "
        "it recognises the class that a drawn picture was asked for (default: 1000 pictures)",
    )
    evaluate.add_argument("--seed", type=int, default=0, help="fixes the drawn pictures")
    evaluate.add_argument(
        "--temperature", type=float, default=1.0, help="temperature of the drawn pictures"
    )
    evaluate.set_defaults(run=_evaluate)

    add_measure_commands(commands)

    check = commands.add_parser(
        "check",
        help="prove that no pixel sees the future",
        description="Compute the Jacobian of the prediction at every pixel with respect to every "
        "pixel and report the largest dependence on the pixel itself and later ones (must be "
        "exactly 0), and the share of the past that is seen.",
    )
    _add_checkpoint(check)
    check.set_defaults(run=_check)
    return parser


def _add_checkpoint(parser: argparse.ArgumentParser, nargs: str | None = None) -> None:
    parser.add_argument(
        "checkpoint",
        nargs=nargs,
        help="name in checkpoints/, run:NAME of a run, or path of a *.safetensors file",
    )


def _sample(options: argparse.Namespace) -> int:
    from pixelcnn.data.pictures import animated_sheet, png_bytes, sheet
    from pixelcnn.sampling import sample

    for name, low, high in (("num_images", 1, 1024), ("scale", 1, 32), ("columns", 1, 1024)):
        value = getattr(options, name)
        if value is not None and not low <= value <= high:
            raise ValueError(f"`{name}` (={value}) must be an integer from {low} to {high}.")
    model, info = load_checkpoint(checkpoint_path(options.checkpoint))
    columns = options.columns or int(np.ceil(np.sqrt(options.num_images)))
    label: int | list[int] | None = options.label
    if options.class_per_row:
        if label is not None:
            raise ValueError("`--label` and `--class-per-row` exclude each other.")
        classes = info.config.num_classes
        if classes == 0:
            raise ValueError("`--class-per-row` needs a model with classes; this one has none.")
        label = [(i // columns) % classes for i in range(options.num_images)]
    started = time.monotonic()
    levels = sample(
        model,
        num_images=options.num_images,
        seed=options.seed,
        rule=SamplingRule(**given(options, SamplingRule)),
        label=label,
        method=options.method,
    )
    seconds = time.monotonic() - started
    layout = {"columns": columns, "scale": options.scale}
    if options.output.suffix.lower() == ".gif":
        content = animated_sheet(levels, info.config.num_levels, **layout)
    else:
        content = png_bytes(sheet(levels, info.config.num_levels, **layout))
    write_atomically(options.output, content)
    print(f"wrote {options.output}: {options.num_images} pictures in {seconds:.2f} s")
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    if options.table:
        return run_table(options)
    if options.checkpoint is None:
        raise ValueError("Name a checkpoint, or give `--table` for all of them.")
    path = checkpoint_path(options.checkpoint)
    model, info = load_checkpoint(path)
    if info.dataset is None:
        raise ValueError(f"{path}: does not say which data set it learned.")
    if options.class_accuracy:
        return _class_accuracy(options, model, info.dataset)
    levels, label = load_dataset(
        info.dataset, options.split, options.data_dir, num_levels=info.config.num_levels
    )
    count = len(levels) if options.num_images is None else options.num_images
    if not 1 <= count <= len(levels):
        raise ValueError(f"`num_images` (={count}) must be an integer from 1 to {len(levels)}.")
    if options.write and count != len(levels):
        raise ValueError("`--write` records only results on the whole split.")
    scores = finish(score_images(model, levels[:count], label[:count]))
    mean = scores.double().mean().item()
    if info.config.num_orders > 1:
        for name, score in zip(ORDER_NAMES, scores.double().mean(0).tolist(), strict=True):
            print(f"{name:42} {score:.4f} bits/dim")
        ensemble = ensemble_bits_per_dim(scores.double(), info.config.num_dims).mean()
        print(f"{'ensemble of the eight orders':42} {ensemble:.4f} bits/dim")
    print(
        f"{info.dataset} {options.split}: {mean:.4f} bits/dim "
        f"({info.config.num_levels} levels, {count:,} images, {model.num_parameters:,} parameters)"
    )
    if options.write:
        scores = read_info(path).bits_per_dim | {options.split: mean}
        save_checkpoint(path, model, replace(info, bits_per_dim=scores))
    return 0


def _class_accuracy(options: argparse.Namespace, model: AutoregressiveModel, dataset: str) -> int:
    from pixelcnn.evaluation.class_accuracy import (
        draw_every_class,
        recognised,
        share_by_class,
        train_classifier,
    )

    c = model.config
    names = class_names(dataset, c.num_classes)
    count = 1000 if options.num_images is None else options.num_images
    if not 1 <= count <= 100_000:
        raise ValueError(f"`num_images` (={count}) must be an integer from 1 to 100000.")
    train, test = (
        load_dataset(dataset, split, options.data_dir, num_levels=c.num_levels)
        for split in ("train", "test")
    )
    rule = SamplingRule(temperature=options.temperature)
    drawn = draw_every_class(model, count, seed=options.seed, rule=rule)
    first = next(drawn)  # a model without classes is refused before the classifier is trained
    started = printed = time.monotonic()
    for progress in train_classifier(*train, num_levels=c.num_levels, num_classes=c.num_classes):
        if time.monotonic() - printed > 5:
            printed = time.monotonic()
            left = (printed - started) * (1 / progress.done - 1)
            print(f"classifier {progress.done:4.0%} trained  {clock(left)} left", flush=True)
    levels, label = (torch.cat(parts) for parts in zip(first, *drawn, strict=True))
    shares = []
    for images in ((levels, label), test):
        right = recognised(progress.classifier, *images)
        by_class = share_by_class(right, images[1], c.num_classes)
        shares.append([*by_class, right.double().mean().item()])
    print(f"{'class':14} {'drawn':>7} {'real':>7}")
    for name, drawn_share, real_share in zip([*names, "all"], *shares, strict=True):
        print(f"{name:14} {drawn_share:7.1%} {real_share:7.1%}")
    print(
        f"recognised as the class asked for: {count:,} pictures drawn at temperature "
        f"{options.temperature:g}, {len(test[0]):,} real test images"
    )
    return 0


def _check(options: argparse.Namespace) -> int:
    from pixelcnn.inspection.receptive_field import check_causality

    model, info = load_checkpoint(checkpoint_path(options.checkpoint))
    report = check_causality(model, positions=range(info.config.height * info.config.width))
    print(report.text)
    return 0 if report.is_causal else 1
