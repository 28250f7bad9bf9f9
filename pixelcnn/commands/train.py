"""The commands about training: train, estimate, images; and a run as a command line."""

import argparse
import json
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from pathlib import Path

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
from pixelcnn.models import DEFAULT_ARCHITECTURE, architecture, reshape_config
from pixelcnn.storage import load_model, write_atomically
from pixelcnn.training.devices import DEVICES, choose_device, is_first_process
from pixelcnn.training.runs import Run, RunConfig, RunError, create_run, run_path
from pixelcnn.training.state import TrainingState, load_training_state, save_training_state

# The worker and the estimate are imported where they are used: they need a system with file locks.


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Add the commands to a parser."""
    train = commands.add_parser(
        "train",
        help="train a model",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
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
        type=Path,
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

    estimate = commands.add_parser(
        "estimate",
        help="measure how long a training would take",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        description="Train with the given settings on random images for some seconds, and print "
        "time and memory of the whole run.",
    )
    estimate.add_argument("--json", action="store_true", help="print the result as JSON")
    _add_settings(estimate)
    estimate.set_defaults(run=run_estimate)

    images = commands.add_parser(
        "images",
        help="make a data set of your own images",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        description="Cut every picture of a folder to its central square, resize it, and write "
        "all into one file, which `train --dataset` takes. Folders inside the folder are classes.",
    )
    images.add_argument("folder", help="folder with pictures, also in folders inside it")
    images.add_argument("output", help=f"file to write, *{SUFFIX}")
    images.add_argument("--size", type=int, default=28, help="height and width, 8 to 64")
    images.add_argument("--colour", action="store_true", help="keep the colours, else grey")
    images.set_defaults(run=run_images)


def _add_settings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", choices=DEVICES, default="auto", help="where to compute")
    parser.add_argument("--threads", type=int, help="CPU threads; as many as torch likes")
    parser.add_argument(
        "--compile",
        action="store_true",
        help="let torch compile the network first: faster after a minute or two; needs a C++ "
        "compiler on CPUs",
    )
    add_data_dir(parser)
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
    dataset = dataset_of(config.dataset)
    if config.dataset.endswith(SUFFIX):  # a run goes on from any folder
        config = replace(config, dataset=os.path.abspath(config.dataset))
    wanted = {"architecture": DEFAULT_ARCHITECTURE} | model
    shape = architecture(wanted.pop("architecture")).Config(
        **wanted,
        num_channels=dataset.num_channels,
        height=dataset.size,
        width=dataset.size,
        num_classes=0 if unconditional else len(dataset.class_names),
    )
    return RunConfig(model=shape, train=config, **more)


def config_of(options: argparse.Namespace) -> RunConfig:
    """Read the settings of a run from the command line."""
    return new_config(
        given_model(options),
        given(options, TrainConfig),
        unconditional=options.unconditional,
        **_of_this_machine(options),
    )


def _of_this_machine(options: argparse.Namespace) -> dict[str, object]:
    """Give where and how to compute, as fields of `RunConfig`."""
    return {
        "device": options.device,
        "threads": options.threads,
        "compiled": options.compile,
        "data_dir": options.data_dir,
    }


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
    arguments = list(config.origin)
    from_state, from_checkpoint = (o in arguments for o in ("--from-state", "--init-from"))
    if config.model.architecture != DEFAULT_ARCHITECTURE and not config.origin:
        arguments += ["--architecture", config.model.architecture]
    for part in (config.train, config.model):
        for field in fields(part):
            value = getattr(part, field.name)
            if field.name in SHAPE_FROM_DATASET:
                continue
            if from_state and field.name != "total_images":
                continue
            # Where something else stands for the defaults, these must be named too.
            named = from_state or (from_checkpoint and part is config.model)
            if value == field.default and not named:
                continue
            if isinstance(value, bool):
                arguments.append(option(field.name if value else f"no_{field.name}"))
            else:
                values = value if isinstance(value, tuple) else (value,)
                arguments += [option(field.name), *map(str, values)]
    if config.model.num_classes == 0 and not config.origin and _has_classes(config.train.dataset):
        arguments.append("--unconditional")
    for name in ("device", "threads", "data_dir"):
        if (value := getattr(config, name)) not in ("auto", None):
            arguments += [option(name), str(value)]
    return arguments + (["--compile"] if config.compiled else [])


def _has_classes(dataset: str) -> bool:
    try:
        return bool(dataset_of(dataset).class_names)
    except DataError:  # own images that were deleted since
        return False


@contextmanager
def _faults_of_the_machine() -> Iterator[None]:
    """Say in one line that memory or a compiler is missing; torch says it in many."""
    from pixelcnn.training.worker import explain, is_out_of_memory, is_uncompilable

    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error) or is_uncompilable(error):
            raise RunError(explain(error)) from error
        raise


def run_train(options: argparse.Namespace) -> int:
    """Train; returns the exit status (0 finished, 130 stopped)."""
    from pixelcnn.training.worker import train_run

    choose_device(options.device)
    if options.name.endswith(".safetensors"):
        raise RunError(f"{options.name}: a run is a folder; name it without .safetensors.")
    if sum(map(bool, (options.resume, options.from_state, options.init_from))) > 1:
        raise ValueError("Give one of --resume, --from-state and --init-from.")
    run, state = Run(run_path(options.name)), None
    if options.resume:
        config = _resumed_config(options, run)
    elif options.from_state:
        config = _config_from_state(options)
    elif options.init_from:
        config, state = _config_and_state(options)
    else:
        config = config_of(options)
    if not options.resume and is_first_process():
        run = create_run(config, run.path)
        if options.from_state:
            write_atomically(run.state_path, options.from_state.read_bytes())
        elif state is not None:
            save_training_state(run.state_path, state, config.train)
    with _faults_of_the_machine():
        status = train_run(run, config, queue=not options.now)
    return 130 if status.state == "stopped" else 0


def _resumed_config(options: argparse.Namespace, run: Run) -> RunConfig:
    before = run.config()
    _refuse_settings(options, "--resume")
    if options.compile or options.threads is not None:
        raise ValueError("`--resume` keeps --compile and --threads of the run; leave them out.")
    config = replace(
        before,
        train=replace(before.train, **given(options, TrainConfig)),
        data_dir=options.data_dir or before.data_dir,
        device=before.device if options.device == "auto" else options.device,
    )
    if config != before and is_first_process():
        with run.hold():
            run.write_config(config)
    return config


def _config_from_state(options: argparse.Namespace) -> RunConfig:
    _refuse_settings(options, "--from-state")
    state, train = load_training_state(options.from_state)
    return RunConfig(
        model=state.model.config,
        train=replace(train, **given(options, TrainConfig)),
        origin=("--from-state", os.path.abspath(options.from_state)),
        **_of_this_machine(options),
    )


def _config_and_state(options: argparse.Namespace) -> tuple[RunConfig, TrainingState]:
    source = load_model(options.init_from)
    if options.unconditional:
        raise ValueError("`--init-from` keeps the classes of the checkpoint.")
    changes = given_model(options)
    name = changes.pop("architecture", source.config.architecture)
    same = name == source.config.architecture
    if not same and not isinstance(source, architecture(name).begins_with or ()):
        raise ValueError("`--init-from` keeps the architecture of the checkpoint.")
    path = options.init_from
    config = RunConfig(
        model=reshape_config(source.config, name, **changes),
        train=TrainConfig(**given(options, TrainConfig)),
        origin=("--init-from", os.path.abspath(path) if os.path.isfile(path) else path),
        **_of_this_machine(options),
    )
    state = TrainingState(config.model, config.train)
    state.init_from(source)
    return config, state


def _refuse_settings(options: argparse.Namespace, why: str) -> None:
    kept = (given(options, TrainConfig) | given_model(options)).keys() - {"total_images"}
    if kept or options.unconditional:
        raise ValueError(
            f"`{why}` keeps the settings of the run; leave out {sorted(kept) or 'unconditional'}."
        )


def run_estimate(options: argparse.Namespace) -> int:
    """Measure and print; returns 0."""
    from pixelcnn.training.estimate import estimate

    config = config_of(options)
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    with _faults_of_the_machine():
        result = estimate(config, choose_device(options.device))
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
    if Path(options.output).exists():
        raise ImageSetError(f"{options.output}: would be overwritten; choose another name.")
    made = make_image_set(read_folder(options.folder), size=options.size, colour=options.colour)
    save_image_set(options.output, made)
    for line in made.left_out:
        print(f"left out {line}")
    classes = f", classes {', '.join(made.class_names)}" if made.class_names else ""
    print(f"wrote {options.output}: {len(made.levels):,} images{classes}")
    return 0
