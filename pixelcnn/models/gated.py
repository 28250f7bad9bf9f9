"""The gated PixelCNN: two stacks, trained in one pass, drawn by rows.

Shapes: B batch, F features, H rows, W columns.
"""

from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from pixelcnn.config import settings
from pixelcnn.masks import MaskType, horizontal_mask
from pixelcnn.models.base import Array, Stepper, register
from pixelcnn.models.convolutions import (
    ConvolutionConfig,
    ConvolutionModel,
    MaskedConv2d,
    condition_bias,
    spread,
)
from pixelcnn.models.rows import RowStepper, pointwise, taps


@settings
class GatedConfig(ConvolutionConfig):
    """Settings of the gated model."""

    architecture: ClassVar[str] = "gated"


class VerticalConv2d(nn.Conv2d):
    """Convolve over rows above, and with type B the current row too, all columns alike.

    In the vertical stack the features of row r know only pixels of rows above r: type A (the first
    layer) reads rows r-k//2 .. r-1, type B reads features of rows up to and including r. So the
    stack widens on both sides from its first layer on.

    Arguments:
        in_features: input features.
        out_features: output features.
        kernel_size: k, odd; the kernel has k columns and k//2 (A) or k//2 + 1 (B) rows.
        mask_type: "A" for the first layer, "B" for all later ones.
        dilation: distance between two taps, in pixels.

    References:
        van den Oord et al. 2016, arXiv 1606.05328, section 2.2.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: int,
        mask_type: MaskType,
        dilation: int = 1,
    ) -> None:
        reach = kernel_size // 2
        rows = reach + int(mask_type == "B")
        super().__init__(in_features, out_features, (rows, kernel_size), dilation=dilation)
        self.mask_type = mask_type
        side = above = dilation * reach
        self.pad = (side, side, above, 0)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in_features, H, W) to (B, out_features, H, W)."""
        out = super().forward(F.pad(x, self.pad))  # type A: one row too many, it would see row H-1
        return out[:, :, : x.shape[2]]


