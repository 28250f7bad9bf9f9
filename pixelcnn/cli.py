"""The command line: train, sample, evaluate, check."""

import argparse
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import torch

from pixelcnn.checkpoints import (
    CheckpointError,
    CheckpointInfo,
    checkpoint_path,
    load_checkpoint,
    read_info,
    save_checkpoint,
    stage_path,
    write_atomically,
)
from pixelcnn.config import ModelConfig, SamplingRule, TrainConfig
from pixelcnn.data import (
    DATA_ENVIRONMENT_VARIABLE,
    DATASETS,
    DataError,
    check_fits,
    class_names,
    dataset_of,
    iterate_batches,
    load_dataset,
)
from pixelcnn.likelihoods import bits_per_dim, ensemble_bits_per_dim
from pixelcnn.models import AutoregressiveModel
from pixelcnn.orders import ORDER_NAMES

SAVE_EVERY_SECONDS = 60
EVALUATION_BATCH = 50


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status (0 fine, 1 failed check, 2 bad input)."""
    options = _parser().parse_args(arguments)
    from pixelcnn.training.engine import TrainingError

    try:
        return options.run(options)
    except (ValueError, OSError, CheckpointError, DataError, TrainingError) as error:
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
        "  python -m pixelcnn train mine.safetensors --dataset mnist --total-images 20000\n"
        "  python -m pixelcnn evaluate mine.safetensors --split test",
    )
    commands = parser.add_subparsers(required=True, metavar="command")

    train = commands.add_parser(
        "train",
        help="train a model and write a checkpoint",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        description="Train a model. A checkpoint (moving-average weights, ready for use) is "
        "written every minute; beside it a training state, with which the same command with "
        "--resume goes on exactly where it stopped. Stop with Ctrl-C at any time.",
    )
    train.add_argument("checkpoint", type=Path, help="checkpoint to write, *.safetensors")
    train.add_argument(
        "--resume",
        action="store_true",
        help="go on from CHECKPOINT.state with its settings (a new --total-images is taken over)",
    )
    _add_data_dir(train)
    _add_fields(train, TrainConfig, choices={"dataset": list(DATASETS)})
    shape_from_dataset = {"num_channels", "height", "width", "num_classes"}
    _add_fields(
        train,
        ModelConfig,
        choices={"architecture": ["classic", "gated"]},
        leave_out=shape_from_dataset,
    )
    train.add_argument("--unconditional", action="store_true", help="train without class labels")
    train.set_defaults(run=_train)

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
    _add_fields(sample, SamplingRule)
    sample.set_defaults(run=_sample)

    evaluate = commands.add_parser(
        "evaluate",
        help="score a model in bits/dim",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        description="Compute the mean bits/dim of a split of the model's data set. Use the "
        "validation split for every choice, the test split once, at the end. A model of eight "
        "raster orders is scored in each of them, and as the ensemble of all.",
    )
    _add_checkpoint(evaluate)
    _add_data_dir(evaluate)
    evaluate.add_argument("--split", choices=["validation", "test"], default="validation")
    evaluate.add_argument("--num-images", type=int, default=None, help="only the first N images")
    evaluate.add_argument(
        "--write", action="store_true", help="record the result in the checkpoint"
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


def _add_checkpoint(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", help="name in checkpoints/ or path of a *.safetensors file")


def _add_data_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data-dir",
        default=None,
        help=f"local copy of the data; else ${DATA_ENVIRONMENT_VARIABLE}, else data/ (downloads)",
    )


def _add_fields(
    parser: argparse.ArgumentParser,
    config: type,
    *,
    choices: dict[str, list[str]] | None = None,
    leave_out: set[str] = frozenset(),
) -> None:
    """Add one option per field of a configuration, with the field's own documentation."""
    docs = _field_docs(config)
    group = parser.add_argument_group(config.__name__)
    for field in fields(config):
        if field.name in leave_out:
            continue
        name = "--" + field.name.replace("_", "-")
        # Absent if not given: --resume must tell a default from a wish.
        text = f"{docs[field.name]} (default: {field.default})"
        more: dict[str, object] = {"default": argparse.SUPPRESS, "help": text}
        if isinstance(field.default, bool):
            more["action"] = argparse.BooleanOptionalAction
        elif isinstance(field.default, tuple):
            more |= {"type": int, "nargs": "+"}
        else:
            more["type"] = int if field.default is None else type(field.default)
        if field.name in (choices or {}):
            more["choices"] = choices[field.name]
        group.add_argument(name, **more)


def _field_docs(config: type) -> dict[str, str]:
    """Read the text under each field, so that it is written once."""
    import ast
    import inspect
    import textwrap

    body = ast.parse(textwrap.dedent(inspect.getsource(config))).body[0].body
    docs = {}
    for field, text in zip(body, body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr):
            docs[field.target.id] = text.value.value.replace("%", "%%")
    return docs


def _given(options: argparse.Namespace, config: type) -> dict[str, object]:
    """Return the fields that the command line names."""
    names = [field.name for field in fields(config) if hasattr(options, field.name)]
    values = {name: getattr(options, name) for name in names}
    return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}


