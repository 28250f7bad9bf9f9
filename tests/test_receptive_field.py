"""The field layer by layer: against gradients of the network cut off there, and against trial."""

import numpy as np
import pytest

from pixelcnn import load_model, sample
from pixelcnn.inspection.influence import effective_receptive_field, logits
from pixelcnn.inspection.receptive_field import (
    PixelRole,
    dependency_maps,
    forbidden_pixels,
    layer_fields,
    past_coverage,
)

from .tiny import (
    CONVOLUTIONAL,
    pixel_offsets,
    random_levels,
    tiny_config,
    tiny_model,
)

WIDE = {"num_features": 24, "head_features": 48}
SHIPPED = ("fashion-mnist-gated", "fashion-mnist-classic")
PAST = (PixelRole.SEEN, PixelRole.BLIND_SPOT, PixelRole.BEYOND_REACH)


@pytest.mark.parametrize("num_channels", [1, 3])
@pytest.mark.parametrize("architecture", CONVOLUTIONAL)
def test_the_field_of_a_layer_is_that_of_a_network_that_ends_there(architecture, num_channels):
    shape = {"num_channels": num_channels, "height": 7, "width": 8, **WIDE}
    dilations = (1, 2, 1)
    whole = layer_fields(tiny_model(architecture, dilations=dilations, **shape))
    assert len(whole) == 4
    for count in (1, 2, 3):
        part = tiny_model(architecture, dilations=dilations[:count], **shape)
        assert (whole[count].maps() == dependency_maps(part)).all()


@pytest.mark.parametrize("architecture", CONVOLUTIONAL)
def test_fields_grow_from_the_kernel_with_mask_a_to_the_dependency_maps(architecture):
    model = tiny_model(architecture, height=7, width=8, first_kernel_size=5, dilations=(2, 1, 3))
    fields = layer_fields(model)
    down, right = pixel_offsets(7, 8)
    past = (down < 0) | ((down == 0) & (right < 0))
    assert (fields[0].maps() == (past & (down >= -2) & (abs(right) <= 2))).all()
    for before, after in zip(fields, fields[1:], strict=False):
        assert (before.maps() <= after.maps()).all() and before.reach < after.reach
    assert [f.reach for f in fields] == [2, 4, 5, 8]
    assert fields[0].name == "5 x 5, mask A" and fields[1].name == "3 x 3, mask B, dilation 2"


@pytest.mark.parametrize("architecture", CONVOLUTIONAL)
def test_roles_sort_every_pixel_and_totals_count_them(architecture):
    model = tiny_model(architecture, height=7, width=9)
    down, right = pixel_offsets(7, 9)
    past = np.tri(63, k=-1, dtype=bool)
    for field in layer_fields(model):
        maps = field.maps()
        roles = np.stack([field.roles(pixel).ravel() for pixel in range(63)])
        assert ((roles == PixelRole.CURRENT) == np.eye(63, dtype=bool)).all()
        assert ((roles == PixelRole.FUTURE) == past.T).all()
        assert ((roles == PixelRole.SEEN) == maps).all()
        near = (down >= -field.reach) & (abs(right) <= field.reach)
        assert ((roles == PixelRole.BLIND_SPOT) == (past & ~maps & near)).all()
        totals = field.totals
        assert {kind: int((roles == kind).sum()) for kind in PixelRole} == totals
        assert (totals[PixelRole.SEEN], sum(totals[k] for k in PAST)) == past_coverage(maps)


@pytest.mark.parametrize(("dilations", "unseen"), [((4, 4), 108_336), ((1, 2), 0)])
def test_gaps_between_dilated_entries_are_a_blind_spot_of_the_gated_model_too(dilations, unseen):
    kernels = {"first_kernel_size": 5, "kernel_size": 5}
    model = tiny_model("gated", height=28, width=28, dilations=dilations, **kernels)
    totals = layer_fields(model)[-1].totals
    assert totals[PixelRole.BLIND_SPOT] == unseen and sum(totals[k] for k in PAST) == 306_936


def test_a_pixel_that_does_not_exist_is_named():
    field = layer_fields(tiny_model())[0]
    with pytest.raises(ValueError, match=r"`pixel` \(=30\) must lie in 0..29"):
        field.roles(30)
    with pytest.raises(ValueError, match=r"`position` \(=-1\) must lie in 0..29"):
        forbidden_pixels(tiny_model(), random_levels(tiny_config(), 1), -1)
    with pytest.raises(ValueError, match=r"`position` \(=30\) must lie in 0..29"):
        effective_receptive_field(tiny_model(), random_levels(tiny_config(), 1), None, 30)


@pytest.mark.parametrize("name", SHIPPED)
def test_changing_pixels_of_the_shipped_models_changes_what_the_maps_say(name):
    model = load_model(name)
    maps = dependency_maps(model)
    levels = sample(model, seed=3, label=2)
    before = logits(model, levels, 2)
    hits = expected = 0
    for changed in (0, 5, 27, 130, 391, 400, 600, 755, 783):
        other = levels.clone()
        other.view(-1)[changed] = (other.view(-1)[changed] + 100) % 256
        differs = (logits(model, other, 2) != before).any(1).flatten().numpy()
        assert not differs[: changed + 1].any()  # the prediction at it and before it
        assert (differs <= maps[:, changed]).all()  # nothing outside of the field
        hits, expected = hits + differs.sum(), expected + maps[:, changed].sum()
    assert hits >= 0.97 * expected  # an influence can be too small for one change to show
    assert maps[400, :400].all() == (name == "fashion-mnist-gated")  # no blind spot above it


def test_a_model_without_layers_has_one_field_of_all_that_it_depends_on():
    (field,) = layer_fields(tiny_model("average"))
    assert field.name == "Causal average"
    assert (field.maps() == np.tri(30, k=-1, dtype=bool)).all()
