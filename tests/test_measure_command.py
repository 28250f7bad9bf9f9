"""The commands that measure, and the files they keep."""

import json
import os
from pathlib import Path

import pytest
import torch

from pixelcnn import storage as checkpoints
from pixelcnn.commands.main import main
from pixelcnn.data import datasets as data
from pixelcnn.evaluation import stored as measurements
from pixelcnn.evaluation.calibration import Calibration
from pixelcnn.evaluation.likelihoods import bits_per_dim, ensemble_bits_per_dim
from pixelcnn.evaluation.model_table import TABLE_PATH, read_table
from pixelcnn.evaluation.paradox import Paradox
from pixelcnn.evaluation.stored import (
    FOLDER,
    Measurement,
    MeasurementError,
    load_measurement,
    measurement_path,
    save_measurement,
)
from pixelcnn.inspection.receptive_field import dependency_maps, past_coverage
from pixelcnn.storage import (
    CheckpointInfo,
    list_checkpoints,
    load_checkpoint,
    read_info,
    save_checkpoint,
    weights_digest,
)

from .made_up_data import write_mnist_like
from .tiny import tiny_model


def small_model(architecture="gated", **changes):
    shape = {"height": 28, "width": 28, "num_classes": 10, "dilations": (1,)}
    return tiny_model(architecture, dtype=torch.float32, **(shape | changes))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Made-up clothes and digits, 6 test pictures each, and a folder with one checkpoint."""
    for name in ("FashionMNIST", "MNIST"):
        write_mnist_like(tmp_path / "data", name)
    monkeypatch.setenv("PIXELCNN_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    for module in (checkpoints, measurements):
        monkeypatch.setattr(module, "CHECKPOINT_DIR", tmp_path)
    monkeypatch.setattr("pixelcnn.evaluation.stored.FOLDER", tmp_path / "measurements")
    monkeypatch.setattr(
        "pixelcnn.commands.measure.TABLE_PATH", tmp_path / "measurements" / "table.json"
    )
    for module in ("measure_command", "paradox"):
        monkeypatch.setattr(
            f"pixelcnn.{module}.list_checkpoints", lambda: list_checkpoints(tmp_path)
        )
    save(tmp_path / "clothes.safetensors", small_model())
    return tmp_path


def save(path, model, dataset="fashion-mnist"):
    info = CheckpointInfo(config=model.config, dataset=dataset, images_seen=7, bits_per_dim={})
    save_checkpoint(path, model, info)


def refused(capsys, command, words):
    assert main(command.split()) == 2
    captured = capsys.readouterr().err
    assert words in captured and "Traceback" not in captured


def test_the_paradox_is_measured_and_kept_with_its_command(folder, capsys):
    assert main(["measure", "paradox", "clothes", "--num-images", "5"]) == 0
    printed = capsys.readouterr().out
    path = folder / "measurements" / "paradox-clothes.json"
    measurement, paradox = load_measurement(path, Paradox.from_dict)
    assert measurement.command == "python -m pixelcnn measure paradox clothes --num-images 5"
    assert measurement.weights == {"clothes": weights_digest(folder / "clothes.safetensors")}
    assert paradox.scores == ("likelihood", "complexity") and not measurement.outdated
    assert f"{paradox.auroc('likelihood', 'mnist'):.3f}" in printed and "ratio" not in printed
    model = load_checkpoint("clothes.safetensors")[0]
    digits = data.load_dataset("mnist", "test", num_levels=4)[0][:5].long()
    assert paradox.bits_per_dim["mnist"] == pytest.approx(
        bits_per_dim(model, digits).tolist(), abs=1e-4
    )


def test_a_model_of_digits_is_found_and_gives_the_ratio(folder, capsys):
    save(folder / "classic-digits.safetensors", small_model("classic"), "mnist")
    save(folder / "digits.safetensors", small_model(seed=1), "mnist")
    save(folder / "few.safetensors", small_model(num_levels=3), "mnist")
    assert main(["measure", "paradox", "clothes", "--num-images", "4"]) == 0
    path = folder / "measurements" / "paradox-clothes.json"
    measurement, paradox = load_measurement(path, Paradox.from_dict)
    assert "--second digits " in measurement.command and set(measurement.weights) == {
        "clothes",
        "digits",
    }
    assert "ratio" in capsys.readouterr().out
    assert paradox.scores == ("likelihood", "complexity", "ratio")
    again = folder / "again.json"
    command = measurement.command.removeprefix("python -m pixelcnn ")
    assert main(f"{command} --output {again}".split()) == 0
    assert again.read_bytes() == path.read_bytes(), "the command makes the same file"


def test_the_calibration_is_measured_and_kept(folder, capsys):
    assert main(["measure", "calibration", "clothes", "--num-images", "6"]) == 0
    path = folder / "measurements" / "calibration-clothes.json"
    measurement, calibration = load_measurement(path, Calibration.from_dict)
    model = load_checkpoint("clothes.safetensors")[0]
    levels, label = data.load_dataset("fashion-mnist", "test", num_levels=4)
    direct = Calibration()
    direct.add(model(levels.long(), label), levels.long())
    assert calibration.to_dict() == direct.to_dict()
    assert measurement.command == "python -m pixelcnn measure calibration clothes --num-images 6"
    assert f"{direct.coverage('all')[1][2]:.1%}" in capsys.readouterr().out


def test_numbers_of_runs_and_of_imported_files_lie_beside_them(folder, monkeypatch):
    monkeypatch.setenv("PIXELCNN_RUNS", str(folder / "runs"))
    places = {
        "clothes": "measurements/calibration-clothes.json",
        "run:a": "runs/a/calibration-checkpoint.json",
        "run:b": "runs/b/calibration-checkpoint.json",
        "run:b@7": "runs/b/stages/calibration-00000007.json",
        "imported:clothes": "runs/imported/calibration-clothes.json",
        str(folder / "else" / "x.safetensors"): "else/calibration-x.json",
    }
    for seed, name in enumerate(places):
        if name.startswith(("run:", "imported:")):
            path = folder / "runs" / {
                "run:a": "a/checkpoint", "run:b": "b/checkpoint", "run:b@7": "b/stages/00000007",
                "imported:clothes": "imported/clothes",
            }[name]  # fmt: skip
            save(path.with_name(path.name + ".safetensors"), small_model(seed=seed))
        elif name != "clothes":
            save(Path(name), small_model(seed=seed))
    for name in places:
        assert main(["measure", "calibration", name, "--num-images", "2"]) == 0
    for name, place in places.items():
        measurement, _ = load_measurement(folder / place, Calibration.from_dict)
        assert list(measurement.weights) == [name] and not measurement.outdated
        assert measurement_path("calibration", name) == folder / place


def test_a_run_has_a_row_of_its_own_but_not_in_the_table_that_is_kept(folder, monkeypatch, capsys):
    monkeypatch.setenv("PIXELCNN_RUNS", str(folder / "runs"))
    save(folder / "runs" / "a" / "checkpoint.safetensors", small_model(seed=1))
    refused(capsys, "evaluate run:a --table --write", "run:a: the table that `--write` keeps is")
    assert main(["evaluate", "run:a", "--table"]) == 0
    assert "\nrun:a  " in capsys.readouterr().out


def test_a_measurement_knows_when_the_weights_have_changed(folder):
    assert main(["measure", "calibration", "clothes", "--num-images", "2"]) == 0
    path = folder / "measurements" / "calibration-clothes.json"
    assert main(["evaluate", "clothes", "--split", "test", "--write"]) == 0  # metadata only
    assert load_measurement(path, dict)[0].outdated == []
    save(folder / "clothes.safetensors", small_model(seed=2))
    assert load_measurement(path, dict)[0].outdated == ["clothes"]
    os.unlink(folder / "clothes.safetensors")
    assert load_measurement(path, dict)[0].outdated == ["clothes"]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("measure paradox absent", "absent: no such checkpoint"),
        ("measure paradox clothes --num-images 0", "`num_images` (=0)"),
        ("measure calibration clothes --num-images 7", "from 1 to 6"),
        ("measure paradox clothes --num-images 3 --second clothes", "must have learned mnist"),
        ("measure paradox unnamed", "its data set (=None) must be one of fashion-mnist"),
        ("measure calibration bags", "its data set (='fashion-mnist/8') must be one of"),
        ("evaluate", "Name a checkpoint, or give `--table`"),
        ("evaluate --table --num-images 3 --write", "only results on the whole split"),
        ("evaluate --table clothes --num-images 7", "from 1 to 6"),
    ],
)
def test_bad_options_are_refused(folder, capsys, command, words):
    save(folder / "unnamed.safetensors", small_model(), None)
    save(folder / "bags.safetensors", small_model(), "fashion-mnist/8")
    refused(capsys, command, words)


def test_a_model_of_other_images_is_refused(folder, capsys):
    save(folder / "odd.safetensors", tiny_model(num_classes=10, dtype=torch.float32))
    refused(capsys, "measure paradox odd --num-images 3", "`levels` (shape")


def test_the_table_has_a_row_for_every_checkpoint(folder, capsys):
    save(folder / "orders.safetensors", small_model(num_orders=8))
    assert main(["evaluate", "--table", "--write"]) == 0
    printed = capsys.readouterr().out
    measurement, rows = load_measurement(folder / "measurements" / "table.json", read_table)
    assert [row.checkpoint for row in rows] == ["clothes", "orders"]
    assert not measurement.outdated
    levels, label = data.load_dataset("fashion-mnist", "test", num_levels=4)
    for row in rows:
        model, info = load_checkpoint(folder / f"{row.checkpoint}.safetensors")
        orders = range(row.num_orders)
        scores = torch.stack([bits_per_dim(model, levels.long(), label, o) for o in orders], 1)
        mean = scores.double().mean().item()
        assert row.test_bits_per_dim == pytest.approx(mean) and row.test_images == 6
        assert info.bits_per_dim == {"test": pytest.approx(mean)}
        assert row.num_parameters == model.num_parameters and row.images_seen == 7
        seen, past = past_coverage(dependency_maps(model))
        assert row.past_seen == seen / past
        assert row.seconds_one > 0 and row.seconds_of_16 > 0
        assert f"{mean:.4f}" in printed and f"{row.num_parameters:,}" in printed
    assert rows[0].ensemble_bits_per_dim is None
    ensemble = ensemble_bits_per_dim(scores.double(), 784).mean().item()
    assert rows[1].ensemble_bits_per_dim == pytest.approx(ensemble)
    assert rows[1].order_bits_per_dim == pytest.approx(scores.double().mean(0).tolist())


def test_one_row_can_be_measured_anew_and_rows_of_lost_checkpoints_go(folder):
    save(folder / "other.safetensors", small_model(seed=1))
    save(folder / "third.safetensors", small_model(seed=3))
    assert main(["evaluate", "--table", "--write"]) == 0
    save(folder / "other.safetensors", small_model(seed=2))
    os.unlink(folder / "third.safetensors")
    assert main(["evaluate", "other", "--table", "--write"]) == 0
    measurement, rows = load_measurement(folder / "measurements" / "table.json", read_table)
    assert [row.checkpoint for row in rows] == ["clothes", "other"] and not measurement.outdated


def test_damaged_and_foreign_files_are_named(tmp_path):
    path = tmp_path / "a.json"
    assert load_measurement(path, dict) is None
    for text in ("", "[]", "{}", "{" * 9, '{"format": "other"}', "\xff"):
        path.write_text(text, encoding="latin-1")
        with pytest.raises(MeasurementError, match="a.json: is damaged"):
            load_measurement(path, dict)
    save_measurement(path, Measurement("c", {}, {"rows": [{"checkpoint": "x"}]}))
    with pytest.raises(MeasurementError, match="a.json"):
        load_measurement(path, read_table)
    path.write_bytes(b" " * (4 * 2**20 + 1))
    with pytest.raises(MeasurementError, match="more than"):
        load_measurement(path, dict)


def test_a_row_of_another_type_is_refused(folder, tmp_path):
    assert main(["evaluate", "--table", "--write"]) == 0
    path = folder / "measurements" / "table.json"
    whole = path.read_text()
    for name, value in (("test_bits_per_dim", float("nan")), ("num_parameters", "many")):
        content = json.loads(whole)
        content["values"]["rows"][0][name] = value
        path.write_text(json.dumps(content))
        with pytest.raises(MeasurementError, match=name):
            load_measurement(path, read_table)


SHIPPED = sorted(FOLDER.glob("*.json"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_shipped_measurements_belong_to_the_shipped_weights(path):
    kind = path.stem.partition("-")[0]
    read = {"paradox": Paradox.from_dict, "calibration": Calibration.from_dict}
    measurement, _ = load_measurement(path, read.get(kind, read_table))
    assert not measurement.outdated, f"run again: {measurement.command}"
    assert path.stat().st_size < 200_000


def test_shipped_models_are_as_good_as_promised():
    """Who puts in other weights keeps to these bounds; the test above ties the table to them."""
    rows = {row.checkpoint: row for row in load_measurement(TABLE_PATH, read_table)[1]}
    assert all(row.test_images == 10_000 for row in rows.values())
    assert rows["fashion-mnist-gated"].test_bits_per_dim <= 2.80
    assert rows["mnist-gated"].test_bits_per_dim <= 0.80
    for dataset in ("fashion-mnist", "mnist"):
        scores = rows[f"{dataset}-orders"].order_bits_per_dim
        assert len(scores) == 8
        assert max(scores) <= rows[f"{dataset}-gated"].test_bits_per_dim + 0.06
    weights = checkpoints.CHECKPOINT_DIR.rglob("*.safetensors")
    assert sum(path.stat().st_size for path in weights) < 40e6


MEASURED = [n for n, p in list_checkpoints().items() if read_info(p).dataset in data.DATASETS]


@pytest.mark.parametrize("name", MEASURED)
@pytest.mark.parametrize("kind", ["paradox", "calibration"])
def test_every_shipped_checkpoint_has_its_numbers(name, kind):
    read = {"paradox": Paradox.from_dict, "calibration": Calibration.from_dict}[kind]
    stored = load_measurement(measurement_path(kind, name), read)
    assert stored is not None, f"run: python -m pixelcnn measure {kind} {name}"
    path = checkpoints.checkpoint_path(name)
    assert stored[0].weights[name] == weights_digest(path)
    if kind == "paradox":
        assert stored[1].dataset == read_info(path).dataset


def test_every_shipped_checkpoint_has_a_row_in_the_table():
    stored = load_measurement(TABLE_PATH, read_table)
    assert stored is not None, "run: python -m pixelcnn evaluate --table --write"
    rows = {row.checkpoint: row for row in stored[1]}
    assert sorted(rows) == sorted(list_checkpoints())
    for name, path in list_checkpoints().items():
        assert rows[name].weights == weights_digest(path), "run: evaluate --table --write"


@pytest.mark.data
@pytest.mark.skipif("PIXELCNN_DATA" not in os.environ, reason="PIXELCNN_DATA names no folder")
@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_shipped_measurements_can_be_measured_again(path):
    """The first images of every set, and the parts of the table that need no stop-watch."""
    kind, _, name = path.stem.partition("-")
    if kind == "paradox":
        _, paradox = load_measurement(path, Paradox.from_dict)
        model, info = load_checkpoint(checkpoints.checkpoint_path(name))
        for dataset in (d for d in data.DATASETS if d in paradox.bits_per_dim):
            levels, _ = data.load_dataset(dataset, "test", num_levels=info.config.num_levels)
            bits = bits_per_dim(model, levels[:3].long()).tolist()
            assert paradox.bits_per_dim[dataset][:3] == pytest.approx(bits, abs=2e-3)
    elif path == TABLE_PATH:
        for row in load_measurement(path, read_table)[1]:
            info = read_info(checkpoints.checkpoint_path(row.checkpoint))
            assert row.test_bits_per_dim == pytest.approx(info.bits_per_dim["test"], abs=1e-3)
    else:
        _, calibration = load_measurement(path, Calibration.from_dict)
        model, info = load_checkpoint(checkpoints.checkpoint_path(name))
        levels, label = data.load_dataset(info.dataset, "test", num_levels=info.config.num_levels)
        few = Calibration()
        few.add(model(levels[:10].long(), label[:10]), levels[:10].long())
        assert calibration.dims["all"] == calibration.num_images * info.config.num_dims
        for stored, measured in zip(calibration.coverage("all"), few.coverage("all"), strict=True):
            assert stored == pytest.approx(measured, abs=0.1)
