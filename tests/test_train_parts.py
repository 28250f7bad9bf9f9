"""The half of the Train page that knows no Streamlit, and what it is made of."""

import os
import shlex
import sys
from dataclasses import replace

import pytest

from pixelcnn.commands.main import make_parser
from pixelcnn.commands.train import command_line, config_of, new_config
from pixelcnn.data.datasets import DATASETS, dataset_of
from pixelcnn.progress import drain
from pixelcnn.ui.shared.charts import curves
from pixelcnn.ui.train import estimate, presets, words
from pixelcnn.ui.train.estimate import EstimateError, iter_estimate

from . import causal_average  # noqa: F401 - registers a third architecture
from .tiny_runs import MODEL, TRAIN, config


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"train": {"dataset": "mnist/3", "stages": (5, 9), "bfloat16": False}},
        {"model": {"architecture": "classic", "dilations": (1, 2)}, "device": "cpu"},
        {"model": {"architecture": "average"}, "compiled": True},
        {"model": {"architecture": "conditioned"}},
        {"unconditional": True, "threads": 3, "data_dir": "/some where"},
        {"model": {"num_orders": 8, "dropout": 0.25}, "train": {"learning_rate": 1e-5}},
    ],
)
def test_the_command_line_of_a_run_repeats_its_settings(changes):
    parts = {"model": {}, "train": {}} | changes
    wanted = new_config(parts.pop("model"), parts.pop("train"), **parts)
    line = shlex.split(command_line(wanted, "again"))
    assert line[:5] == ["python", "-m", "pixelcnn", "train", "again"]
    found = config_of(make_parser().parse_args(line[3:]))
    assert replace(found, created_at=wanted.created_at) == wanted
    named = changes.get("model", {}).get("architecture", "gated")  # the one that need not be named
    assert wanted.model.architecture == named
    line = shlex.split(command_line(replace(wanted, origin=("--init-from", "mnist")), "begun"))
    found = config_of(make_parser().parse_args(line[3:]))
    assert found.model.architecture == named  # not always that of the checkpoint


@pytest.mark.parametrize("name", DATASETS)
@pytest.mark.parametrize("preset", presets.PRESETS, ids=lambda p: p.name)
def test_every_preset_fits_every_data_set(preset, name):
    marks = presets.marks(preset.train["total_images"], 16)
    model = presets.fit_channels(preset.model, dataset_of(name))
    made = new_config(model, marks | preset.train | {"dataset": name})
    assert made.train.stages[0] <= 1100 and made.train.stages[-1] < made.train.total_images
    assert made.model.head_features % made.model.num_channels == 0


@pytest.mark.parametrize(("total", "batch"), [(1, 1), (100, 64), (10_000_000, 1024), (7, 2)])
def test_stages_and_evaluations_exist_for_runs_of_any_length(total, batch):
    train = presets.marks(total, batch) | {"total_images": total, "batch_size": batch}
    assert new_config(MODEL, train).train.evaluate_every >= 1


RECORDS = [{"images_seen": 0, "png_bits_per_dim": 5.5, "seconds": 0.0}] + [
    record
    for n in range(1, 1001)
    for record in (
        {"images_seen": 16 * n, "seconds": 0.5 * n, "loss": 3 + 4 / n, "grad_norm": 1 / n,
         "learning_rate": 0.01, "step": n, "images_per_second": 32.0},
        {"images_seen": 16 * n, "seconds": 0.5 * n, "validation": 3.1},
    )
    if "loss" in record or n % 250 == 0
]  # fmt: skip


