"""The commands that measure the checkpoints and keep the numbers beside them."""

import argparse
import shlex
import sys
import time
from collections.abc import Generator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TypeVar

import torch

from pixelcnn.commands.options import add_data_dir
from pixelcnn.data.datasets import DATASETS, dataset_of, load_dataset
from pixelcnn.evaluation.calibration import GROUPS, Calibration, measure_calibration
from pixelcnn.evaluation.model_table import (
    TABLE_PATH,
    ModelRow,
    make_row,
    read_table,
    score_images,
)
from pixelcnn.evaluation.paradox import (
    Paradox,
    describe,
    make_sets,
    measure_paradox,
    other_dataset,
    second_checkpoint,
    set_title,
)
from pixelcnn.evaluation.stored import (
    Measurement,
    is_shipped,
    load_measurement,
    measurement_path,
    save_measurement,
)
from pixelcnn.models import AutoregressiveModel
from pixelcnn.orders import ORDER_NAMES
from pixelcnn.storage import (
    CheckpointInfo,
    checkpoint_path,
    list_checkpoints,
    load_checkpoint,
    read_info,
    save_checkpoint,
    weights_digest,
)

DEFAULT_IMAGES = 500
PRINT_EVERY_SECONDS = 5

Result = TypeVar("Result")


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Add `measure` to the command line."""
    measure = commands.add_parser(
        "measure",
        help="measure what the Measure page shows, and keep it beside the checkpoints",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        description="paradox: bits/dim of the model's own test images, of another data set, and "
        "of flipped, noised and constant images, with the AUROC of three scores. calibration: how "
        "often the level fell inside the model's 50 % and 90 % intervals, and how often what was "
        "predicted happened, on the model's own test images. Both use the first test images.",
    )
    measure.add_argument("what", choices=["paradox", "calibration"])
    measure.add_argument(
        "checkpoint",
        help="name in checkpoints/, run:NAME of a run, or path of a *.safetensors file",
    )
    add_data_dir(measure)
    measure.add_argument("--num-images", type=int, default=DEFAULT_IMAGES, help="of each set")
    measure.add_argument(
        "--second",
        default=None,
        help="paradox: checkpoint of the other data set, for the ratio of the two likelihoods; "
        "if left out, one from checkpoints/ is taken, if there is any",
    )
    measure.add_argument(
        "--output",
        type=Path,
        default=None,
        help="JSON file to write; if left out, one in checkpoints/measurements/, or beside the "
        "checkpoint if that is not in checkpoints/",
    )
    measure.set_defaults(run=run_measure)


def run_measure(options: argparse.Namespace) -> int:
    """Run `measure`: print what was found, and write it as JSON."""
    torch.set_num_threads(1)  # so that the same command does the same work everywhere
    path = checkpoint_path(options.checkpoint)
    model, info = load_checkpoint(path)
    weights = {_name(options.checkpoint, path): weights_digest(path)}
    command = f"python -m pixelcnn measure {options.what} {shlex.quote(str(options.checkpoint))}"
    if options.what == "paradox":
        result, second = _paradox(options, model, info)
        if second is not None:
            name = _name(options.second or second.stem, second)
            weights[name] = weights_digest(second)
            command += f" --second {shlex.quote(name)}"
        _print_paradox(result)
    else:
        result = _calibration(options, model, info)
        _print_calibration(result)
    command += f" --num-images {options.num_images}"
    output = options.output or measurement_path(options.what, options.checkpoint)
    save_measurement(output, Measurement(command, weights, result.to_dict()))
    print(f"wrote {output}")
    return 0


def _name(given: str, path: Path) -> str:
    """Name a checkpoint: its name in `checkpoints/`, else as it was given."""
    return path.stem if is_shipped(path) else given


def _paradox(
    options: argparse.Namespace, model: AutoregressiveModel, info: CheckpointInfo
) -> tuple[Paradox, Path | None]:
    own = _dataset(info, options)
    other = other_dataset(own)
    if options.second is not None:
        second = checkpoint_path(options.second)
    else:
        second = second_checkpoint(info)
    second_model = None
    if second is not None:
        second_model, second_info = load_checkpoint(second)
        if second_info.dataset != other:
            raise ValueError(
                f"`--second` (={second}) learned {second_info.dataset}; it must have learned "
                f"{other}."
            )
    images = [
        _test_images(dataset, options, info.config.num_levels)[0] for dataset in (own, other)
    ]
    sets = make_sets(*images, (own, other), info.config.num_levels)
    return finish(measure_paradox(model, second_model, own, sets)), second


def _calibration(
    options: argparse.Namespace, model: AutoregressiveModel, info: CheckpointInfo
) -> Calibration:
    levels, label = _test_images(_dataset(info, options), options, info.config.num_levels)
    given = label if info.config.num_classes else None
    return finish(measure_calibration(model, levels, given))


def _dataset(info: CheckpointInfo, options: argparse.Namespace) -> str:
    if info.dataset not in DATASETS:
        raise ValueError(
            f"{options.checkpoint}: its data set (={info.dataset!r}) must be one of "
            f"{', '.join(DATASETS)}."
        )
    return info.dataset


def _test_images(
    dataset: str, options: argparse.Namespace, num_levels: int
) -> tuple[torch.Tensor, torch.Tensor]:
    levels, label = load_dataset(dataset, "test", options.data_dir, num_levels=num_levels)
    count = options.num_images
    if not 1 <= count <= len(levels):
        raise ValueError(f"`num_images` (={count}) must be an integer from 1 to {len(levels)}.")
    return levels[:count], label[:count]


def finish(steps: Generator[float, None, Result]) -> Result:
    """Run a work to its end, printing now and then how much is done and how long it takes."""
    started = printed = time.monotonic()
    while True:
        try:
            done = next(steps)
        except StopIteration as stop:
            return stop.value
        now = time.monotonic()
        if now - printed > PRINT_EVERY_SECONDS:
            printed = now
            left = round((now - started) * (1 / done - 1))
            print(f"{done:4.0%}  {left // 60}:{left % 60:02} left", file=sys.stderr, flush=True)


def _print_paradox(paradox: Paradox) -> None:
    for sentence in describe(paradox):
        print(sentence.replace("**", ""))
    print(f"{'AUROC against':28}" + "".join(f"{score:>12}" for score in paradox.scores))
    for name in paradox.others:
        values = "".join(f"{paradox.auroc(score, name):12.3f}" for score in paradox.scores)
        print(f"{set_title(name, paradox.dataset):28}{values}")


def _print_calibration(calibration: Calibration) -> None:
    print(f"{'interval':>10} {'predictions':>14} {'promised':>9} {'observed':>9}")
    for group in GROUPS:
        for nominal, promised, observed in calibration.coverage(group):
            dims = calibration.dims[group]
            print(f"{nominal:>10.0%} {dims:>7,} {group:>6} {promised:9.1%} {observed:9.1%}")
    print(f"{'predicted':>10} {'happened':>10} {'events':>13}")
    for predicted, happened, events in calibration.reliability():
        print(f"{predicted:10.6f} {happened:10.6f} {events:13,}")


def run_table(options: argparse.Namespace) -> int:
    """Run `evaluate --table`: measure checkpoints on their test images and print the table."""
    torch.set_num_threads(1)
    names = [options.checkpoint] if options.checkpoint else list(list_checkpoints())
    if not names:
        raise ValueError("`--table` found no checkpoint.")
    if options.write and options.num_images is not None:
        raise ValueError("`--write` records only results on the whole split.")
    paths = [checkpoint_path(name) for name in names]
    if options.write and not all(map(is_shipped, paths)):
        raise ValueError(
            f"{options.checkpoint}: the table that `--write` keeps is that of checkpoints/; "
            "without `--write` the row is printed."
        )
    rows = [_row(_name(n, path), path, options) for n, path in zip(names, paths, strict=True)]
    print(table_text(rows))
    if options.write:
        stored = load_measurement(TABLE_PATH, read_table)
        new = {row.checkpoint: row for row in rows}
        old = {row.checkpoint: row for row in stored[1]} if stored else {}
        kept = {name: row for name, row in (old | new).items() if name in list_checkpoints()}
        table = [kept[name] for name in sorted(kept)]
        measurement = Measurement(
            "python -m pixelcnn evaluate --table --write",
            {row.checkpoint: row.weights for row in table},
            {"rows": [asdict(row) for row in table]},
        )
        save_measurement(TABLE_PATH, measurement)
        print(f"wrote {TABLE_PATH}")
    return 0


def _row(name: str, path: Path, options: argparse.Namespace) -> ModelRow:
    model, info = load_checkpoint(path)
    if info.dataset is None:
        raise ValueError(f"{path}: does not say which data set it learned.")
    levels, label = load_dataset(
        info.dataset, "test", options.data_dir, num_levels=info.config.num_levels
    )
    count = len(levels) if options.num_images is None else options.num_images
    if not 1 <= count <= len(levels):
        raise ValueError(f"`num_images` (={count}) must be an integer from 1 to {len(levels)}.")
    print(f"{name}: {count:,} test images of {dataset_of(info.dataset).title}", flush=True)
    scores = finish(score_images(model, levels[:count], label[:count]))
    if options.write:
        measured = read_info(path).bits_per_dim | {"test": scores.double().mean().item()}
        save_checkpoint(path, model, replace(info, bits_per_dim=measured))
    return make_row(name, weights_digest(path), model, info, scores)


def table_text(rows: list[ModelRow]) -> str:
    """Lay the table out as text; a star marks the mean over several orders."""
    head = ("checkpoint", "test bits/dim", "parameters", "past seen", "one picture", "each of 16")
    lines = [
        (
            row.checkpoint,
            f"{row.test_bits_per_dim:.4f}" + ("*" if row.num_orders > 1 else ""),
            f"{row.num_parameters:,}",
            f"{row.past_seen:.1%}",
            f"{row.seconds_one:.3f} s",
            f"{row.seconds_of_16:.3f} s",
        )
        for row in rows
    ]
    widths = [max(len(line[i]) for line in [head, *lines]) for i in range(len(head))]
    text = [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in [head, *lines]
    ]
    for row in rows:
        if row.num_orders > 1:
            text += [f"{row.checkpoint} in each order, and the ensemble of all:"]
            text += [
                f"  {score:.4f}  {name}"
                for name, score in zip(ORDER_NAMES, row.order_bits_per_dim, strict=True)
            ]
            text += [f"  {row.ensemble_bits_per_dim:.4f}  ensemble"]
    return "\n".join(text)
