"""Coverage and reliability, against slow counting and against samples of the model itself."""

import json
import math
import re

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter

from pixelcnn.config import fault_of
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
    for exponentials, there in zip(
        logits.exp().movedim(1, -1).reshape(-1, 7).numpy(), levels.flatten().tolist(), strict=True
    ):
        p = exponentials / exponentials.sum()
        groups = ("all", "unsure") if -sum(x * math.log2(x) for x in p) >= 1 else ("all",)
        for group in groups:
            counts[group][0] += 1
        for i, nominal in enumerate((0.5, 0.9)):
            sums = [sum(p[: level + 1]) for level in range(7)]
            low = next(level for level in range(7) if sums[level] >= (1 - nominal) / 2)
            high = next(level for level in range(7) if sums[level] >= (1 + nominal) / 2)
            for group in groups:
                counts[group][1][i] += low <= there <= high
                counts[group][2][i] += p[low : high + 1].sum()
    return counts


@pytest.fixture
def counted():
    """Logits, levels and the counts of them."""
    model = tiny_model(num_levels=7)
    levels = random_levels(model.config, 3)
    logits = model(levels) * 3
    calibration = Calibration()
    calibration.add(logits, levels)
    return logits, levels, calibration


def test_coverage_is_what_slow_counting_gives(counted):
    *given, calibration = counted
    for group, (dims, inside, promised) in slow_counts(*given).items():
        assert calibration.dims[group] == dims > 0
        assert calibration.inside[group] == inside
        assert calibration.promised[group] == pytest.approx(promised)
        for nominal, share, _ in calibration.coverage(group):
            assert nominal <= share <= 1


def test_the_reliability_curve_is_what_slow_counting_gives(counted):
    logits, levels, calibration = counted
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


KIND = TypeAdapter(Calibration)


def test_counts_survive_json_and_an_empty_group_has_no_coverage(counted):
    assert all(math.isnan(observed) for _, _, observed in Calibration().coverage("unsure"))
    again = KIND.validate_json(KIND.dump_json(counted[2]))
    for first, second in zip(again.reliability(), counted[2].reliability(), strict=True):
        assert first == pytest.approx(second, rel=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"more": 1}, "more .=1."),
        ({"bin_events": [1]}, "at least 30 items"),
        ({"bin_events": [0] * 30}, "counted nothing"),
        ({"bin_happened": [0] * 30}, "counted nothing"),
        ({"num_images": 0}, "num_images .=0."),
        ({"bin_promised": [math.nan] * 30}, "bin_promised.0 .=nan.*finite"),
        ({"dims": {"all": 3}}, "dims .*at least 2"),
        ({"dims": {"all": "x", "unsure": 1}}, "dims.all .='x'"),
        ({"dims": {"all": True, "unsure": 1}}, "dims.all .=True"),
        ({"dims": {"all": 1, "sure": 1}}, "sure"),
        ({"inside": {"all": [], "unsure": [1, 1]}}, "inside.all .*at least 2"),
        ({"inside": {"all": [-1, 1], "unsure": [1, 1]}}, "inside.all.0 .=-1."),
    ],
)
def test_foreign_counts_are_refused(counted, change, message):
    text = json.dumps(KIND.dump_python(counted[2]) | change)
    with pytest.raises(ValueError) as error:
        KIND.validate_json(text)
    assert re.search(message, fault_of(error.value))
