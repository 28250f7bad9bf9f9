"""Coverage and reliability, against slow counting and against samples of the model itself."""

import math

import numpy as np
import pytest
import torch

from pixelcnn.evaluation.calibration import EDGES, Calibration, measure_calibration
from pixelcnn.sampling import sample

from .tiny import random_levels, tiny_model


def finish(steps):
    shares = []
    while True:
        try:
            shares.append(next(steps))
        except StopIteration as stop:
            assert shares == sorted(shares) and shares[-1] == 1
            return stop.value


def slow_counts(logits, levels):
    """One dimension after the other, in plain Python."""
    counts = {g: [0, [0, 0], [0.0, 0.0]] for g in ("all", "unsure")}
    for image, its_levels in zip(logits.numpy(), levels.numpy(), strict=True):
        for place in np.ndindex(its_levels.shape):
            exponentials = np.exp(image[(slice(None), *place)])
            p = exponentials / exponentials.sum()
            unsure = -sum(x * math.log2(x) for x in p) >= 1
            for i, nominal in enumerate((0.5, 0.9)):
                running, low, high = 0.0, None, None
                for level, x in enumerate(p):
                    running += x
                    low = level if low is None and running >= (1 - nominal) / 2 else low
                    high = level if high is None and running >= (1 + nominal) / 2 else high
                hit = low <= its_levels[place] <= high
                for group in ("all", "unsure") if unsure else ("all",):
                    counts[group][1][i] += hit
                    counts[group][2][i] += p[low : high + 1].sum()
            counts["all"][0] += 1
            counts["unsure"][0] += unsure
    return counts


def test_coverage_is_what_slow_counting_gives():
    model = tiny_model(num_levels=7)
    levels = random_levels(model.config, 3)
    logits = model(levels) * 2
    calibration = Calibration()
    calibration.add(logits, levels)
    for group, (dims, inside, promised) in slow_counts(logits, levels).items():
        assert calibration.dims[group] == dims > 0
        assert calibration.inside[group] == inside
        assert calibration.promised[group] == pytest.approx(promised)


def test_the_reliability_curve_is_what_slow_counting_gives():
    model = tiny_model(num_levels=7)
    levels = random_levels(model.config, 3)
    logits = model(levels) * 3
    calibration = Calibration()
    calibration.add(logits, levels)
    p = logits.softmax(1).movedim(1, -1).reshape(-1, 7).numpy()
    happened = np.eye(7)[levels.flatten().numpy()]
    number = (p[..., None] >= EDGES.numpy()).sum(-1)
    rows = [
        (p[number == b].mean(), happened[number == b].mean(), int((number == b).sum()))
        for b in range(len(EDGES) + 1)
        if (number == b).any()
    ]
    assert len(rows) > 3
    np.testing.assert_allclose(calibration.reliability(), rows, rtol=1e-9)


def test_a_model_is_calibrated_on_its_own_samples_and_not_on_noise():
    model = tiny_model(num_levels=8, num_classes=2, height=12, width=13, dtype=torch.float32)
    label = torch.arange(200) % 2
    own = sample(model, num_images=200, seed=1, label=label).to(torch.uint8)
    good = finish(measure_calibration(model, own, label))
    assert good.num_images == 200 and good.dims["all"] == 200 * 12 * 13
    for _, promised, observed in good.coverage("all"):
        assert observed == pytest.approx(promised, abs=0.01)
    for predicted, happened, events in good.reliability():
        noise = math.sqrt(predicted * (1 - predicted) / events)
        assert happened == pytest.approx(predicted, abs=5 * noise + 1e-3)
    noise = random_levels(model.config, 50).to(torch.uint8)
    bad = finish(measure_calibration(model, noise, None))
    assert max(abs(a - b) for _, a, b in bad.coverage("all")) > 0.03


def test_an_interval_promises_at_least_what_it_is_called():
    model = tiny_model(num_levels=5)
    calibration = Calibration()
    calibration.add(model(random_levels(model.config, 4)) * 4, random_levels(model.config, 4))
    for group in ("all", "unsure"):
        for nominal, promised, _ in calibration.coverage(group):
            assert nominal <= promised <= 1


def test_counts_survive_json_and_foreign_ones_are_refused():
    model = tiny_model()
    calibration = Calibration()
    levels = random_levels(model.config, 2)
    calibration.add(model(levels), levels)
    again = Calibration.from_dict(calibration.to_dict())
    for first, second in zip(again.reliability(), calibration.reliability(), strict=True):
        assert first == pytest.approx(second, rel=1e-4)
    values = calibration.to_dict()
    for wrong, message in (
        ({"num_images": 3}, "not those of a calibration"),
        (values | {"bin_events": [1]}, "bin_events does not have 30 numbers"),
        (values | {"bin_events": [0] * 30}, "counted nothing"),
        (values | {"num_images": 0}, "counted nothing"),
        (values | {"bin_happened": [0] * 30}, "counted nothing"),
        (values | {"bin_promised": [math.nan] * 30}, "bin_promised .=nan. is no count"),
        (values | {"dims": {"all": 3}}, "dims has other groups than all, unsure"),
        (values | {"inside": {"all": [], "unsure": []}}, "inside, all, does not have 2 numbers"),
        (values | {"dims": {"all": "x", "unsure": 1}}, "is no count"),
    ):
        with pytest.raises(ValueError, match=message):
            Calibration.from_dict(wrong)


def test_an_empty_group_has_no_coverage_instead_of_a_wrong_one():
    assert all(math.isnan(observed) for _, _, observed in Calibration().coverage("unsure"))
