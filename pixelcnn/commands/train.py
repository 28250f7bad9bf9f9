"""The commands about training: train, estimate, images; and a run as a command line."""

import argparse
import json
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, fields, replace

import torch

from pixelcnn.commands.options import (
    SHAPE_FROM_DATASET,
    add_data_dir,
    add_fields,
    add_model_fields,
    given,
    given_model,
    option,
)
from pixelcnn.config import TrainConfig
from pixelcnn.data.datasets import DataError, dataset_of
from pixelcnn.data.own_images import (
    SUFFIX,
    ImageSetError,
    make_image_set,
    read_folder,
    save_image_set,
)
from pixelcnn.durations import clock
from pixelcnn.files import as_path
from pixelcnn.models import DEFAULT_ARCHITECTURE, architecture, reshape_config
from pixelcnn.storage import load_model
from pixelcnn.training.devices import DEVICES, choose_device, is_first_process
from pixelcnn.training.estimate import estimate
from pixelcnn.training.runs import Run, RunConfig, RunError, create_run, run_path
from pixelcnn.training.state import TrainingState, load_training_state, save_training_state
from pixelcnn.training.worker import explain_lack, train_run


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Add the commands to a parser."""
    train = commands.add_parser(
        "train",
        help="train a model",
        description="Train a model in a run: a folder with its settings, its curve, checkpoints "
        "ready for use, and a training state, with which the same command with --resume goes on "
        "exactly where it stopped. Stop with Ctrl-C at any time. Under torchrun it trains in "
        "several processes, on one machine or more.",
    )
    train.add_argument(
        "name",
        metavar="run",
        help="name of the run, a new folder in $PIXELCNN_RUNS or runs/; or its path",
    )
    train.add_argument(
        "--resume",
        action="store_true",
        help="go on with this run and its settings (a new --total-images, --data-dir or --device "
        "is taken over)",
    )
    train.add_argument(
        "--from-state",
        type=as_path,
        metavar="FILE",
        help="begin with the settings and the progress of a training state (a new --total-images "
        "is taken over)",
    )
    train.add_argument(
        "--init-from",
        "--begin-with",  # its name in earlier versions
        metavar="CHECKPOINT",
        help="begin with the shape and the weights of a checkpoint instead of random ones; one of "
        "a single raster order is what each of eight begins with (--num-orders 8)",
    )
    train.add_argument(
        "--now", action="store_true", help="do not wait until the other runs of the folder end"
    )
    _add_settings(train)
    train.set_defaults(run=run_train)

    measure = commands.add_parser(
        "estimate",
        help="measure how long a training would take",
        description="Train with the given settings on random images for some seconds, and print "
        "time and memory of the whole run.",
    )
    measure.add_argument("--json", action="store_true", help="print the result as JSON")
    _add_settings(measure)
    measure.set_defaults(run=run_estimate)

    images = commands.add_parser(
        "images",
        help="make a data set of your own images",
        description="Cut every picture of a folder to its central square, resize it, and write "
        "all into one file, which `train --dataset` takes. Folders inside the folder are classes.",
    )
    images.add_argument("folder", help="folder with pictures, also in folders inside it")
    images.add_argument("output", type=as_path, help=f"file to write, *{SUFFIX}")
    images.add_argument("--size", type=int, default=28, help="height and width, 8 to 64")
    images.add_argument("--colour", action="store_true", help="keep the colours, else grey")
    images.set_defaults(run=run_images)


def _add_settings(parser: argparse.ArgumentParser) -> None:
    # Absent if not given: --resume must know what was asked for.
    absent = {"default": argparse.SUPPRESS}
    parser.add_argument(
        "--device", choices=DEVICES, help="where to compute (default: auto)", **absent
    )
    parser.add_argument(
        "--threads", type=int, help="CPU threads; as many as torch likes", **absent
    )
    parser.add_argument(
        "--compile",
        dest="compiled",
        action="store_true",
        help="let torch compile the network first: faster after a minute or two; needs a C++ "
        "compiler on CPUs",
        **absent,
    )
    add_data_dir(parser, **absent)
    add_fields(parser, TrainConfig)
    add_model_fields(parser)
    parser.add_argument("--unconditional", action="store_true", help="train without class labels")


def new_config(
    model: dict[str, object],
    train: dict[str, object],
    *,
    unconditional: bool = False,
    **more: object,
) -> RunConfig:
    """Make the settings of a run; the data set gives the shape of the model.

    `model` has the other fields of a model's configuration, and the name of its architecture if it
    is not the first one; `train` those of `TrainConfig`, `more` those of `RunConfig`.

    Raises:
        ValueError, DataError: if a value breaks its rule.
    """
    config = TrainConfig(**train)
    if config.dataset.endswith(SUFFIX):  # a run goes on from any folder
        config = replace(config, dataset=os.path.abspath(as_path(config.dataset)))
    dataset = dataset_of(config.dataset)
    channels, height, width = dataset.shape
    model = dict(model)
    shape = architecture(model.pop("architecture", DEFAULT_ARCHITECTURE)).Config(
        **model,
        num_channels=channels,
        height=height,
        width=width,
        num_classes=0 if unconditional else len(dataset.class_names),
    )
    return RunConfig(model=shape, train=config, **more)


def config_of(options: argparse.Namespace) -> RunConfig:
    """Read the settings of a run from the command line."""
    parts = given_model(options), given(options, TrainConfig)
    return new_config(*parts, unconditional=options.unconditional, **given(options, RunConfig))


def command_line(config: RunConfig, name: str) -> str:
    """Write the command that repeats a run, for a shell; settings at their default are left out.

    >>> from pixelcnn.models import GatedConfig
    >>> model = GatedConfig(num_classes=10, num_features=48, dilations=(1, 2))
    >>> command_line(RunConfig(model=model, train=TrainConfig(total_images=500)), "boots")
    'python -m pixelcnn train boots --total-images 500 --num-features 48 --dilations 1 2'
    """
    return shlex.join(["python", "-m", "pixelcnn", "train", name, *arguments_of(config)])


def arguments_of(config: RunConfig) -> list[str]:
    """Give the options that make these settings."""
    begins, model = config.origin[:1], config.model
    # Every setting, with what it is if it is not named.
    train, shape = (
        {f.name: (getattr(part, f.name), f.default) for f in fields(part)}
        for part in (config.train, model)
    )
    shape = {k: v for k, v in shape.items() if k not in SHAPE_FROM_DATASET}
    shape = {"architecture": (model.architecture, DEFAULT_ARCHITECTURE)} | shape
    if begins == ("--from-state",):  # something else stands for the defaults
        train, shape = {"total_images": (config.train.total_images, None)}, {}
    elif begins == ("--init-from",):
        shape = {name: (value, None) for name, (value, _) in shape.items()}
    elif model.num_classes == 0:
        with suppress(DataError):  # own images that were deleted since
            shape["unconditional"] = (bool(dataset_of(config.train.dataset).class_names), False)
    machine = {
        "device": (config.device, "auto"),
        "threads": (config.threads, None),
        "data_dir": (config.data_dir, None),
        "compile": (config.compiled, False),
    }
    arguments = list(config.origin)
    for name, (value, default) in (train | shape | machine).items():
        if value == default:
            continue
        if isinstance(value, bool):
            arguments.append(option(name if value else f"no_{name}"))
        else:
            values = value if isinstance(value, tuple) else (value,)
            arguments += [option(name), *map(str, values)]
    return arguments


@contextmanager
def _lacks_in_a_line() -> Iterator[None]:
    """Say in one line that memory or a compiler is missing; torch says it in many."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if text := explain_lack(error):
            raise RunError(text) from error
        raise


