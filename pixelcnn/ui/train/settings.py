"""The settings of a run that a visitor sets by hand; they stay when another view is looked at."""

from dataclasses import fields
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pixelcnn.config import TrainConfig, choices_of, doc_of, limits_of
from pixelcnn.data.datasets import Dataset
from pixelcnn.models import ARCHITECTURES, DEFAULT_ARCHITECTURE, ModelConfig
from pixelcnn.models.convolutions import ConvolutionConfig
from pixelcnn.training.devices import available_devices
from pixelcnn.ui.train import presets

PREFIX = "train-"


def own_settings(
    dataset: Dataset, given: ModelConfig | None
) -> tuple[dict[str, Any], dict[str, Any], bool, str]:
    """Let the visitor set everything; returns model, training, unconditional, device.

    Arguments:
        dataset: what is to be learned.
        given: the model, where the run begins with trained weights; then its shape stays.
    """
    start = presets.preset(presets.OWN)
    has_classes = bool(dataset.class_names)
    if given is None:
        model, conditional = _own_model(start, has_classes)
    else:
        model, conditional = {"architecture": given.architecture}, given.num_classes > 0
    total = st.number_input(
        "Images to see in all", 100, 10_000_000, start.train["total_images"], 1000,
        help="The learning rate falls to zero there.", **kept("total_images"),
    )  # fmt: skip
    train = {"total_images": total}
    with st.expander("Optimiser: defaults that work"):
        device = _optimiser(start.train, model, train, conditional)
    return model, train, has_classes and not conditional, device


def _own_model(start: presets.Preset, has_classes: bool) -> tuple[dict[str, Any], bool]:
    """Let the visitor set the model; returns it, and whether it can be asked for a class."""
    names = [name for name, kind in ARCHITECTURES.items() if kind.begins_with is None]
    chosen = st.selectbox(
        "Architecture",
        names,
        names.index(DEFAULT_ARCHITECTURE),
        format_func=lambda name: ARCHITECTURES[name].title,
        help=" ".join(
            f"*{ARCHITECTURES[name].title}*: {ARCHITECTURES[name].about}" for name in names
        ),
        **kept("architecture"),
    )
    config = ARCHITECTURES[chosen].Config
    left, right = st.columns(2)
    model: dict[str, Any] = {
        "architecture": chosen,
        "num_levels": right.select_slider(
            "Levels", [2, 4, 8, 16, 32, 64, 128, 256], 256,
            help="Grey levels, or levels of each colour. Bits/dim of different numbers of levels "
            "cannot be compared.",
            **kept("num_levels"),
        ),
    }  # fmt: skip
    shared = ModelConfig
    if issubclass(config, ConvolutionConfig):
        model |= _of_convolutions(start.model, left, right)
        shared = ConvolutionConfig
    model |= _of_fields(config, shared, left)
    conditional = has_classes and right.toggle(
        "Class-conditional", True, help="Then you can ask the model for a class.",
        **kept("conditional"),
    )  # fmt: skip
    eight = right.toggle(
        "Eight raster orders", False,
        help="Also learn to draw from the other sides and corners, which completions profit from. "
        "Takes longer to learn.",
        **kept("eight_orders"),
    )  # fmt: skip
    model["num_orders"] = 8 if eight else 1
    return model, conditional


def _of_convolutions(
    start: dict[str, Any], left: DeltaGenerator, right: DeltaGenerator
) -> dict[str, Any]:
    """Let the visitor set the size of a model made of masked convolutions."""
    features = left.slider("Features", 12, 96, start["num_features"], 12, **kept("num_features"))
    size = left.select_slider(
        "Kernel size", [3, 5, 7], start["kernel_size"], **kept("kernel_size")
    )
    depth = right.slider("Blocks", 1, 12, len(start["dilations"]), help="Depth.", **kept("depth"))
    reach = left.select_slider(
        "Largest dilation", [1, 2, 4, 8], 8, help="Kernels with gaps see further at equal cost.",
        **kept("largest_dilation"),
    )  # fmt: skip
    dilations = presets.blocks(depth, reach)
    return {"num_features": features, "kernel_size": size, "dilations": dilations}


