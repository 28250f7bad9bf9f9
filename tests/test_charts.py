"""Charts of the Measure page and what its components are told: the numbers, and no others."""

import csv
import io
import json

import numpy as np
import pytest
import torch

from pixelcnn.config import SamplingRule
from pixelcnn.data.datasets import dequantize
from pixelcnn.evaluation.calibration import Calibration
from pixelcnn.evaluation.common_noise import draw_with_record, sweep_temperatures
from pixelcnn.evaluation.paradox import make_sets, measure_paradox
from pixelcnn.evaluation.scores import code_bits, score_classes, score_image
from pixelcnn.progress import drain
from pixelcnn.sampling import make_noise
from pixelcnn.ui.browser.messages import (
    Panel,
    encode_panels,
    encode_score,
    panel_columns,
)
from pixelcnn.ui.browser.wire import decode
from pixelcnn.ui.shared.charts import chart as table
from pixelcnn.ui.shared.charts import distributions, measured

from .test_paradox import NAMES, images
from .tiny import random_levels, tiny_model


@pytest.fixture(scope="module")
def model():
    return tiny_model(num_classes=3)


@pytest.fixture(scope="module")
def score(model):
    return score_image(model, random_levels(model.config, 1)[0], 1)


def read_csv(content):
    return list(csv.DictReader(io.StringIO(content.decode())))


def test_csv_and_json_hold_the_same_rows():
    columns = {"a": [1, 2], "b, with comma": ["x", 'y "z"']}
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    assert json.loads(table.as_json(columns)) == rows
    assert read_csv(table.as_csv(columns)) == [{k: str(v) for k, v in r.items()} for r in rows]


def every_chart(model, score):
    calibration = Calibration()
    levels = random_levels(model.config, 3)
    calibration.add(model(levels), levels)
    sets = make_sets(images(0), images(1), NAMES, 4)
    paradox = drain(measure_paradox(model, tiny_model(seed=1), NAMES[0], sets))
    rows = drain(sweep_temperatures(model, [0.0, 1.0], num_images=3))
    return [
        measured.codes_chart(score.total_bits, code_bits(score.levels, 4)),
        distributions.distribution_chart(score, 2, 3),
        measured.classes_chart(score_classes(model, score.levels), ["a", "b", "c"], 1),
        *(measured.paradox_chart(paradox, name) for name in paradox.scores),
        measured.auroc_chart(paradox),
        measured.reliability_chart(calibration, False),
        measured.reliability_chart(calibration, True),
        measured.sweep_chart(rows),
    ]


def test_every_chart_can_be_downloaded_with_all_the_numbers_that_it_shows(model, score):
    made = every_chart(model, score)
    assert len({chart.name for chart in made}) == len(made) - 1  # reliability on two kinds of axes
    for chart in made:
        rows = json.loads(table.as_json(chart.columns))
        assert len(rows) == len(read_csv(table.as_csv(chart.columns))) > 0
        told = np.array([v for row in rows for v in row.values() if isinstance(v, int | float)])
        for trace in chart.figure.data:
            if trace.name == "perfect":
                continue  # the diagonal
            values = trace.x if getattr(trace, "orientation", None) == "h" else trace.y
            scale = 100 if "%" in (trace.name or "") else 1
            for value in values:
                assert np.isclose(told, value / scale, rtol=1e-9, atol=1e-12).any()


def test_the_distribution_is_that_of_the_logits_and_the_true_level_is_marked(model, score):
    chart = distributions.distribution_chart(score, 2, 3)
    p = model(score.levels[None], torch.tensor([1]))[0, :, 0, 2, 3].softmax(0)
    np.testing.assert_allclose(chart.figure.data[0].y, p, rtol=1e-5)
    level = int(score.levels[0, 2, 3])
    assert chart.figure.layout.shapes[0].x0 == level
    assert f"p = {p[level]:.3g}" in chart.figure.layout.annotations[0].text
    assert chart.columns["is there"] == [int(k == level) for k in range(4)]


