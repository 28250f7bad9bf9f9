"""The commands that measure the checkpoints and keep the numbers beside them."""

import argparse
import shlex
from pathlib import Path

import torch
from torch import Tensor

from pixelcnn.commands.options import add_checkpoint, add_data_dir, check_count, finish
from pixelcnn.data.datasets import DATASETS, load_dataset
from pixelcnn.evaluation.calibration import GROUPS, Calibration, measure_calibration
from pixelcnn.evaluation.family import Member, another_of_each_class, measure_member
from pixelcnn.evaluation.paradox import (
    Paradox,
    describe,
    make_sets,
    measure_paradox,
    other_dataset,
    second_checkpoint,
    set_title,
)
from pixelcnn.evaluation.stored import StoredNumbers, is_shipped, numbers_path, save_numbers
from pixelcnn.files import as_path
from pixelcnn.models import Model
from pixelcnn.storage import CheckpointInfo, checkpoint_path, load_checkpoint, weights_digest

NUM_IMAGES, FAMILY_IMAGES = 500, 10


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Add `measure`."""
    measure = commands.add_parser(
        "measure",
        help="measure what the app shows, and keep it beside the checkpoints",
        description="paradox: bits/dim of the model's own test images, of another data set, and "
        "of flipped, noised and constant images, with the AUROC of three scores. calibration: how "
        "often the level fell inside the model's 50 % and 90 % intervals, and how often what was "
        "predicted happened, on the model's own test images. family: how far the model looks, and "
        "what it costs. All use the first test images.",
    )
    measure.add_argument("what", choices=["paradox", "calibration", "family"])
    add_checkpoint(measure)
    add_data_dir(measure)
    measure.add_argument(
        "--num-images",
        type=int,
        default=None,
        help=f"of each set; if left out {NUM_IMAGES}, for the family {FAMILY_IMAGES}",
    )
    measure.add_argument(
        "--second",
        default=None,
        help="paradox: checkpoint of the other data set, for the ratio of the two likelihoods; "
        "if left out, one from checkpoints/ is taken, if there is any",
    )
    measure.add_argument(
        "--output",
        type=as_path,
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
    if info.dataset not in DATASETS:
        raise ValueError(
            f"{options.checkpoint}: its data set (={info.dataset!r}) must be one of "
            f"{', '.join(DATASETS)}."
        )
    if options.num_images is None:
        options.num_images = FAMILY_IMAGES if options.what == "family" else NUM_IMAGES
    weights = {_name(options.checkpoint, path): weights_digest(path)}
    command = f"python -m pixelcnn measure {options.what} {shlex.quote(str(options.checkpoint))}"
    if options.what == "paradox":
        result, second = _paradox(options, model, info)
        if second is not None:
            name = _name(options.second or second.stem, second)
            weights[name] = weights_digest(second)
            command += f" --second {shlex.quote(name)}"
        _print_paradox(result)
    elif options.what == "family":
        result = _family(options, model, info)
        _print_member(result)
    else:
        images = _test_images(info.dataset, options, model)
        levels, label = (part[: options.num_images] for part in images)
        given = label if info.config.num_classes else None
        result = finish(measure_calibration(model, levels, given))
        _print_calibration(result)
    command += f" --num-images {options.num_images}"
    output = options.output or numbers_path(options.what, options.checkpoint)
    save_numbers(output, StoredNumbers(command=command, weights=weights, values=result))
    print(f"wrote {output}")
    return 0


def _name(given: str, path: Path) -> str:
    """Name a checkpoint: its name in `checkpoints/`, else as it was given."""
    return path.stem if is_shipped(path) else given


def _paradox(
    options: argparse.Namespace, model: Model, info: CheckpointInfo
) -> tuple[Paradox, Path | None]:
    names = (info.dataset, other_dataset(info.dataset))
    second = checkpoint_path(options.second) if options.second else second_checkpoint(info)
    second_model = None
    if second is not None:
        second_model, second_info = load_checkpoint(second)
        if second_info.dataset != names[1]:
            raise ValueError(
                f"`--second` (={second}) learned {second_info.dataset}; it must have learned "
                f"{names[1]}."
            )
    images = (_test_images(name, options, model)[0] for name in names)
    own, other = (part[: options.num_images] for part in images)
    sets = make_sets(own, other, names, info.config.num_levels)
    return finish(measure_paradox(model, second_model, info.dataset, sets)), second


def _family(options: argparse.Namespace, model: Model, info: CheckpointInfo) -> Member:
    levels, label = _test_images(info.dataset, options, model)
    others = levels[another_of_each_class(label, options.num_images)]
    levels, label = levels[: options.num_images], label[: options.num_images]
    given = label if info.config.num_classes else None
    return finish(measure_member(model, info, levels, given, others))


def _test_images(dataset: str, options: argparse.Namespace, model: Model) -> tuple[Tensor, Tensor]:
    """Load all test images; there must be as many as are to be measured."""
    num_levels = model.config.num_levels
    levels, label = load_dataset(dataset, "test", options.data_dir, num_levels=num_levels)
    check_count("num_images", options.num_images, len(levels))
    return levels, label


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


def _print_member(member: Member) -> None:
    print(f"{member.bits_per_dim:.3f} bits/dim over {member.num_images} test images")
    print(f"to train on one image: {member.training_seconds:.4f} s")
    print(f"to draw one: {member.drawing_seconds:.3f} s, naively {member.naive_seconds:.3f} s")
    print(f"{'steps':>10} {'influence':>10} {'bits/dim lost beyond':>21}")
    steps = 1
    while steps <= len(member.influence):
        at = min(steps, len(member.bits_lost) - 1)
        print(f"{steps:>10} {member.influence[steps - 1]:10.5f} {member.bits_lost[at]:21.4f}")
        steps *= 2