def _of_fields(
    config: type[ModelConfig], shared: type[ModelConfig], place: DeltaGenerator
) -> dict[str, Any]:
    """Let the visitor set what an architecture adds to the settings that it shares."""
    values = {}
    names = {field.name for field in fields(shared)}
    for field in fields(config):
        if field.name in names:
            continue
        title = field.name.removeprefix("num_").replace("_", " ").capitalize()
        key = kept(f"{config.architecture}-{field.name}")  # each has its own defaults
        about = {"help": doc_of(config, field.name), **key}
        if isinstance(field.default, bool):
            values[field.name] = place.toggle(title, field.default, **about)
        elif choices := choices_of(config, field.name):
            values[field.name] = place.select_slider(title, choices, field.default, **about)
        elif limits := limits_of(config, field.name):
            low, high = map(type(field.default), limits)
            values[field.name] = place.number_input(title, low, high, field.default, **about)
    return values


def kept(key: str) -> dict[str, str]:
    """Give the arguments of a widget whose value stays for the session, drawn or not."""
    return {"key": PREFIX + key, "persist_state": "session"}


def send_again() -> None:
    """Send all that was set to the browser again; only before its widgets are drawn.

    Streamlit does not, if the browser still knew it when it asked for the form. A browser that
    leaves the form and comes back at once asks before it forgets, and would show the defaults.
    """
    for key in list(st.session_state):
        if key == "preset" or str(key).startswith(PREFIX):
            st.session_state[key] = st.session_state[key]


def _optimiser(
    start: dict[str, Any], model: dict[str, Any], train: dict[str, Any], conditional: bool
) -> str:
    """Let the visitor set the rest, into the two dictionaries; returns the device."""
    d = TrainConfig()
    left, right = st.columns(2)
    train["learning_rate"] = left.number_input(
        "Learning rate", 1e-5, 1.0, start["learning_rate"], 1e-3, format="%.5f",
        help="The highest one: it rises to it, then falls as a cosine to zero. 0.008 is good for "
        "some thousand images, 0.003 for a hundred thousand.",
        **kept("learning_rate"),
    )  # fmt: skip
    train["batch_size"] = right.number_input(
        "Images in a batch", 1, 1024, d.batch_size, **kept("batch_size")
    )
    train["warmup_fraction"] = left.slider(
        "Warm-up", 0.0, 0.5, d.warmup_fraction, 0.01, **kept("warmup_fraction")
    )
    train["max_grad_norm"] = right.number_input(
        "Largest gradient norm", 0.01, 1000.0, d.max_grad_norm, **kept("max_grad_norm")
    )
    train["weight_decay"] = left.number_input(
        "Weight decay", 0.0, 1.0, d.weight_decay, **kept("weight_decay")
    )
    train["ema_decay"] = right.number_input(
        "Decay of the average weights", 0.0, 0.9999, start["ema_decay"], 1e-3, format="%.4f",
        help="Pictures are drawn with a moving average of the weights.",
        **kept("ema_decay"),
    )  # fmt: skip
    train["label_dropout"] = left.slider(
        "Share of hidden classes", 0.0, 1.0, d.label_dropout, 0.05,
        help="So that the model can also draw any class.",
        **kept("label_dropout"),
    )  # fmt: skip
    if "num_features" in model:  # set here, and of masked convolutions
        model["dropout"] = right.slider(
            "Dropout", 0.0, 0.9, 0.0, 0.05, help="For small data sets.", **kept("dropout")
        )
    if conditional:
        train["label_contrast"] = left.number_input(
            "Label contrast", 0.0, 1e6, d.label_contrast, 50.0, format="%.0f",
            help="Weight of distinguishing the class of an image from another one. 200 makes "
            "pictures keep to the class that is asked for, for twice the work; 0 leaves it out.",
            **kept("label_contrast"),
        )  # fmt: skip
    train["seed"] = left.number_input("Seed", 0, 999_999, 0, **kept("seed"))
    train["bfloat16"] = right.toggle(
        "bfloat16",
        True,
        help="Half precision in the convolutions, where the device is good at it.",
        **kept("bfloat16"),
    )
    train["validation_images"] = left.number_input(
        "Images to score", 10, 5000, 300, 50, **kept("validation_images")
    )
    return right.selectbox(
        "Device",
        ["auto", *available_devices()],
        help="auto: CUDA, else MPS, else CPU.",
        **kept("device"),
    )
