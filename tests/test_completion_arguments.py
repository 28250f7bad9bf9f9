"""What `complete` takes: numbers of any kind, several drawings, and what it refuses."""

import numpy as np
import pytest
import torch

from pixelcnn import complete, occlusion

from .tiny import random_levels, tiny_model

SMALL = tiny_model(height=3, width=4, num_classes=2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_images": 0}, r"`num_images` \(=0\) must be an integer of at least 1"),
        ({"num_images": 2.0}, r"`num_images` \(=2.0\) must be an integer"),
        ({"num_images": True}, r"`num_images` \(=True\) must be an integer"),
        ({"seed": -1}, r"`seed` \(=-1\) must be an integer from 0 to"),
        ({"num_particles": 0}, r"`num_particles` \(=0\) must be an integer of at least 1"),
        ({"num_particles": "8"}, r"`num_particles` \(='8'\) must be an integer"),
        ({"num_groups": 0}, r"`num_groups` \(=0\) must be an integer of at least 1"),
        ({"num_particles": 9, "num_groups": 2}, r"`num_groups` \(=2\) must divide .* \(=9\)"),
        ({"tolerance": -0.5}, r"`tolerance` \(=-0.5\) must be a number from 0 to 3"),
        ({"tolerance": float("nan")}, r"`tolerance` \(=nan\) must be a number from 0 to 3"),
        ({"first_image": 2}, r"`first_image` \(=2\) must be 0 with particles"),
        ({"order": 1}, r"`order` \(=1\) must be an integer from 0 to 0"),
        ({"order": True}, r"`order` \(=True\) must be an integer from 0 to 0"),
        ({"label": 3}, "label"),
        ({"label": [0, 1, 0]}, r"`label` \(=\[0, 1, 0\]\) must be one class, or 2 of them"),
        ({"method": "magic"}, r"`method` \(='magic'\) must be 'learned', .* or 'particles'"),
        ({"method": "prefix"}, "come after an unknown one"),
        ({"method": "clamping", "tolerance": 1.0}, r"`tolerance` \(=1.0\) must be 0 unless"),
    ],
)
def test_a_bad_argument_is_named_with_its_value_and_its_rule(arguments, message):
    levels = random_levels(SMALL.config, 2)
    known = torch.zeros(2, 1, 3, 4, dtype=torch.bool)
    known[:, :, 2] = True
    with pytest.raises(ValueError, match=message):
        complete(SMALL, levels, known, **({"method": "particles"} | arguments))


def test_numbers_of_numpy_are_numbers():
    levels, known = random_levels(SMALL.config, 1), occlusion("lower-half", 3, 4)
    numbers = {"num_images": 2, "num_particles": 8, "num_groups": 2, "seed": 3, "order": 0}
    of_numpy = {name: np.int64(value) for name, value in numbers.items()}
    expected = complete(SMALL, levels, known, tolerance=0.5, **numbers)
    result = complete(SMALL, levels, known, tolerance=np.float32(0.5), **of_numpy)
    assert torch.equal(result.levels, expected.levels)


@pytest.mark.parametrize("method", ["prefix", "clamping", "particles"])
def test_several_drawings_are_completed_as_each_alone(method):
    levels = random_levels(SMALL.config, 3)
    known = torch.zeros(3, 1, 3, 4, dtype=torch.bool)
    for number, rows in enumerate((1, 2, 1)):
        known[number, :, :rows] = True
    label = [0, 1, 1]
    settings = {"method": method, "num_images": 4, "num_particles": 8, "seed": 5}
    result = complete(SMALL, levels, known, label=label, **settings)
    assert result.levels.shape == (3, 4, 1, 3, 4)
    assert result.method == (method,) * 3 and len(result.particles) == 3
    for i in range(3):
        alone = complete(SMALL, levels[i : i + 1], known[i : i + 1], label=label[i], **settings)
        assert torch.equal(alone.levels[0], result.levels[i])
        assert torch.equal(alone.log_prob[0], result.log_prob[i])
        assert torch.equal(result.levels[i][:, known[i]], levels[i][known[i]].expand(4, -1))
