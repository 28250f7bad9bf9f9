"""The command that draws pictures."""

import argparse
import math
import time
from pathlib import Path

from pixelcnn.commands.options import add_checkpoint, add_fields, check_count, finish, given
from pixelcnn.config import SamplingRule
from pixelcnn.data.pictures import animated_sheet, png_bytes, sheet
from pixelcnn.files import as_path, write_atomically
from pixelcnn.sampling import iter_samples
from pixelcnn.storage import load_model


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Add `sample`."""
    parser = commands.add_parser(
        "sample",
        help="draw pictures",
        description="Draw pictures and write them side by side as one PNG or GIF. Seed and "
        "index fix a picture: image 3 of 16 is the same as image 3 of 4.",
    )
    add_checkpoint(parser)
    parser.add_argument(
        "--output", type=as_path, default=Path("sample.png"), help="PNG, or GIF to see it drawn"
    )
    parser.add_argument("--num-images", type=int, default=16, help="pictures, 1 to 1024")
    parser.add_argument("--columns", type=int, default=None, help="pictures in a row")
    parser.add_argument("--scale", type=int, default=4, help="screen pixels per pixel, 1 to 32")
    parser.add_argument("--seed", type=int, default=0, help="fixes the noise")
    parser.add_argument("--label", type=int, default=None, help="class; any class if left out")
    parser.add_argument(
        "--class-per-row", action="store_true", help="row r shows class r, in turn"
    )
    parser.add_argument("--method", choices=["cached", "naive"], default="cached", help="sampler")
    add_fields(parser, SamplingRule)
    parser.set_defaults(run=run_sample)


def run_sample(options: argparse.Namespace) -> int:
    """Draw and write; returns 0."""
    count = check_count("num_images", options.num_images, 1024)
    scale = check_count("scale", options.scale, 32)
    if options.output.suffix.lower() not in (".png", ".gif", ""):
        raise ValueError(f"`output` (={options.output}) must end with .png or .gif.")
    columns = math.ceil(math.sqrt(count))
    if options.columns is not None:
        columns = check_count("columns", options.columns, 1024)
    model = load_model(options.checkpoint)
    label: int | list[int] | None = options.label
    if options.class_per_row:
        if label is not None:
            raise ValueError("`--label` and `--class-per-row` exclude each other.")
        classes = model.config.num_classes
        if classes == 0:
            raise ValueError("`--class-per-row` needs a model with classes; this one has none.")
        label = [(i // columns) % classes for i in range(count)]
    started = time.monotonic()
    drawing = iter_samples(
        model,
        num_images=count,
        seed=options.seed,
        rule=SamplingRule(**given(options, SamplingRule)),
        label=label,
        method=options.method,
    )
    levels = finish(drawing)
    seconds = time.monotonic() - started
    layout = {"columns": columns, "scale": scale}
    if options.output.suffix.lower() == ".gif":
        content = animated_sheet(levels, model.config.num_levels, **layout)
    else:
        content = png_bytes(sheet(levels, model.config.num_levels, **layout))
    write_atomically(options.output, content)
    print(f"wrote {options.output}: {count} pictures in {seconds:.2f} s")
    return 0
