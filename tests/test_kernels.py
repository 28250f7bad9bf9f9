"""Kernels as data: laid into their window they compute what the layer computes."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from pixelcnn.inspection.kernels import block_features, input_names, kernel, kernel_paths

from .tiny import CONVOLUTIONAL, random_levels, tiny_config, tiny_model


@pytest.mark.parametrize("num_channels", [1, 3])
@pytest.mark.parametrize("architecture", CONVOLUTIONAL)
def test_the_window_of_every_layer_convolves_as_the_layer_does(architecture, num_channels):
    model = tiny_model(
        architecture, num_channels=num_channels, first_kernel_size=5, dilations=(1, 2)
    )
    paths = kernel_paths(model)
    layers = {p for p, m in model.named_modules() if isinstance(m, torch.nn.Conv2d)}
    assert set(paths) == {p for p in layers if not p.startswith("encoder")}  # it has no masks
    for path in paths:
        layer, window = model.get_submodule(path), kernel(model, path)
        x = torch.randn(1, layer.in_channels, 7, 8, dtype=torch.float64)
        own = F.conv2d(
            x,
            torch.from_numpy(window.weights).double(),
            layer.bias,
            padding=window.dilation * (window.size // 2),
            dilation=window.dilation,
        )
        torch.testing.assert_close(own, layer(x), rtol=1e-5, atol=1e-5, msg=path)
        assert not window.weights[~window.is_open].any()
        assert (window.is_open.any((0, 1)) <= window.is_part).all()
        order = np.arange(window.size**2).reshape(window.size, window.size)
        later = order > window.size**2 // 2
        if window.is_vertical:  # its features know rows above only, so it may read the whole row
            later = order >= (window.size // 2 + 1) * window.size
        assert not window.is_open[..., later].any()
        assert window.title == paths[path]


def test_the_first_layers_hide_their_centre_and_titles_say_what_a_layer_is():
    classic, gated = tiny_model("classic"), tiny_model("gated")
    assert not kernel(classic, "first").is_open[:, :, 1, 1].any()
    assert kernel(classic, "blocks.0.conv").is_open[:, :, 1, 1].all()
    assert kernel(gated, "first_horizontal").is_part.tolist() == [[0, 0, 0], [1, 1, 0], [0, 0, 0]]
    assert kernel(gated, "first_vertical").is_part.tolist() == [[1, 1, 1], [0, 0, 0], [0, 0, 0]]
    assert kernel_paths(classic)["blocks.1.conv"] == "block 2, masked, 3 x 3, mask B, dilation 2"
    first, *_, last = kernel_paths(classic)
    assert (first, last) == ("first", "head.1")


def test_norms_are_over_all_inputs_and_a_layer_that_does_not_exist_is_named():
    window = kernel(tiny_model("classic"), "first")
    expected = np.where(window.is_open[3, 0], np.sqrt((window.weights[3] ** 2).sum(0)), np.nan)
    np.testing.assert_allclose(window.visible(None)[3], expected, rtol=1e-6)
    with pytest.raises(ValueError, match=r"`path` \(='blocks.9.conv'\) must be one of first, "):
        kernel(tiny_model("classic"), "blocks.9.conv")


@pytest.mark.parametrize("num_channels", [1, 3])
def test_every_input_feature_has_a_name(num_channels):
    names = input_names(tiny_config(num_channels=num_channels))
    assert len(names) == len(set(names)) == num_channels * tiny_config().features_per_channel


@pytest.mark.parametrize("architecture", CONVOLUTIONAL)
def test_block_features_are_those_that_flow_through_the_network(architecture):
    model = tiny_model(architecture, num_classes=2, dilations=(1, 2, 1))
    levels = random_levels(model.config, 1)
    received = []
    for block in model.blocks:  # the horizontal stack is the second argument of a gated block
        block.register_forward_pre_hook(
            lambda _, inputs: received.append(inputs[architecture != "classic"])
        )
    model(levels, torch.tensor([1]))
    assert model.num_residual_blocks == (3 if architecture == "classic" else 2)
    inputs = list(received)
    for block in range(model.num_residual_blocks):
        before, added = block_features(model, levels, 1, block)
        torch.testing.assert_close(before, inputs[block][0])
        if block + 1 < len(inputs):
            torch.testing.assert_close(before + added, inputs[block + 1][0])
    with pytest.raises(ValueError, match=r"`block` \(=3\) must lie in"):
        block_features(model, levels, 1, 3)
