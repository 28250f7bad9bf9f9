"""What a kernel may read: masks, every layer, and both stacks, by exact Jacobian."""

import copy

import numpy as np
import pytest
import torch
from torch.autograd.functional import jacobian

from pixelcnn import sample
from pixelcnn.masks import channel_mask, kernel_mask
from pixelcnn.models.classic import ResidualBlock
from pixelcnn.models.convolutions import MaskedConv2d, condition_bias
from pixelcnn.models.gated import GatedBlock, HorizontalConv2d, VerticalConv2d, gated_activation

from .tiny import ARCHITECTURES, pixel_offsets, randomize, tiny_config, tiny_model

HEIGHT, WIDTH = 6, 7
SIZES = [(3, 1), (5, 1), (3, 2)]  # kernel size, dilation


def reads(function, in_features, out_features, *, inputs=4):
    """Sum |Jacobian| over random inputs: (out_features, H*W, in_features, H*W)."""
    total = 0
    for seed in range(inputs):
        generator = torch.Generator().manual_seed(seed)
        x = torch.randn(1, in_features, HEIGHT, WIDTH, generator=generator, dtype=torch.float64)
        total = total + jacobian(function, x, vectorize=True).abs()
    return total.reshape(out_features, HEIGHT * WIDTH, in_features, HEIGHT * WIDTH).numpy()


def shape_of(name, num_channels, num_features):
    return tiny_config(
        name, num_channels=num_channels, num_features=num_features, head_features=6, num_classes=2
    )


def groups(features, num_channels):
    """Colour channel of every feature."""
    return np.arange(features) // (features // num_channels)


def expected_masked(out_features, in_features, kernel_size, dilation, num_channels, mask_type):
    """Which feature and pixel a masked convolution must read, written without the masks."""
    down, right = pixel_offsets(HEIGHT, WIDTH)
    reach = dilation * (kernel_size // 2)
    tap = (abs(down) <= reach) & (abs(right) <= reach)
    tap &= (down % dilation == 0) & (right % dilation == 0)
    past = tap & ((down < 0) | ((down == 0) & (right < 0)))
    own = (down == 0) & (right == 0)
    out, into = groups(out_features, num_channels), groups(in_features, num_channels)
    visible = into[None] <= out[:, None] if mask_type == "B" else into[None] < out[:, None]
    return past[None, :, None, :] | (own[None, :, None, :] & visible[:, None, :, None])


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: kernel_mask(4, "A"), r"`kernel_size` \(=4\) must be odd"),
        (lambda: kernel_mask(3, "C"), r"`mask_type` \(='C'\) must be 'A' or 'B'"),
        (lambda: channel_mask(3, 3, 3, "C"), r"`mask_type` \(='C'\) must be 'A' or 'B'"),
        (lambda: channel_mask(4, 3, 3, "A"), r"`out_features` \(=4\) must be a multiple"),
        (lambda: channel_mask(3, 4, 3, "B"), r"`in_features` \(=4\) must be a multiple"),
    ],
)
def test_impossible_masks_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize("kind", [MaskedConv2d, HorizontalConv2d])
@pytest.mark.parametrize("mask_type", ["A", "B"])
@pytest.mark.parametrize("num_channels", [1, 3])
@pytest.mark.parametrize(("kernel_size", "dilation"), SIZES)
def test_a_masked_convolution_reads_its_taps_and_nothing_else(
    kind, mask_type, num_channels, kernel_size, dilation
):
    layer = randomize(kind(9, 6, kernel_size, mask_type, num_channels, dilation)).double()
    wanted = expected_masked(6, 9, kernel_size, dilation, num_channels, mask_type)
    if kind is HorizontalConv2d:  # its row only
        wanted &= (pixel_offsets(HEIGHT, WIDTH)[0] == 0)[None, :, None, :]
    assert ((reads(layer, 9, 6, inputs=1) != 0) == wanted).all()