def test_the_data_of_the_classes_are_the_scores(model, score):
    scores = score_classes(model, score.levels)
    chart = measured.classes_chart(scores, ["a", "b", "c"], None)
    columns, bars = chart.columns, chart.figure.data[0].x
    assert np.argsort(bars).tolist() == np.argsort(scores.posterior).tolist()  # longer: likelier
    assert columns["class"] == ["a", "b", "c"]
    assert columns["bits"] == pytest.approx(scores.total_bits.tolist())
    nats = -scores.total_bits * np.log(2)
    assert columns["log_likelihood_nats"] == pytest.approx(nats.tolist())
    assert columns["posterior"] == pytest.approx(scores.posterior.tolist())


def test_a_colour_picture_has_one_distribution_for_each_channel():
    model = tiny_model(num_channels=3, num_features=12, head_features=12)
    levels = random_levels(model.config, 1)[0]
    score = score_image(model, levels)
    chart = distributions.distribution_chart(score, 1, 1)
    assert [trace.name for trace in chart.figure.data] == ["red", "green", "blue"]
    columns = measured.score_columns(score)
    assert columns["green"] == levels[1].flatten().tolist()


def test_the_table_of_pixels_follows_the_scan(score):
    columns = measured.score_columns(score)
    assert columns["row"][7] == 1 and columns["column"][7] == 1
    assert columns["level"] == score.levels.flatten().tolist()
    assert columns["cumulative_bits"][-1] == pytest.approx(sum(columns["surprise_bits"]))
    expected = np.cumsum(columns["entropy_bits"]).tolist()
    assert columns["expected_cumulative_bits"] == pytest.approx(expected)


def test_the_maps_are_told_the_score(model, score):
    header, sections = decode(encode_score(score, model.config, 9))
    assert (header["height"], header["width"], header["selected"]) == (5, 6, 9)
    np.testing.assert_allclose(sections["surprise"], score.surprise_bits.ravel(), rtol=1e-6)
    np.testing.assert_allclose(sections["entropy"], score.entropy_bits.ravel(), rtol=1e-6)
    assert sections["levels"].ravel().tolist() == score.levels.flatten().tolist()
    assert sections["values"].ravel().tolist() == dequantize(score.levels, 4).flatten().tolist()
    assert sections["scan"].tolist() == list(range(30)) and header["uniform_bits"] == 2
    other = decode(encode_score(score, model.config, 10))[0]
    assert other["id"] == header["id"], "choosing a pixel makes no other picture"


def panels_of(model, temperatures):
    noise = make_noise(model.config, num_images=1, seed=3)
    drawn = [
        drain(draw_with_record(model, noise, SamplingRule(temperature=t))) for t in temperatures
    ]
    captions = [f"temperature {t}" for t in temperatures]
    return [Panel(c, model.config, d) for c, d in zip(captions, drawn, strict=True)], noise[0]


def test_the_players_are_told_levels_noise_and_differences(model):
    panels, noise = panels_of(model, [1.0, 1.0, 0.5])
    header, sections = decode(encode_panels(panels, noise))
    assert header["captions"] == ["temperature 1.0", "temperature 1.0", "temperature 0.5"]
    a, b = (sections[f"levels{n}"].ravel() for n in (0, 2))
    assert not sections["difference1"].any() and sections["difference2"].any()
    np.testing.assert_allclose(sections["uniform"].ravel(), noise.ravel(), rtol=1e-6)
    assert (sections["levels1"] == sections["levels0"]).all()
    surprise = panels[2].drawn.surprise_bits.ravel()
    np.testing.assert_allclose(sections["surprise2"], surprise, rtol=1e-6)
    columns = panel_columns(panels, noise)
    assert columns["3: temperature 0.5, level"] == b.tolist()
    assert columns["random number"] == noise.ravel().tolist()
    assert len(columns) == 3 + 2 * 3


@pytest.mark.parametrize("num_channels", [1, 3])
def test_models_with_other_numbers_of_levels_are_compared_by_what_is_seen(num_channels):
    models = [tiny_model(num_levels=k, num_channels=num_channels) for k in (2, 4)]
    noise = make_noise(models[0].config, num_images=1, seed=0)
    panels = [
        Panel("x", m.config, drain(draw_with_record(m, noise, SamplingRule(temperature=0))))
        for m in models
    ]
    header, sections = decode(encode_panels(panels, noise[0]))
    assert header["levels"] == [2, 4]
    seen = [dequantize(p.drawn.levels[0], p.config.num_levels).int() for p in panels]
    gaps = (seen[0] - seen[1]).abs().amax(0).flatten()
    assert sections["difference1"].tolist() == gaps.tolist()
