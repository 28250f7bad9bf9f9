"""The command that scores models: bits/dim, class accuracy, the table of all checkpoints."""

import argparse
from pathlib import Path

import torch
from torch import Tensor

from pixelcnn.commands.options import add_checkpoint, add_data_dir, check_count, finish
from pixelcnn.config import SamplingRule
from pixelcnn.data.datasets import class_names, dataset_of, load_dataset
from pixelcnn.evaluation.class_accuracy import (
    draw_every_class,
    recognised,
    share_by_class,
    train_classifier,
)
from pixelcnn.evaluation.likelihoods import ensemble_bits_per_dim
from pixelcnn.evaluation.model_table import TABLE_PATH, ModelRow, Table, make_row, score_images
from pixelcnn.evaluation.stored import StoredNumbers, is_shipped, load_numbers, save_numbers
from pixelcnn.models import Model
from pixelcnn.orders import ORDER_NAMES
from pixelcnn.storage import (
    checkpoint_path,
    list_scored_checkpoints,
    load_checkpoint,
    read_info,
    save_checkpoint,
    weights_digest,
)


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Add `evaluate`."""
    parser = commands.add_parser(
        "evaluate",
        help="score a model in bits/dim",
        description="Compute the mean bits/dim of a split of the model's data set. Use the "
        "validation split for every choice, the test split once, at the end. A model of eight "
        "raster orders is scored in each of them, and as the ensemble of all.",
    )
    add_checkpoint(parser, nargs="?")
    add_data_dir(parser)
    parser.add_argument("--split", choices=["validation", "test"], default="validation")
    parser.add_argument("--num-images", type=int, default=None, help="only the first N images")
    parser.add_argument(
        "--write",
        action="store_true",
        help="record the result in the checkpoint; with --table also beside it, for the app",
    )
    parser.add_argument(
        "--table",
        action="store_true",
        help="instead: the table of all checkpoints in checkpoints/, or of the one named: test "
        "bits/dim, parameters, share of the past that is seen, seconds to draw a picture",
    )
    parser.add_argument(
        "--class-accuracy",
        action="store_true",
        help="instead: train a plain classifier on the real training images and report how often "
        "it recognises the class that a drawn picture was asked for (default: 1000 pictures)",
    )
    parser.add_argument("--seed", type=int, default=0, help="fixes the drawn pictures")
    parser.add_argument(
        "--temperature", type=float, default=1.0, help="temperature of the drawn pictures"
    )
    parser.set_defaults(run=run_evaluate)


def run_evaluate(options: argparse.Namespace) -> int:
    """Score, print, and write if asked to; returns 0."""
    if options.table:
        _table(options)
    elif options.checkpoint is None:
        raise ValueError("Name a checkpoint, or give `--table` for all of them.")
    else:
        path = checkpoint_path(options.checkpoint)
        score = _class_accuracy if options.class_accuracy else _bits_per_dim
        score(options, path, *_load(path))
    return 0


def _load(path: Path) -> tuple[Model, str]:
    """Load a model and the name of its data set."""
    model, info = load_checkpoint(path)
    if info.dataset is None:
        raise ValueError(f"{path}: does not say which data set it learned.")
    return model, info.dataset


def _bits_per_dim(options: argparse.Namespace, path: Path, model: Model, dataset: str) -> None:
    scores = _scores(model, dataset, options.split, options)
    mean, c = scores.mean().item(), model.config
    if c.num_orders > 1:
        ensemble = ensemble_bits_per_dim(scores, c.num_dims).mean().item()
        _print_orders(scores.mean(0).tolist(), ensemble)
    print(
        f"{dataset} {options.split}: {mean:.4f} bits/dim "
        f"({c.num_levels} levels, {len(scores):,} images, {model.num_parameters:,} parameters)"
    )
    if options.write:
        _record(path, model, options.split, mean)


def _scores(model: Model, dataset: str, split: str, options: argparse.Namespace) -> Tensor:
    """Score images of a split in every order that the model knows: float64 (N, num_orders)."""
    num_levels = model.config.num_levels
    levels, label = load_dataset(dataset, split, options.data_dir, num_levels=num_levels)
    count = len(levels)
    if options.num_images is not None:
        count = check_count("num_images", options.num_images, count)
    if options.write and count != len(levels) and not options.table:
        raise ValueError("`--write` records only results on the whole split.")
    return finish(score_images(model, levels[:count], label[:count])).double()


def _record(path: Path, model: Model, split: str, bits_per_dim: float) -> None:
    info = read_info(path)
    info.bits_per_dim[split] = bits_per_dim
    save_checkpoint(path, model, info)


def _class_accuracy(options: argparse.Namespace, _: Path, model: Model, dataset: str) -> None:
    c = model.config
    wanted = 1000 if options.num_images is None else options.num_images
    count = check_count("num_images", wanted, 100_000)
    train, test = (
        load_dataset(dataset, split, options.data_dir, num_levels=c.num_levels)
        for split in ("train", "test")
    )
    rule = SamplingRule(temperature=options.temperature)
    drawn = draw_every_class(model, count, options.seed, rule)
    first = next(drawn)  # a model without classes is refused before the classifier is trained
    classifier = finish(
        train_classifier(*train, num_levels=c.num_levels, num_classes=c.num_classes), "classifier "
    )
    levels, label = (torch.cat(parts) for parts in zip(first, *drawn, strict=True))
    shares = []
    for images in ((levels, label), test):
        right = recognised(classifier, *images)
        by_class = share_by_class(right, images[1], c.num_classes)
        shares.append([*by_class, right.double().mean().item()])
    print(f"{'class':14} {'drawn':>7} {'real':>7}")
    names = [*class_names(dataset, c.num_classes), "all"]
    for name, drawn_share, real_share in zip(names, *shares, strict=True):
        print(f"{name:14} {drawn_share:7.1%} {real_share:7.1%}")
    print(
        f"recognised as the class asked for: {count:,} pictures drawn at temperature "
        f"{options.temperature:g}, {len(test[0]):,} real test images"
    )


def _table(options: argparse.Namespace) -> None:
    """Measure checkpoints on their test images and print the table."""
    torch.set_num_threads(1)
    names = [options.checkpoint] if options.checkpoint else list(list_scored_checkpoints())
    if not names:
        raise ValueError("`--table` found no checkpoint.")
    paths = [checkpoint_path(name) for name in names]
    if options.write and not all(map(is_shipped, paths)):
        raise ValueError(
            f"{options.checkpoint}: the table that `--write` keeps is that of checkpoints/; "
            "without `--write` the row is printed."
        )
    rows = []
    for name, path in zip(names, paths, strict=True):
        model, dataset = _load(path)
        print(f"{name}: test images of {dataset_of(dataset).title}", flush=True)
        scores = _scores(model, dataset, "test", options)
        if options.write and options.num_images is None:  # the table says of how many images
            _record(path, model, "test", scores.mean().item())
        name = path.stem if is_shipped(path) else name
        rows.append(make_row(name, weights_digest(path), model, read_info(path), scores))
    _print_table(rows)
    if options.write:  # into the table that the app shows
        stored = load_numbers(TABLE_PATH, Table)
        every = {row.checkpoint: row for row in [*(stored.values.rows if stored else ()), *rows]}
        rows = [every[name] for name in list_scored_checkpoints() if name in every]
        weights = {row.checkpoint: row.weights for row in rows}
        command = "python -m pixelcnn evaluate --table --write"
        numbers = StoredNumbers(command=command, weights=weights, values=Table(rows))
        save_numbers(TABLE_PATH, numbers)
        print(f"wrote {TABLE_PATH}")


def _print_table(rows: list[ModelRow]) -> None:
    """Print the table; a star marks the mean over several orders."""
    print(
        f"{'checkpoint':24} {'test bits/dim':>14} {'parameters':>11} {'past seen':>10} "
        f"{'one picture':>12} {'each of 16':>11}"
    )
    for row in rows:
        bits = f"{row.test_bits_per_dim:.4f}" + ("*" if row.num_orders > 1 else "")
        print(
            f"{row.checkpoint:24} {bits:>14} {row.num_parameters:11,} {row.past_seen:10.1%} "
            f"{row.seconds_one:10.3f} s {row.seconds_of_16:9.3f} s"
        )
    for row in rows:
        if row.num_orders > 1:
            print(f"{row.checkpoint} in each order, and the ensemble of all:")
            _print_orders(row.order_bits_per_dim, row.ensemble_bits_per_dim)


def _print_orders(scores: list[float], ensemble: float) -> None:
    for name, score in zip(ORDER_NAMES, scores, strict=True):
        print(f"{name:42} {score:.4f} bits/dim")
    print(f"{'ensemble of the eight orders':42} {ensemble:.4f} bits/dim")
