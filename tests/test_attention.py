"""What a prediction looked at: weights of attention, by layer and head."""

import pytest
import torch

from pixelcnn.models.causal_attention import CausalAttention

from .tiny import ARCHITECTURES, random_levels, randomize, tiny_model


def test_the_weights_are_those_that_mix_the_values_in_a_pass():
    layer = randomize(CausalAttention(6, 9, 2, 3, 5)).double()
    generator = torch.Generator().manual_seed(1)
    queries, sources = (
        torch.randn(2, 7, size, generator=generator, dtype=torch.float64) for size in (6, 9)
    )
    whole = layer(queries, sources)
    value = layer.key_value(sources).chunk(2, -1)[1].view(2, 7, 2, 3)
    for position in range(7):
        weights = layer.weights(queries, sources, position)  # (B, heads, position + 1)
        mixed = torch.einsum("bhn,bnhf->bhf", weights, value[:, : position + 1]).flatten(1)
        torch.testing.assert_close(layer.out(mixed), whole[:, position], rtol=0, atol=1e-12)


@pytest.mark.parametrize("num_channels", [1, 3])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_maps_hold_the_past_only_and_change_with_it(architecture, num_channels):
    model = tiny_model(architecture, num_channels=num_channels, num_classes=2)
    levels, label = random_levels(model.config, 2), torch.tensor([0, 2])
    for position in (0, 1, 13, model.config.num_dims - 1):
        maps = model.attention(levels, position, label)
        layers, batch, heads, *size = maps.shape
        assert (batch, *size) == (2, 5, 6)
        assert layers == heads == 2 * (architecture in ("transformer", "attention"))
        pixel, channel = divmod(position, num_channels)
        by_pixel = maps.flatten(-2)
        assert (by_pixel >= 0).all() and (by_pixel.sum(-1) < 1).all()
        assert (by_pixel[..., :pixel] > 0).all() and not by_pixel[..., pixel + 1 :].any()
        own = layers and channel and architecture == "transformer"  # earlier channels
        assert (by_pixel[..., pixel] > 0).all() if own else not by_pixel[..., pixel].any()
    if layers:
        other = levels.clone()
        other[:, :, 0, 0] = (levels[:, :, 0, 0] + 1) % 4
        assert ((model.attention(other, position, label) - maps).abs().amax((-1, -2)) > 0).all()
