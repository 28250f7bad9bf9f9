"""Text that is not ours, with every kind of markup in it, in every file that takes text."""

import os
import re
from dataclasses import replace

import torch

from pixelcnn.data.own_images import SUFFIX, ImageSet, image_set_bytes
from pixelcnn.files import json_bytes
from pixelcnn.storage import runs_dir, save_checkpoint
from pixelcnn.training.runs import About, Status, create_run
from pixelcnn.ui.shared.literal import JOINER

from .tiny import tiny_model
from .tiny_runs import config, info_of

MARKS = (
    "![x](http://outside.example/x.png)",
    "<img src=http://outside.example/x.png>",
    "[x](http://outside.example)",
    "http://outside.example/x",
    "www.outside.example",
    "a@outside.example",
    "$x^2$ and $$y$$",
    ":red[x] :red-background[x] :material/home: :smile: :streamlit: :help[x]",
    "**b** _i_ `c` ~~s~~ a__b__c",
    "a -> b <- c -- d >= e <= f ~= g <-> h",
    "# x", "- x", "1. x", "> x", "---", "    x", "|a|b|",
    "<b>b</b><br><sup>s</sup> %{y} &lt; &amp;",
    "\\*x\\* \\", "[^1]", "[x]: http://outside.example", "caf\ufffd \u202e x",
)  # fmt: skip
EVERYTHING = " ".join(MARKS[:8])
SHORT = "![x](http://outside.example)"
LINK = re.compile(r"(?<!\u2060)//outside\.example|(?<!\u2060)www\.outside|@outside")


def as_read(markdown: str) -> str:
    """What a reader sees of a text that `literal` wrote."""
    return re.sub(r"\\(?=[^a-zA-Z0-9\s])", "", markdown).replace(JOINER, "")


def fill_runs() -> None:
    """Put marked-up text into every field of every file of a run, a data set and a checkpoint."""
    images = ImageSet(
        torch.randint(0, 256, (6, 1, 28, 28), dtype=torch.uint8),
        torch.arange(6) % 2,
        (EVERYTHING, SHORT),
    )
    data = runs_dir() / "images" / f"marked{SUFFIX}"
    data.parent.mkdir(parents=True, exist_ok=True)
    data.write_bytes(image_set_bytes(images))
    model = tiny_model(dtype=torch.float32, num_classes=2, height=28, width=28, num_levels=4)
    info = replace(info_of(model), dataset=str(data), bits_per_dim={SHORT: 1.0, "test": 2.0})
    save_checkpoint(runs_dir() / "imported" / "marked.safetensors", model, info)
    unknown = replace(info, dataset=EVERYTHING)
    save_checkpoint(runs_dir() / "imported" / "unknown.safetensors", model, unknown)
    for name in ("marked", "again"):
        settings = config(dataset=str(data))
        settings = replace(settings, data_dir=EVERYTHING, origin=(EVERYTHING, SHORT))
        run = create_run(settings, name=name)
        run.write_status(
            Status(state="failed", message=EVERYTHING, doing=SHORT, device=EVERYTHING, host=SHORT,
                   images_seen=7)
        )  # fmt: skip
        run.log_path.write_text(EVERYTHING)
        (run.path / "about.json").write_bytes(
            json_bytes(About(name=SHORT, note=EVERYTHING).to_dict())
        )
        run.metrics_path.write_text(
            '{"images_seen": 5, "seconds": 1.0, "loss": 2.0, "validation": 2.0}\n'
        )
        save_checkpoint(run.checkpoint, model, info)
    bad = create_run(config(), name="bad")
    (bad.path / "config.json").write_bytes(json_bytes({"format": EVERYTHING, EVERYTHING: SHORT}))
    broken = runs_dir() / "imported" / "broken.safetensors"
    save_checkpoint(broken, model, info)
    os.truncate(broken, 100)