class HorizontalConv2d(MaskedConv2d):
    """Convolve over the current row, to the left; type B includes the current position.

    The kernel is one row of k//2 + 1 columns, the left half of the middle row.

    Arguments are those of `MaskedConv2d`.

    References:
        van den Oord et al. 2016, arXiv 1606.05328, section 2.2.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: int,
        mask_type: MaskType,
        num_channels: int = 1,
        dilation: int = 1,
    ) -> None:
        reach = kernel_size // 2
        nn.Conv2d.__init__(self, in_features, out_features, (1, reach + 1), dilation=dilation)
        self.pad = (dilation * reach, 0, 0, 0)
        self.set_mask(mask_type, num_channels)

    def make_mask(self, outputs: int, inputs: int, size: int, channels: int, kind: str) -> Tensor:
        """Build the mask of the row's left half."""
        return horizontal_mask(outputs, inputs, 2 * self.kernel_size[1] - 1, channels, kind)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in_features, H, W) to (B, out_features, H, W)."""
        return super().forward(F.pad(x, self.pad))


def gated_activation(x: Tensor, num_channels: int = 1) -> Tensor:
    """Compute tanh(a) * sigmoid(b), where each channel group of x holds its a, then its b.

    Arguments:
        x: (B, 2F, H, W).
        num_channels: C, channel groups; a gate never mixes groups.

    Returns:
        (B, F, H, W).

    References:
        van den Oord et al. 2016, arXiv 1606.05328, equation 2.
    """
    parts = x.chunk(2 * num_channels, 1)  # in slices, which torch.compile turns into vector code
    pairs = zip(parts[::2], parts[1::2], strict=True)
    return torch.cat([torch.tanh(a) * torch.sigmoid(b) for a, b in pairs], 1)


class GatedBlock(nn.Module):
    """One step of both stacks with gates, residual and skip connection.

    The horizontal stack reads the vertical one, never the reverse. Unlike figure 2 of the paper
    the vertical stack has a residual connection too, which trains faster here. Nothing reads the
    stacks after the last block, so that one has its skip only.

    References:
        van den Oord et al. 2016, arXiv 1606.05328, figure 2 and equation 4.
    """

    def __init__(self, config: GatedConfig, dilation: int, is_last: bool) -> None:
        super().__init__()
        c, size = config, config.num_features
        self.num_channels = c.num_channels
        self.is_last = is_last
        self.vertical = VerticalConv2d(size, 2 * size, c.kernel_size, "B", dilation)
        self.vertical_to_horizontal = nn.Conv2d(2 * size, 2 * size, 1)
        self.horizontal = HorizontalConv2d(
            size, 2 * size, c.kernel_size, "B", c.num_channels, dilation
        )
        self.skip = MaskedConv2d(size, size, 1, "B", c.num_channels)
        if not is_last:
            self.residual = MaskedConv2d(size, size, 1, "B", c.num_channels)
            self.vertical_condition_bias = condition_bias(c.num_conditions, 2 * size)
        self.horizontal_condition_bias = condition_bias(c.num_conditions, 2 * size)
        self.dropout = nn.Dropout(c.dropout)

    def forward(
        self,
        vertical: Tensor,
        horizontal: Tensor,
        condition: Tensor,
        biases: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Map both stacks (B, F, H, W) and condition (B,) to vertical, horizontal, skip.

        Biases, (B, 4F, H, W), are added to the horizontal gate and to the vertical one.
        """
        above = self.vertical(vertical)  # (B, 2F, H, W)
        left = self.horizontal(horizontal) + self.vertical_to_horizontal(above)
        if biases is not None:
            left = left + biases[:, : left.shape[1]]
        gated = gated_activation(
            left + self.horizontal_condition_bias(condition)[:, :, None, None], self.num_channels
        )
        gated = self.dropout(gated)
        skip = self.skip(gated)
        if self.is_last:
            return vertical, horizontal, skip
        horizontal = horizontal + self.residual(gated)
        if biases is not None:
            above = above + biases[:, left.shape[1] :]
        gated = gated_activation(
            above + self.vertical_condition_bias(condition)[:, :, None, None], self.num_channels
        )
        return vertical + gated, horizontal, skip


@register
class GatedPixelCNN(ConvolutionModel):
    """The gated model: a vertical stack for the rows above, a horizontal one for this row.

    Without dilations it sees all that its kernels reach. What dilations skip, and no other layer
    fills, is a blind spot of this model too, see `dependencies`.

    References:
        van den Oord et al. 2016, arXiv 1606.05328, section 2.
    """

    Config = GatedConfig
    title = "Gated PixelCNN"
    about = (
        "Two stacks, one for the rows above, one for this row: no blind spot, unless dilations "
        "leave gaps."
    )
    about_masks = (
        "This model is gated: it cuts the same window into two kernels, the rows above and the "
        "row to the left, which together read what the mask lets through."
    )
    stack = "horizontal stack"

    def __init__(self, config: GatedConfig) -> None:
        super().__init__(config)
        c = config
        inputs = c.num_channels * c.features_per_channel
        self.first_vertical = VerticalConv2d(inputs, c.num_features, c.first_kernel_size, "A")
        self.first_horizontal = HorizontalConv2d(
            inputs, c.num_features, c.first_kernel_size, "A", c.num_channels
        )
        self.blocks = nn.ModuleList(
            GatedBlock(c, dilation, is_last=number == c.num_blocks)
            for number, dilation in enumerate(c.dilations, 1)
        )
        self.num_residual_blocks = c.num_blocks - 1  # the last has its skip only

    @property
    def first_convolution(self) -> MaskedConv2d:
        """The first layer of the horizontal stack."""
        return self.first_horizontal

    def logits_from_features(self, features: Tensor, condition: Tensor) -> Tensor:
        """Predict from the output of `encode`: (B, K, C, H, W)."""
        return self.logits_from_head(self._run(features, condition)[1])

    def residual_stream(self, features: Tensor, condition: Tensor) -> list[Tensor]:
        """Give the features of the horizontal stack; the last block adds to none."""
        return self._run(features, condition)[0]

    def _run(
        self, features: Tensor, condition: Tensor, biases: Sequence[Tensor] | None = None
    ) -> tuple[list[Tensor], Tensor]:
        """Give the horizontal stack before each block, and the sum of the skips."""
        position = self.position_features(condition)
        vertical = self.first_vertical(features) + position  # (B, F, H, W)
        horizontal = self.first_horizontal(features) + position
        stream, skips = [], torch.zeros_like(horizontal)
        biases = biases or [None] * len(self.blocks)
        for number, (block, bias) in enumerate(zip(self.blocks, biases, strict=True)):
            horizontal = self.before_block(number, horizontal, features)
            stream.append(horizontal)
            vertical, horizontal, skip = block(vertical, horizontal, condition, bias)
            skips = skips + skip
        return stream, skips

    def before_block(self, number: int, horizontal: Tensor, features: Tensor) -> Tensor:
        """Add to the horizontal stack, (B, F, H, W), what a block is to find there; or nothing."""
        return horizontal

    def reads(self) -> Iterator[NDArray[np.uint8]]:
        """Compose the masks: both stacks together, then the horizontal one, at last the skips."""
        vertical = spread(self.first_vertical, self.every_dim())
        horizontal = spread(self.first_horizontal, self.every_dim())
        yield vertical | horizontal
        skips = np.zeros_like(horizontal)
        for block in self.blocks:
            above = spread(block.vertical, vertical)
            linked = spread(block.vertical_to_horizontal, above)
            gated = linked | spread(block.horizontal, horizontal)
            skips |= spread(block.skip, gated)
            if not block.is_last:
                vertical = vertical | above
                horizontal = horizontal | spread(block.residual, gated)
            yield skips if block.is_last else horizontal

    @torch.inference_mode()
    def stepper(self, condition: Tensor) -> Stepper:
        """Draw row by row and pixel by pixel."""
        return GatedStepper(self, condition)