def run_train(options: argparse.Namespace) -> int:
    """Train; returns the exit status (0 finished, 130 stopped)."""
    choose_device(given(options, RunConfig).get("device", "auto"))
    if options.name.endswith(".safetensors"):
        raise RunError(f"{options.name}: a run is a folder; name it without .safetensors.")
    if sum(map(bool, (options.resume, options.from_state, options.init_from))) > 1:
        raise ValueError("Give one of --resume, --from-state and --init-from.")
    run = Run(run_path(options.name))
    if options.resume:
        config = _resumed_config(options, run)
    else:
        config, state = _beginning(options)
        if is_first_process():
            create_run(config, run.path)
            if state is not None:
                save_training_state(run.state_path, state, config.train)
    with _lacks_in_a_line():
        status = train_run(run, config, queue=not options.now)
    return 130 if status.state == "stopped" else 0


def _resumed_config(options: argparse.Namespace, run: Run) -> RunConfig:
    before, changes = run.config(), given(options, RunConfig)
    _refuse_settings(options, "--resume")
    if changes.keys() & {"compiled", "threads"}:
        raise ValueError("`--resume` keeps --compile and --threads of the run; leave them out.")
    train = replace(before.train, **given(options, TrainConfig))
    return replace(before, train=train, **changes)


def _beginning(options: argparse.Namespace) -> tuple[RunConfig, TrainingState | None]:
    """Give the settings of a new run, and its state unless all weights are to be random."""
    changes, shape = given(options, TrainConfig), given_model(options)
    if path := options.from_state:
        _refuse_settings(options, "--from-state")
        state, train = load_training_state(path)
        origin = ("--from-state", os.path.abspath(path))
        model, train = state.model.config, replace(train, **changes)
    elif path := options.init_from:
        source = load_model(path)
        if options.unconditional:
            raise ValueError("`--init-from` keeps the classes of the checkpoint.")
        name = shape.pop("architecture", source.config.architecture)
        same = name == source.config.architecture
        if not same and not isinstance(source, architecture(name).begins_with or ()):
            raise ValueError("`--init-from` keeps the architecture of the checkpoint.")
        file = as_path(path)
        origin = ("--init-from", os.path.abspath(file) if os.path.isfile(file) else path)
        model, train = reshape_config(source.config, name, **shape), TrainConfig(**changes)
        state = TrainingState(model, train)
        state.init_from(source)
    else:
        config = config_of(options)
        if before := architecture(config.model.architecture).begins_with:
            raise ValueError(
                f"`--architecture {config.model.architecture}` begins with a trained "
                f"{before.Config.architecture} model: name it with --init-from."
            )
        return config, None
    more = given(options, RunConfig)
    return RunConfig(model=model, train=train, origin=origin, **more), state