def test_curves_show_the_records_over_images_or_minutes_with_their_levels():
    model = new_config(MODEL, TRAIN).model
    levels = curves.references(model, RECORDS)
    assert [(r.name, r.bits_per_dim) for r in levels] == [
        ("uniform guess", 2.0),
        ("PNG files", 5.5),
    ]
    figure = curves.learning_curve(RECORDS, levels, axis="Minutes", run="a")
    raw, smooth, validation = figure.data
    assert len(raw.x) <= curves.MOST_POINTS and raw.x[0] == pytest.approx(0.5 / 60)
    assert list(validation.x) == [125 / 60, 250 / 60, 375 / 60, 500 / 60]
    assert list(validation.y) == [3.1] * 4 and raw.y[0] == 7.0
    assert abs(smooth.y[-1] - 3.004) < 0.05
    texts = [annotation.text for annotation in figure.layout.annotations]
    assert texts == ["uniform guess 2.00", "PNG files 5.50"]
    by_images = curves.learning_curve(RECORDS, levels, axis="Images seen", run="a")
    assert list(by_images.data[2].x) == [4000, 8000, 12000, 16000]
    late = curves.learning_curve(RECORDS, levels, axis="Images seen", late=True, run="a")
    low, high = late.layout.yaxis.range
    assert low < 3.0 and high < 3.2
    assert curves.optimiser_curve(RECORDS, "grad_norm", "norm", axis="Minutes").data[0].y[0] == 1.0


def test_compared_runs_have_colours_of_their_own_and_their_ends_can_be_seen():
    poor = [record | {"loss": 7.5} for record in RECORDS if "loss" in record]
    good = [record | {"loss": 1.0} for record in poor]
    figure = curves.comparison({"one": poor, "two": good, "empty": []}, axis="Minutes")
    named = [trace for trace in figure.data if trace.showlegend is not False]
    assert [trace.name for trace in named] == ["one", "two", "empty"]
    assert len({trace.line.color for trace in named}) == 3
    low, high = figure.layout.yaxis.range
    assert low < 1.0 and high > 7.5


def test_curves_of_a_run_without_records_can_be_drawn():
    figure = curves.learning_curve([], [], axis="Minutes", late=True, run="a")
    assert [len(trace.x) for trace in figure.data] == [0, 0, 0]
    assert curves.comparison({"empty": []}, axis="Minutes").layout.yaxis.range is None


def test_settings_of_a_run_are_given_in_full_and_by_what_differs():
    run = config()
    train = replace(run.train, learning_rate=0.5, dataset="/far/away/my-cats.images.safetensors")
    other = replace(run, train=train, origin=("--init-from", "mnist"), compiled=True, data_dir="x")
    one, two = words.settings(run), words.settings(other)
    assert one["dilations"] == "1" and one["dataset"] == "fashion-mnist"
    assert two["dataset"] == "my-cats"
    differing = ["dataset", "learning rate", "compiled", "data folder", "begins with"]
    assert words.differing([one, two]) == differing and words.differing([one]) == []


def test_the_shipped_model_of_the_same_data_is_the_reference():
    shipped = words.shipped_references(new_config({}, {"dataset": "fashion-mnist"}))
    assert len(shipped) == 1 and 2 < shipped[0].bits_per_dim < 3
    assert words.shipped_references(new_config({}, {"dataset": "fashion-mnist/3"})) == []
    assert words.shipped_references(config()) == []  # another number of levels


def test_an_estimate_is_made_in_a_process_of_its_own():
    found = drain(iter_estimate(config()))
    assert found.seconds >= 1000 / found.images_per_second > 0 and found.memory_bytes > 50e6


def test_an_estimate_says_what_is_wrong(monkeypatch):
    monkeypatch.setattr(estimate, "arguments_of", lambda _: ["--seed", "-1"])
    with pytest.raises(EstimateError, match=r"Nothing could be measured: `seed` \(=-1\)"):
        drain(iter_estimate(config()))


def test_an_estimate_can_be_cancelled_and_ends_in_time(monkeypatch, tmp_path):
    # A process that would never end by itself, so that it is there to be ended.
    endless = "import os, sys, time\nopen(sys.argv[1], 'w').write(str(os.getpid()))\n"
    endless += "while True: time.sleep(1)"
    note = tmp_path / "pid"
    monkeypatch.setattr(estimate, "COMMAND", [sys.executable, "-c", endless, str(note)])
    steps = iter_estimate(config())
    while not (note.exists() and note.read_text()):
        assert 0 <= next(steps) < 1
    steps.close()
    with pytest.raises(ProcessLookupError):
        os.kill(int(note.read_text()), 0)
    monkeypatch.setattr(estimate, "LIMIT_SECONDS", 0)
    with pytest.raises(EstimateError, match="this is too large"):
        drain(iter_estimate(config()))