class GatedStepper(RowStepper):
    """`GatedPixelCNN`, row by row and pixel by pixel.

    A gate's features are laid out with all a's first, then all b's halved: as sigmoid(b) =
    (tanh(b / 2) + 1) / 2, one tanh serves both, and the factor 1/2 goes into the next weights.

    Arguments:
        model: the model that draws.
        condition: int64 (B,).
        biases: for each block what is added to the gates at each position, see
            `GatedBlock.forward`; for all pictures alike, (1, 4F, H, W).
    """

    kept = ("vertical", "horizontal")

    def __init__(
        self, model: GatedPixelCNN, condition: Tensor, biases: Sequence[Tensor] | None = None
    ) -> None:
        super().__init__(model, condition)
        c = self.config
        size = c.num_features
        gate = np.arange(2 * size).reshape(c.num_channels, 2, -1).swapaxes(0, 1).reshape(-1)
        half = np.where(np.arange(2 * size) < size, 1.0, 0.5).astype(self.dtype)

        def to_gates(values: Array) -> Array:
            """Reorder and halve the last axis, 2F."""
            values = np.take(values, gate, -1)
            values *= half
            return values

        first = model.first_vertical
        self.first_vertical = taps(first.weight), first.bias.numpy()
        first = model.first_horizontal
        self.first_horizontal = taps(first.masked_weight()), first.bias.numpy()
        self.row_weights, self.pixel_weights = [], []
        self.vertical, self.horizontal = [], []
        for block, dilation in zip(model.blocks, c.dilations, strict=True):
            bias = np.zeros((len(self.different), 2 * size), self.dtype)
            if not block.is_last:
                bias += block.vertical_condition_bias(self.different).numpy()
            link, link_bias = pointwise(block.vertical_to_horizontal)
            link_bias = link_bias + block.horizontal.bias.numpy() - bias @ link
            # The link reads the vertical features without this bias: it is taken off again.
            link_bias = link_bias + block.horizontal_condition_bias(self.different).numpy()
            self.row_weights.append(
                (
                    to_gates(taps(block.vertical.weight)),
                    to_gates(block.vertical.bias.numpy() + bias),
                    to_gates(link[gate] / half[:, None]),
                    to_gates(link_bias),
                )
            )
            outputs = [block.skip] if block.is_last else [block.residual, block.skip]
            outputs = [pointwise(layer) for layer in outputs]
            out_weight = 0.5 * np.concatenate([weight for weight, _ in outputs], 1)
            out_bias = np.concatenate([bias for _, bias in outputs])
            self.pixel_weights.append(
                (
                    to_gates(taps(block.horizontal.masked_weight())),
                    np.vstack([out_weight, out_bias]),  # read with a last input of 1
                )
            )
            border = dilation * (c.kernel_size // 2)
            self.vertical.append(self.map(size, border))
            self.horizontal.append(self.map(size, border))
        self.evidence = []  # for each block two of (H, W, 1, 2F), the vertical and the horizontal
        for bias in biases or ():
            both = bias.permute(2, 3, 0, 1).numpy()
            horizontal, vertical = both[..., : 2 * size], both[..., 2 * size :]
            if not vertical.size:  # nothing reads the vertical gate of the last block
                vertical = np.zeros_like(horizontal)
            self.evidence.append((to_gates(vertical), to_gates(horizontal)))

    def begin_row(self, row: int) -> None:
        """Run the vertical stack for a whole row, and its link to the horizontal stack."""
        c, size = self.config, self.config.num_features
        k = c.first_kernel_size
        weight, bias = self.first_vertical
        position = self.position_features[row].take(self.case, 1)  # (W, B, F)
        above = self.input.above(row, k // 2, k, 1, own_row=False)
        vertical = self.per_column(above @ weight + bias) + position  # (W, B, F)
        self.position_in_row = position + self.first_horizontal[1]
        self.from_above = []
        k = c.kernel_size
        for number, (cache, dilation, (weight, bias, link, link_bias)) in enumerate(
            zip(self.vertical, c.dilations, self.row_weights, strict=True)
        ):
            cache.put_row(row, vertical)
            above = cache.above(row, k // 2 + 1, k, dilation, own_row=True) @ weight
            gates = self.per_column(above)  # a view
            gates += bias.take(self.case, 0)
            linked = self.per_column(above @ link)
            linked += link_bias.take(self.case, 0)
            if self.evidence:
                gates += self.evidence[number][0][row]  # (W, 1, 2F), after the link has read them
                linked += self.evidence[number][1][row]
            self.from_above.append(linked)
            np.tanh(gates, out=gates)
            gated = gates[..., size:]
            gated += 1
            gated *= gates[..., :size]
            gated *= 0.5
            vertical += gated

    def pixel(self, row: int, col: int) -> Array:
        """Run the horizontal stack for one position; returns the sum of skips (B, F)."""
        c, size = self.config, self.config.num_features
        left = self.input.left(row, col, c.first_kernel_size // 2 + 1, 1)
        state = np.zeros((self.batch, 2 * size), self.dtype)  # residual | skips
        residual, skips = state[:, :size], state[:, size:]
        np.add(left.dot(self.first_horizontal[0]), self.position_in_row[col], out=residual)
        gated_and_1 = np.empty((self.batch, size + 1), self.dtype)
        gated_and_1[:, size] = 1  # what the bias is multiplied with
        gated = gated_and_1[:, :size]
        columns = c.kernel_size // 2 + 1
        blocks = zip(
            c.dilations, self.horizontal, self.from_above, self.pixel_weights, strict=True
        )
        for number, (dilation, cache, above, (weight, out_weight)) in enumerate(blocks):
            self.before_block(number, row, col, residual)
            cache.put(row, col, residual)
            gates = cache.left(row, col, columns, dilation).dot(weight)
            gates += above[col]
            np.tanh(gates, out=gates)
            np.multiply(gates[:, :size], gates[:, size:], out=gated)
            gated += gates[:, :size]
            outputs = gated_and_1.dot(out_weight)
            if outputs.shape == state.shape:
                state += outputs
            else:
                skips += outputs  # the last block has no residual
        return skips

    def before_block(self, number: int, row: int, col: int, residual: Array) -> None:
        """Do what the model's `before_block` does, to the features (B, F) of one position."""