@pytest.mark.parametrize("mask_type", ["A", "B"])
@pytest.mark.parametrize(("kernel_size", "dilation"), SIZES)
def test_vertical_convolution_reads_whole_rows_above(mask_type, kernel_size, dilation):
    layer = randomize(VerticalConv2d(2, 3, kernel_size, mask_type, dilation)).double()
    down, right = pixel_offsets(HEIGHT, WIDTH)
    reach = dilation * (kernel_size // 2)
    tap = (abs(right) <= reach) & (down >= -reach) & (down <= (0 if mask_type == "B" else -1))
    tap &= (right % dilation == 0) & (down % dilation == 0)
    assert ((reads(layer, 2, 3, inputs=1) != 0) == tap[None, :, None, :]).all()


@pytest.mark.parametrize("num_channels", [1, 3])
def test_residual_block_reads_what_its_convolution_reads(num_channels):
    block = randomize(ResidualBlock(shape_of("classic", num_channels, 12), 2)).double()
    seen = reads(lambda x: block(x, torch.tensor([1])), 12, 12, inputs=16) != 0
    wanted = expected_masked(12, 12, 3, 2, num_channels, "B")
    assert not (seen & ~wanted).any()
    # One of the features of a channel may be dead, not all of them.
    shape = (num_channels, 12 // num_channels, HEIGHT * WIDTH) * 2
    seen, wanted = (m.reshape(shape).any((1, 4)) for m in (seen, wanted))
    assert (seen == wanted).all()


@pytest.mark.parametrize("num_channels", [1, 3])
def test_gated_activation_never_mixes_positions_or_channels(num_channels):
    seen = reads(lambda x: gated_activation(x, num_channels), 12, 6) != 0
    own_channel = groups(6, num_channels)[:, None] == groups(12, num_channels)[None]
    same_pixel = np.eye(HEIGHT * WIDTH, dtype=bool)
    assert not (seen & ~own_channel[:, None, :, None]).any()
    assert not (seen & ~same_pixel[None, :, None, :]).any()
    assert (seen.sum((2, 3)) == 2).all()  # its own a and its own b


def test_gated_activation_is_tanh_times_sigmoid_and_a_condition_adds_nothing_at_first():
    x = torch.randn(2, 8, 3, 4, dtype=torch.float64)
    assert torch.equal(gated_activation(x), torch.tanh(x[:, :4]) * torch.sigmoid(x[:, 4:]))
    assert condition_bias(4, 5).weight.shape == (4, 5)
    assert not condition_bias(4, 5).weight.any()


@pytest.mark.parametrize("num_channels", [1, 3])
def test_horizontal_stack_reads_vertical_but_never_the_reverse(num_channels):
    block = randomize(GatedBlock(shape_of("gated", num_channels, 6), 1, is_last=False)).double()
    label = torch.tensor([2])
    fixed = torch.randn(1, 6, HEIGHT, WIDTH, dtype=torch.float64)
    down, right = pixel_offsets(HEIGHT, WIDTH)
    rows_above_and_own = (down <= 0) & (down >= -1) & (abs(right) <= 1)

    from_horizontal = reads(lambda h: block(fixed, h, label)[0] + 0 * h.sum(), 6, 6)
    assert not from_horizontal.any()
    for output in (0, 1, 2):  # vertical, horizontal and skip
        seen = reads(lambda v, i=output: block(v, fixed, label)[i], 6, 6)
        assert ((seen != 0).any((0, 2)) == rows_above_and_own).all()
    for output in (1, 2):
        seen = reads(lambda h, i=output: block(fixed, h, label)[i], 6, 6)
        wanted = expected_masked(6, 6, 3, 1, num_channels, "B") & (down == 0)[None, :, None, :]
        assert ((seen != 0) == wanted).all()


def stacks(model, features, label):
    """Vertical and horizontal features after all blocks of a gated model."""
    vertical, horizontal = model.first_vertical(features), model.first_horizontal(features)
    for block in model.blocks:
        vertical, horizontal, _ = block(vertical, horizontal, label)
    return vertical, horizontal


def test_vertical_stack_knows_exactly_the_rows_above_and_horizontal_also_the_left():
    # Reach: 1 of the first kernel, then 1 and 2 of the blocks; the last one leaves the stacks.
    model, reach = tiny_model(height=HEIGHT, width=WIDTH, dilations=(1, 2, 1)), 4
    down, right = pixel_offsets(HEIGHT, WIDTH)
    above = (down < 0) & (down >= -reach) & (abs(right) <= reach)
    left = (down == 0) & (right < 0) & (right >= -reach)
    any_class = torch.tensor([0])
    for output, wanted in ((0, above), (1, above | left)):
        seen = reads(lambda x, i=output: stacks(model, x, any_class)[i], 8, 6)
        assert ((seen != 0).any((0, 2)) == wanted).all()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_neither_a_pass_nor_drawing_changes_anything_in_the_model(architecture):
    model = tiny_model(architecture, num_classes=2)
    before = copy.deepcopy(model)
    levels = torch.randint(0, 4, (2, 1, 5, 6))
    first = model(levels, torch.tensor([0, 2]))
    assert torch.equal(first, model(levels, torch.tensor([0, 2])))
    sample(model, seed=1)
    for old, new in zip(before.modules(), model.modules(), strict=True):
        assert old.__dict__.keys() == new.__dict__.keys()
    old, new = (dict(m.named_parameters()) | dict(m.named_buffers()) for m in (before, model))
    assert old.keys() == new.keys()
    assert all(torch.equal(old[name], new[name]) for name in old)
    assert not [name for name in model.state_dict() if "mask" in name]  # checkpoints hold none
