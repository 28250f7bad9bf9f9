"""The commands that measure, and the files they keep."""

import os
import re

import pytest
import torch

from pixelcnn import storage
from pixelcnn.commands import evaluate
from pixelcnn.commands.main import main
from pixelcnn.data.datasets import DATASETS, load_dataset
from pixelcnn.evaluation import stored
from pixelcnn.evaluation.calibration import Calibration
from pixelcnn.evaluation.family import Member
from pixelcnn.evaluation.likelihoods import bits_per_dim, ensemble_bits_per_dim
from pixelcnn.evaluation.model_table import TABLE_PATH, Table
from pixelcnn.evaluation.paradox import Paradox
from pixelcnn.evaluation.stored import (
    FOLDER,
    StoredNumbers,
    StoredNumbersError,
    load_numbers,
    numbers_path,
    save_numbers,
)
from pixelcnn.inspection.receptive_field import dependency_maps, past_coverage
from pixelcnn.storage import (
    checkpoint_path,
    list_scored_checkpoints,
    load_checkpoint,
    read_info,
    weights_digest,
)

from .commands import refused, save_model
from .made_up_data import write_mnist_like
from .tiny import tiny_model

KINDS = {"paradox": Paradox, "calibration": Calibration, "table": Table, "family": Member}


def small_model(architecture="gated", **changes):
    shape = {"height": 28, "width": 28, "num_classes": 10, "dilations": (1,)}
    return tiny_model(architecture, dtype=torch.float32, **(shape | changes))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Made-up clothes and digits, 6 test pictures each, and a folder with one checkpoint."""
    for name in ("FashionMNIST", "MNIST"):
        write_mnist_like(tmp_path / "data", name)
    monkeypatch.setenv("PIXELCNN_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("PIXELCNN_RUNS", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
    for module in (storage, stored):
        monkeypatch.setattr(module, "CHECKPOINT_DIR", tmp_path)
    monkeypatch.setattr(stored, "FOLDER", tmp_path / "measurements")
    monkeypatch.setattr(evaluate, "TABLE_PATH", tmp_path / "measurements" / "table.json")
    save_model(tmp_path / "clothes.safetensors", small_model())
    return tmp_path


def test_the_paradox_is_measured_and_kept_with_its_command(folder, capsys):
    assert main(["measure", "paradox", "clothes", "--num-images", "5"]) == 0
    printed = capsys.readouterr().out
    kept = load_numbers(folder / "measurements" / "paradox-clothes.json", Paradox)
    assert kept.command == "python -m pixelcnn measure paradox clothes --num-images 5"
    assert kept.weights == {"clothes": weights_digest(folder / "clothes.safetensors")}
    assert kept.values.scores == ("likelihood", "complexity") and not kept.outdated
    assert f"{kept.values.auroc('likelihood', 'mnist'):.3f}" in printed and "ratio" not in printed
    model = load_checkpoint("clothes.safetensors")[0]
    digits = load_dataset("mnist", "test", num_levels=4)[0][:5].long()
    bits = bits_per_dim(model, digits).tolist()
    assert kept.values.bits_per_dim["mnist"] == pytest.approx(bits, abs=1e-4)


def test_a_model_of_digits_is_found_and_gives_the_ratio(folder, capsys):
    save_model(folder / "classic-digits.safetensors", small_model("classic"), "mnist")
    save_model(folder / "digits.safetensors", small_model(seed=1), "mnist")
    save_model(folder / "few.safetensors", small_model(num_levels=3), "mnist")
    assert main(["measure", "paradox", "clothes", "--num-images", "4"]) == 0
    assert "ratio" in capsys.readouterr().out
    path = folder / "measurements" / "paradox-clothes.json"
    kept = load_numbers(path, Paradox)
    assert "--second digits " in kept.command and set(kept.weights) == {"clothes", "digits"}
    assert kept.values.scores == ("likelihood", "complexity", "ratio")
    again = folder / "again.json"
    command = kept.command.removeprefix("python -m pixelcnn ")
    assert main(f"{command} --output {again}".split()) == 0
    assert again.read_bytes() == path.read_bytes(), "the command makes the same file"


def test_the_calibration_is_measured_and_kept(folder, capsys):
    assert main(["measure", "calibration", "clothes", "--num-images", "6"]) == 0
    kept = load_numbers(folder / "measurements" / "calibration-clothes.json", Calibration)
    model = load_checkpoint("clothes.safetensors")[0]
    levels, label = load_dataset("fashion-mnist", "test", num_levels=4)
    direct = Calibration()
    direct.add(model(levels.long(), label), levels.long())
    assert (kept.values.dims, kept.values.inside) == (direct.dims, direct.inside)
    assert kept.values.bin_happened == direct.bin_happened
    assert kept.values.bin_promised == pytest.approx(direct.bin_promised, rel=1e-5)
    assert kept.command == "python -m pixelcnn measure calibration clothes --num-images 6"
    assert f"{direct.coverage('all')[1][2]:.1%}" in capsys.readouterr().out
    # They know when the weights have changed.
    assert main(["evaluate", "clothes", "--split", "test", "--write"]) == 0  # metadata only
    assert kept.outdated == []
    save_model(folder / "clothes.safetensors", small_model(seed=2))
    assert kept.outdated == ["clothes"]
    os.unlink(folder / "clothes.safetensors")
    assert kept.outdated == ["clothes"]


def test_numbers_of_runs_and_of_imported_files_lie_beside_them(folder, capsys):
    places = {
        "run:a": "runs/a/checkpoint",
        "run:b": "runs/b/checkpoint",
        "run:b@7": "runs/b/stages/00000007",
        "imported:clothes": "runs/imported/clothes",
        str(folder / "else" / "x.safetensors"): "else/x",
    }
    for seed, place in enumerate(places.values()):
        save_model(folder / f"{place}.safetensors", small_model(seed=seed))
    for name, place in places.items():
        assert main(["measure", "calibration", name, "--num-images", "2"]) == 0
        parent, _, stem = place.rpartition("/")
        path = folder / parent / f"calibration-{stem}.json"
        assert numbers_path("calibration", name) == path
        kept = load_numbers(path, Calibration)
        assert list(kept.weights) == [name] and not kept.outdated
    # Nor have they a row in the table that is kept.
    refused(capsys, "evaluate run:a --table --write", "run:a: the table that `--write` keeps is")
    assert main(["evaluate", "run:a", "--table"]) == 0
    assert "\nrun:a  " in capsys.readouterr().out


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
        ("evaluate --table clothes --num-images 7", "from 1 to 6"),
        ("measure paradox odd --num-images 3", "`levels` (shape"),
    ],
)
def test_bad_options_are_refused(folder, capsys, command, words):
    save_model(folder / "unnamed.safetensors", small_model(), None)
    save_model(folder / "bags.safetensors", small_model(), "fashion-mnist/8")
    save_model(folder / "odd.safetensors", tiny_model(num_classes=10, dtype=torch.float32))
    refused(capsys, command, words)


def test_the_table_has_a_row_for_every_checkpoint(folder, capsys):
    save_model(folder / "orders.safetensors", small_model(num_orders=8))
    assert main(["evaluate", "--table", "--write"]) == 0
    printed = capsys.readouterr().out
    kept = load_numbers(folder / "measurements" / "table.json", Table)
    rows = kept.values.rows
    assert [row.checkpoint for row in rows] == ["clothes", "orders"] and not kept.outdated
    levels, label = load_dataset("fashion-mnist", "test", num_levels=4)
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
    save_model(folder / "clothes.safetensors", small_model(seed=2))
    os.unlink(folder / "orders.safetensors")
    assert main(["evaluate", "clothes", "--table", "--write"]) == 0
    kept = load_numbers(folder / "measurements" / "table.json", Table)
    assert [row.checkpoint for row in kept.values.rows] == ["clothes"] and not kept.outdated


def test_damaged_and_foreign_files_are_named(tmp_path):
    path = tmp_path / "a.json"
    assert load_numbers(path, Table) is None
    for text in ("", "[]", "{}", "{" * 9, "[" * 99_999, '{"format": "other"}', "\xff"):
        path.write_text(text, encoding="latin-1")
        with pytest.raises(StoredNumbersError, match="a.json: is damaged"):
            load_numbers(path, Table)
    path.write_bytes(b" " * (4 * 2**20 + 1))
    with pytest.raises(StoredNumbersError, match="more than"):
        load_numbers(path, Table)


def test_a_row_of_another_type_is_refused(tmp_path):
    rows = load_numbers(TABLE_PATH, Table).values
    path = tmp_path / "table.json"
    save_numbers(path, StoredNumbers(command="c", weights={}, values=rows))
    whole = path.read_text()
    assert load_numbers(path, Table).values == rows
    wrong = {"test_bits_per_dim": "1e999", "num_parameters": '"many"', "past_seen": "1.5"}
    for name, value in wrong.items():
        path.write_text(re.sub(rf'"{name}":[^,]*', f'"{name}":{value}', whole, count=1))
        with pytest.raises(StoredNumbersError, match=f"table.json.*values.rows.0.{name}"):
            load_numbers(path, Table)


SHIPPED = sorted(FOLDER.glob("*.json"))


def shipped_as(path):
    return load_numbers(path, KINDS[path.stem.partition("-")[0]])


def test_every_shipped_checkpoint_has_its_numbers():
    kinds = ("paradox", "calibration")
    wanted = {numbers_path(kind, name) for name in list_scored_checkpoints() for kind in kinds}
    others = {path for path in SHIPPED if not path.stem.startswith("family-")}
    assert wanted | {TABLE_PATH} == others, "run `measure`, or `evaluate --table --write`"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_shipped_numbers_belong_to_the_shipped_weights(path):
    kept = shipped_as(path)
    assert not kept.outdated, f"run again: {kept.command}"
    assert path.stat().st_size < 200_000
    if path == TABLE_PATH:
        assert {row.checkpoint: row.weights for row in kept.values.rows} == kept.weights
    else:
        name = path.stem.partition("-")[2]
        assert name in kept.weights
        info = read_info(checkpoint_path(name))
        assert getattr(kept.values, "dataset", info.dataset) == info.dataset


def test_shipped_models_are_as_good_as_promised():
    """Who puts in other weights keeps to these bounds; the test above ties the table to them."""
    rows = {row.checkpoint: row for row in shipped_as(TABLE_PATH).values.rows}
    assert sorted(rows) == sorted(list_scored_checkpoints()), "run: evaluate --table --write"
    assert all(row.test_images * row.num_orders >= 10_000 for row in rows.values())
    assert rows["fashion-mnist-gated"].test_bits_per_dim <= 2.80
    assert rows["mnist-gated"].test_bits_per_dim <= 0.82
    for dataset in ("fashion-mnist", "mnist"):
        scores = rows[f"{dataset}-orders"].order_bits_per_dim
        assert len(scores) == 8
        assert max(scores) <= rows[f"{dataset}-gated"].test_bits_per_dim + 0.06
    weights = storage.CHECKPOINT_DIR.rglob("*.safetensors")
    assert sum(path.stat().st_size for path in weights) < 40e6


@pytest.mark.data
@pytest.mark.skipif("PIXELCNN_DATA" not in os.environ, reason="PIXELCNN_DATA names no folder")
@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_shipped_numbers_can_be_measured_again(path):
    """The first images of every set, and the parts of the table that need no stop-watch."""
    kept = shipped_as(path).values
    if path == TABLE_PATH:
        for row in kept.rows:
            recorded = read_info(checkpoint_path(row.checkpoint)).bits_per_dim
            assert ("test" in recorded) == (row.test_images == 10_000)
            if "test" in recorded:
                assert row.test_bits_per_dim == pytest.approx(recorded["test"], abs=1e-3)
        return
    model, info = load_checkpoint(checkpoint_path(path.stem.partition("-")[2]))
    if isinstance(kept, Paradox):
        for dataset in (d for d in DATASETS if d in kept.bits_per_dim):
            levels, _ = load_dataset(dataset, "test", num_levels=info.config.num_levels)
            bits = bits_per_dim(model, levels[:3].long()).tolist()
            assert kept.bits_per_dim[dataset][:3] == pytest.approx(bits, abs=2e-3)
    else:
        levels, label = load_dataset(info.dataset, "test", num_levels=info.config.num_levels)
        few = Calibration()
        few.add(model(levels[:10].long(), label[:10]), levels[:10].long())
        assert kept.dims["all"] == kept.num_images * info.config.num_dims
        for shares, measured in zip(kept.coverage("all"), few.coverage("all"), strict=True):
            assert shares == pytest.approx(measured, abs=0.1)
