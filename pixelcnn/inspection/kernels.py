"""Every convolution of a model as data: what each entry of its kernel reads, and its weights."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pixelcnn.inspection.receptive_field import check_position
from pixelcnn.models import Model, ModelConfig
from pixelcnn.models.convolutions import MaskedConv2d, acting_weight
from pixelcnn.models.gated import HorizontalConv2d, VerticalConv2d

_WORDS = {
    "first": "first layer",
    "first_vertical": "first layer, vertical stack",
    "first_horizontal": "first layer, horizontal stack",
    "reduce": "1 x 1 in",
    "conv": "masked",
    "expand": "1 x 1 out",
    "vertical": "vertical stack",
    "vertical_to_horizontal": "vertical to horizontal",
    "horizontal": "horizontal stack",
    "skip": "skip",
    "residual": "residual",
}


@dataclass(frozen=True)
class Kernel:
    """One convolution, laid into the k x k window around the position that it computes.

    Entry [r, c] of the window reads `dilation * (r - k//2)` rows below and as many columns to the
    right. The stacks of the gated model have kernels that are parts of the window.
    """

    title: str
    """Which of the model's convolutions it is, in words."""
    mask_type: Literal["A", "B"] | None
    """None of a plain 1x1 convolution from the vertical to the horizontal stack."""
    dilation: int
    """Distance between two entries, in pixels."""
    weights: NDArray[np.float32]
    """(outputs, inputs, k, k): the weights that act; 0 where the mask hides one."""
    is_open: NDArray[np.bool_]
    """(outputs, inputs, k, k): whether the mask lets the entry read."""
    is_vertical: bool
    """Whether it belongs to the vertical stack, whose features know only pixels of rows above. So
    in the row of the centre it may read to the right as well."""
    is_part: NDArray[np.bool_]
    """(k, k): whether the convolution has the entry at all, hidden or not."""

    @property
    def size(self) -> int:
        """Width of the window, k."""
        return len(self.is_part)

    def visible(self, source: int | None) -> NDArray[np.float32]:
        """Return the weights for one input feature, or for None the norms over all of them.

        Returns:
            (outputs, k, k), Euclidean norms; NaN where the mask hides the entry.
        """
        if source is None:
            weights, is_open = np.linalg.norm(self.weights, axis=1), self.is_open.any(1)
        else:
            weights, is_open = self.weights[:, source], self.is_open[:, source]
        return np.where(is_open, weights, np.nan)


def kernel_paths(model: Model) -> dict[str, str]:
    """List the convolutions of a model in the order of use: path to title."""
    return {path: _title(path, layer) for path, layer in model.convolutions().items()}


@torch.inference_mode()
def kernel(model: Model, path: str) -> Kernel:
    """Lay one convolution of a model out, named by a key of `kernel_paths(model)`.

    Raises:
        ValueError: if the model has no such convolution.
    """
    paths = kernel_paths(model)
    if path not in paths:
        raise ValueError(f"`path` (={path!r}) must be one of {', '.join(paths)}.")
    layer = model.get_submodule(path)
    weight = acting_weight(layer).detach().float()
    is_open = getattr(layer, "mask", torch.ones_like(weight)).expand_as(weight) != 0
    size = layer.kernel_size[1]
    rows, columns = slice(0, layer.kernel_size[0]), slice(None)
    if isinstance(layer, HorizontalConv2d):
        reach = size - 1  # its kernel ends at the centre
        size = 2 * reach + 1
        rows, columns = slice(reach, reach + 1), slice(0, reach + 1)
    window = np.zeros((*weight.shape[:2], size, size), np.float32)
    weights, opened, is_part = window.copy(), window.astype(bool), window[0, 0].astype(bool)
    weights[:, :, rows, columns] = weight.numpy()
    opened[:, :, rows, columns] = is_open.numpy()
    is_part[rows, columns] = True
    return Kernel(
        title=paths[path],
        mask_type=getattr(layer, "mask_type", None),
        dilation=layer.dilation[0],
        weights=weights,
        is_open=opened,
        is_vertical=isinstance(layer, VerticalConv2d),
        is_part=is_part,
    )


@torch.inference_mode()
def block_features(
    model: Model, levels: Tensor, label: int | None, block: int
) -> tuple[Tensor, Tensor]:
    """Give the features that a residual block receives, and what it adds to them.

    Of the gated model these are those of the horizontal stack; its last block adds to none. Levels
    are int64 (1, C, H, W), the label is a class, or None for any.

    Returns:
        Before and added, (F, H, W) each; their sum is what the next block receives.

    Raises:
        ValueError: if there is no such block, 0..model.num_residual_blocks-1.
    """
    check_position("block", block, model.num_residual_blocks)
    condition = model.condition(1, None if label is None else torch.tensor([label]))
    before, after = model.residual_stream(model.encode(levels), condition)[block : block + 2]
    return before[0], (after - before)[0]


def input_names(config: ModelConfig) -> list[str]:
    """Name the input features of `Model.encode`; s is the level scaled to [-1, 1]."""
    names = ["level s", "is level 0"]
    for octave in range(config.num_frequencies):
        times = f"{2**octave}" if octave else ""
        names += [f"{wave}({times}πs)" for wave in ("sin", "cos")]
    channels = ("R: ", "G: ", "B: ") if config.num_channels == 3 else ("",)
    return [f"{channel}{name}" for channel in channels for name in names]


def _title(path: str, layer: nn.Conv2d) -> str:
    *_, number, name = ["", *path.split(".")]
    if path.startswith("head"):
        words = f"head {int(name) + 1}"
    elif path.startswith("blocks"):
        words = f"block {int(number) + 1}, {_WORDS[name]}"
    else:
        words = _WORDS[name]
    rows, columns = layer.kernel_size
    kind = f", mask {layer.mask_type}" if isinstance(layer, MaskedConv2d) else ""
    if isinstance(layer, HorizontalConv2d | VerticalConv2d):
        kind = f", type {layer.mask_type}"
    dilation = f", dilation {layer.dilation[0]}" if layer.dilation[0] > 1 else ""
    return f"{words}, {rows} x {columns}{kind}{dilation}"