def _train(options: argparse.Namespace) -> int:
    from pixelcnn.training.engine import Evaluation, TrainingState, train
    from pixelcnn.training.files import load_training_state, save_training_state

    state_path = options.checkpoint.with_suffix(".state")
    existing = [str(p) for p in (options.checkpoint, state_path) if p.exists()]
    if existing and not options.resume:
        raise ValueError(
            f"{', '.join(existing)}: would be overwritten; go on with --resume, delete the file, "
            "or choose another name."
        )
    if options.resume:
        given = _given(options, TrainConfig)
        kept = sorted((given | _given(options, ModelConfig)).keys() - {"total_images"})
        if kept or options.unconditional:
            raise ValueError(
                f"`--resume` keeps the settings of the run; leave out {kept or 'unconditional'}."
            )
        state, config = load_training_state(state_path)
        config = replace(config, **given)
    else:
        config = TrainConfig(**_given(options, TrainConfig))
        dataset = dataset_of(config.dataset)
        classes = 0 if options.unconditional else len(dataset.class_names)
        model_config = ModelConfig(
            **_given(options, ModelConfig),
            num_channels=dataset.num_channels,
            height=dataset.size,
            width=dataset.size,
            num_classes=classes,
        )
        state = TrainingState(model_config, config)
    check_fits(state.model.config, config.dataset)
    splits = [
        load_dataset(
            config.dataset, split, options.data_dir, num_levels=state.model.config.num_levels
        )
        for split in ("train", "validation")
    ]
    print(
        f"{state.model.num_parameters:,} parameters, {len(splits[0][0]):,} training images, "
        f"{config.total_images - state.images_seen:,} images to see"
    )
    scores: dict[str, float] = {}
    first_step = state.step

    def save(path: Path = options.checkpoint) -> None:
        if state.images_evaluated != state.images_seen:
            scores.clear()  # they belong to earlier weights
        info = CheckpointInfo(
            config=state.ema.config,
            dataset=config.dataset,
            images_seen=state.images_seen,
            bits_per_dim=scores,
        )
        save_checkpoint(path, state.ema, info)
        save_training_state(state_path, state, config)

    printed = saved = time.monotonic()
    with _stop_requests() as stop:
        for event in train(state, config, *splits):
            now = time.monotonic()
            if isinstance(event, Evaluation):
                scores["validation"] = event.bits_per_dim
                print(
                    f"{event.images_seen:>9,} images  validation {event.bits_per_dim:.4f} "
                    f"bits/dim (first {config.validation_images} images)",
                    flush=True,
                )
                if event.is_stage:
                    save(stage_path(options.checkpoint, event.images_seen))
            elif now - printed > 5:
                printed = now
                print(
                    f"{event.images_seen:>9,} images  {event.loss:.3f} bits/dim  "
                    f"{event.images_per_second:.0f} images/s  {_minutes(event.seconds_left)} left",
                    flush=True,
                )
            if now - saved > SAVE_EVERY_SECONDS:
                saved = now
                save()
            if stop.is_set():
                break
    if state.step > first_step:
        save()
        print(f"wrote {options.checkpoint} and {state_path}")
    if state.images_seen < config.total_images:
        print("stopped; the same command with --resume goes on")
        return 130
    return 0


@contextmanager
def _stop_requests() -> Iterator[threading.Event]:
    """Turn Ctrl-C and SIGTERM into an event, looked at between two updates: none is cut in half.

    A second Ctrl-C ends the program at once.
    """
    stop = threading.Event()
    before = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, frame: object) -> None:
        stop.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    try:
        for number in before:
            signal.signal(number, note)
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _sample(options: argparse.Namespace) -> int:
    from pixelcnn.pictures import animated_sheet, png_bytes, sheet
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
        rule=SamplingRule(**_given(options, SamplingRule)),
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
    scores, started = torch.zeros(0, info.config.num_orders), time.monotonic()
    for batch, batch_label in iterate_batches(levels[:count], label[:count], EVALUATION_BATCH):
        given = batch_label if info.config.num_classes else None
        orders = range(info.config.num_orders)
        part = [bits_per_dim(model, batch, given, order) for order in orders]
        scores = torch.cat([scores, torch.stack(part, 1)])
        left = (time.monotonic() - started) / len(scores) * (count - len(scores))
        if len(scores) % (10 * EVALUATION_BATCH) == 0 or len(scores) == count:
            print(
                f"{len(scores):>6,} of {count:,} images  {scores.double().mean():.4f} bits/dim  "
                f"{_minutes(left)} left",
                flush=True,
            )
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
    from pixelcnn.evaluation import (
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
            print(f"classifier {progress.done:4.0%} trained  {_minutes(left)} left", flush=True)
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
    from pixelcnn.receptive_field import check_causality

    model, info = load_checkpoint(checkpoint_path(options.checkpoint))
    report = check_causality(model, positions=range(info.config.height * info.config.width))
    print(report.text)
    return 0 if report.is_causal else 1


def _minutes(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"