def _refuse_settings(options: argparse.Namespace, why: str) -> None:
    kept = (given(options, TrainConfig) | given_model(options)).keys() - {"total_images"}
    if kept or options.unconditional:
        raise ValueError(
            f"`{why}` keeps the settings of the run; leave out {sorted(kept) or 'unconditional'}."
        )


def run_estimate(options: argparse.Namespace) -> int:
    """Measure and print; returns 0."""
    config = config_of(options)
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    with _lacks_in_a_line():
        result = estimate(config, choose_device(config.device))
    if options.json:
        print(json.dumps(asdict(result)))
    else:
        print(
            f"{result.parameters:,} parameters, {result.images_per_second:.0f} images/s, about "
            f"{clock(result.seconds)} in all, {result.memory_bytes / 2**20:,.0f} MiB, on "
            f"{result.device}"
        )
    return 0


def run_images(options: argparse.Namespace) -> int:
    """Make a file of own images; returns 0."""
    if os.path.lexists(options.output):
        raise ImageSetError(f"{options.output}: would be overwritten; choose another name.")
    made = make_image_set(read_folder(options.folder), size=options.size, colour=options.colour)
    save_image_set(options.output, made)
    for line in made.left_out:
        print(f"left out {line}")
    classes = f", classes {', '.join(made.class_names)}" if made.class_names else ""
    print(f"wrote {options.output}: {len(made.levels):,} images{classes}")
    return 0
