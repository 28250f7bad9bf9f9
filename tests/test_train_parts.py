"""The half of the Train page that knows no Streamlit, and what it is made of."""

import io
import shlex
import time
import zipfile
from dataclasses import replace

import pytest
import torch
from PIL import Image
from pixelcnn.ui.train.measurement import Measurement

from pixelcnn.commands import train as commands_train
from pixelcnn.commands.main import make_parser
from pixelcnn.commands.train import command_line, new_config
from pixelcnn.config import TrainConfig
from pixelcnn.data import own_images, picture_files
from pixelcnn.data.datasets import DATASETS, DataError, dataset_of, load_dataset
from pixelcnn.data.own_images import (
    ImageSetError,
    SourceImage,
    describe_image_set,
    load_image_set,
    make_image_set,
    read_folder,
    read_uploads,
    save_image_set,
)
from pixelcnn.models import GatedConfig
from pixelcnn.storage import CheckpointInfo, save_checkpoint
from pixelcnn.training.devices import DEVICES, bfloat16_works, choose_device
from pixelcnn.training.runs import RunConfig
from pixelcnn.ui.train import curves, presets, words

from .made_up_data import write_mnist_like
from .tiny import tiny_model
from .tiny_runs import MODEL, TRAIN, config, wait_for


def picture(size=(20, 10), colour=(255, 0, 0), kind="PNG"):
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"train": {"dataset": "mnist/3", "stages": (5, 9), "bfloat16": False}},
        {"model": {"architecture": "classic", "dilations": (1, 2)}, "device": "cpu"},
        {"unconditional": True, "threads": 3, "data_dir": "/some where"},
        {"model": {"num_orders": 8, "dropout": 0.25}, "train": {"learning_rate": 1e-5}},
    ],
)
def test_the_command_line_of_a_run_repeats_its_settings(changes):
    parts = {"model": {}, "train": {}} | changes
    wanted = new_config(parts.pop("model"), parts.pop("train"), **parts)
    words_of_it = shlex.split(command_line(wanted, "again"))
    assert words_of_it[:5] == ["python", "-m", "pixelcnn", "train", "again"]
    options = make_parser().parse_args(words_of_it[3:])
    found = commands_train.config_of(options)
    assert (found.model, found.train, found.device, found.threads, found.data_dir) == (
        wanted.model, wanted.train, wanted.device, wanted.threads, wanted.data_dir,
    )  # fmt: skip


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


def test_presets_are_found_by_name_and_own_settings_begin_with_one():
    assert presets.preset("An hour").train["total_images"] == 100_000
    assert presets.preset(presets.OWN) == presets.preset("Ten minutes")


@pytest.mark.parametrize("colour", [False, True])
def test_own_images_are_cut_to_the_central_square_and_resized(colour):
    wide = Image.new("RGB", (40, 20), (0, 0, 0))
    wide.paste((200, 100, 50), (10, 0, 30, 20))  # exactly the central square
    buffer = io.BytesIO()
    wide.save(buffer, "PNG")
    images = [SourceImage("a.png", buffer.getvalue())] * 2
    made = make_image_set(images, size=8, colour=colour)
    assert made.levels.shape == (2, 3 if colour else 1, 8, 8) and made.class_names == ()
    expected = [200, 100, 50] if colour else [round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)]
    for channel, value in enumerate(expected):
        assert (made.levels[:, channel] == value).all()


def test_transparent_pixels_become_black_and_photographs_stand_upright():
    clear = io.BytesIO()
    Image.new("RGBA", (9, 9), (255, 255, 255, 0)).save(clear, "PNG")
    turned = Image.new("L", (8, 8), 0)
    turned.paste(255, (0, 0, 8, 4))
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    upside = io.BytesIO()
    turned.save(upside, "PNG", exif=exif)
    images = [SourceImage(n, b.getvalue()) for n, b in (("a", clear), ("b", upside))]
    levels = make_image_set(images, size=8, colour=False).levels
    assert (levels[0] == 0).all()
    assert (levels[1, 0, :4] == 0).all() and (levels[1, 0, 4:] == 255).all()


def test_archives_are_read_without_being_unpacked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("../../cats/1.png", picture())
        archive.writestr("/dogs/2.jpg", picture(kind="JPEG"))
        archive.writestr("__MACOSX/cats/1.png", b"rubbish")
        archive.writestr("dogs/notes.txt", b"no picture")
    uploads = [("both.zip", buffer.getvalue()), ("broken.png", b"rubbish")]
    made = make_image_set(read_uploads(uploads), size=8, colour=True)
    assert made.class_names == ("cats", "dogs") and sorted(made.label.tolist()) == [0, 1]
    assert len(made.left_out) == 1 and made.left_out[0].startswith("broken.png: ")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ImageSetError, match="bad.zip: is no ZIP archive"):
        list(read_uploads([("bad.zip", buffer.getvalue()[:100])]))


def test_files_that_are_too_large_are_left_out_and_named(monkeypatch):
    monkeypatch.setattr(picture_files, "MAX_PIXELS", 100)
    images = [SourceImage(f"{n}.png", picture((9, 9))) for n in range(2)]
    images += [SourceImage("large.png", picture((20, 20))), SourceImage("empty.png", b"")]
    made = make_image_set(images, size=8, colour=False)
    assert len(made.levels) == 2
    assert "large.png: 20 x 20 pixels are more than 100." in made.left_out
    assert "empty.png: is empty or larger than 64 MiB." in made.left_out
    monkeypatch.setattr(own_images, "MAX_IMAGES", 1)
    with pytest.raises(ImageSetError, match="more than 1 files"):
        make_image_set(images, size=8, colour=False)


def test_a_data_set_of_own_images_is_split_like_any_other(tmp_path):
    images = [SourceImage(f"{n}.png", picture(colour=(n * 10, 0, 0))) for n in range(10)]
    path = tmp_path / "mine.images.safetensors"
    save_image_set(path, make_image_set(images, size=8, colour=True))
    assert describe_image_set(path) == ((), 3, 8)
    assert len(load_image_set(path)[0]) == 10
    assert dataset_of(str(path)).title == "mine"
    parts = [load_dataset(str(path), split)[0] for split in ("train", "validation")]
    assert [len(part) for part in parts] == [8, 2]
    together = sorted(int(image[0, 0, 0]) for part in parts for image in part)
    assert together == [n * 10 for n in range(10)]
    with pytest.raises(DataError, match="no test split"):
        load_dataset(str(path), "test")


@pytest.mark.parametrize("content", [b"", b"garbage", None])
def test_damaged_files_of_own_images_are_refused(tmp_path, content):
    path = tmp_path / "bad.images.safetensors"
    if content is None:  # a checkpoint under a wrong name
        model = tiny_model(dtype=torch.float32)
        save_checkpoint(path, model, info_of(model))
    else:
        path.write_bytes(content)
    with pytest.raises(ImageSetError, match="is not a readable file of own images"):
        load_image_set(path)
    with pytest.raises(DataError, match="is not a readable file of own images"):
        dataset_of(str(path))


def test_folders_without_pictures_and_bad_sizes_are_refused(tmp_path):
    with pytest.raises(ImageSetError, match="0 usable images are too few"):
        make_image_set(read_folder(tmp_path), size=8, colour=False)
    for size in (7, 65):
        with pytest.raises(ValueError, match=rf"`size` \(={size}\)"):
            make_image_set([], size=size, colour=False)


@pytest.mark.parametrize(("count", "held_out"), [(4, 1), (8, 2), (20, 5), (100, 25)])
def test_small_data_sets_keep_training_images(tmp_path, count, held_out):
    write_mnist_like(tmp_path, train=count)
    parts = [load_dataset("fashion-mnist", s, tmp_path)[0] for s in ("train", "validation")]
    assert [len(part) for part in parts] == [count - held_out, held_out]


def test_one_class_is_a_part_of_the_same_splits(tmp_path):
    write_mnist_like(tmp_path, train=80)
    for split in ("train", "validation", "test"):
        levels, label = load_dataset("fashion-mnist", split, tmp_path)
        only, only_label = load_dataset("fashion-mnist/3", split, tmp_path)
        assert torch.equal(only, levels[label == 3]) and not only_label.any()
    write_mnist_like(tmp_path, train=4)
    with pytest.raises(DataError, match="has no image in its train split"):
        load_dataset("fashion-mnist/9", "train", tmp_path)


def info_of(model):
    return CheckpointInfo(config=model.config, dataset=None, images_seen=7, bits_per_dim={})


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


def test_runs_are_compared_in_colours_of_their_own():
    figure = curves.comparison({"one": RECORDS, "two": RECORDS, "empty": []}, axis="Images seen")
    named = [trace for trace in figure.data if trace.showlegend is not False]
    assert [trace.name for trace in named] == ["one", "two", "empty"]
    assert len({trace.line.color for trace in named}) == 3


def test_the_end_of_every_compared_run_can_be_seen():
    poor = [record | {"loss": 7.5} for record in RECORDS if "loss" in record]
    good = [record | {"loss": 1.0} for record in poor]
    low, high = curves.comparison({"a": poor, "b": good}, axis="Minutes").layout.yaxis.range
    assert low < 1.0 and high > 7.5
    empty = curves.comparison({"empty": []}, axis="Minutes")
    assert empty.layout.yaxis.range is None


def test_curves_of_a_run_without_records_can_be_drawn():
    figure = curves.learning_curve([], [], axis="Minutes", late=True, run="a")
    assert [len(trace.x) for trace in figure.data] == [0, 0, 0]


def test_settings_of_a_run_are_told_in_full_and_by_what_differs():
    one, two = words.settings(config()), words.settings(config(learning_rate=0.5))
    assert words.differing([one, two]) == ["learning_rate"]
    assert one["dilations"] == "1" and one["dataset"] == "fashion-mnist"
    own = RunConfig(
        model=GatedConfig(), train=TrainConfig(dataset="/far/away/my-cats.images.safetensors")
    )
    assert words.settings(own)["dataset"] == "my-cats.images.safetensors"
    assert words.differing([one]) == []


def test_the_shipped_model_of_the_same_data_is_the_reference():
    shipped = words.shipped_references(new_config({}, {"dataset": "fashion-mnist"}))
    assert len(shipped) == 1 and 2 < shipped[0].bits_per_dim < 3
    assert words.shipped_references(new_config({}, {"dataset": "fashion-mnist/3"})) == []
    assert words.shipped_references(config()) == []  # another number of levels


def test_a_warm_up_is_measured_in_a_process_of_its_own():
    measurement = Measurement(config())
    wait_for(lambda: measurement.is_over)
    assert measurement.problem is None, measurement.problem
    found = measurement.result
    assert found.seconds >= 1000 / found.images_per_second > 0 and found.memory_bytes > 50e6


def test_a_measurement_can_be_cancelled_and_says_what_is_wrong(monkeypatch):
    measurement = Measurement(config())
    assert not measurement.is_over and 0 <= measurement.done < 1
    measurement.cancel()
    wait_for(lambda: measurement.is_over, 10)
    assert measurement.result is None
    monkeypatch.setattr("pixelcnn.ui.train.measurement.arguments_of", lambda _: ["--seed", "-1"])
    measurement = Measurement(config())
    wait_for(lambda: measurement.is_over)
    assert "`seed` (=-1)" in measurement.problem
    monkeypatch.setattr("pixelcnn.ui.train.measurement.LIMIT_SECONDS", 0)
    measurement = Measurement(config())
    time.sleep(0.01)
    assert measurement.is_over and "this is too large" in measurement.problem


def test_devices_are_named_and_bfloat16_is_used_where_it_is_quick():
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("auto").type in DEVICES
    with pytest.raises(ValueError, match=r"`device` \(='tpu'\) must be one of auto, cpu"):
        choose_device("tpu")
    if not torch.backends.mps.is_available():
        with pytest.raises(ValueError, match=r"`device` \(='mps'\) is not there"):
            choose_device("mps")
    assert isinstance(bfloat16_works(torch.device("cpu")), bool)


def test_bfloat16_is_left_out_where_it_is_slow(monkeypatch):
    from pixelcnn.training import engine

    wanted = new_config(MODEL, TRAIN | {"bfloat16": True})
    monkeypatch.setattr(engine, "bfloat16_works", lambda _: False)
    assert not engine.TrainingState(wanted.model, wanted.train).bfloat16
    monkeypatch.setattr(engine, "bfloat16_works", lambda _: True)
    assert engine.TrainingState(wanted.model, wanted.train).bfloat16


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_damaged_archives_and_unknown_users_are_refused_in_plain_words(method):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr("a.bmp", bytes(range(256)) * 20)
    damaged = bytearray(buffer.getvalue())
    damaged[45:60] = b"\xff" * 15
    with pytest.raises(ImageSetError, match="no ZIP archive that can be read"):
        list(read_uploads([("a.zip", bytes(damaged))]))
    with pytest.raises(ImageSetError):
        list(read_folder("~nosuchuser/pictures"))


def test_begun_and_compiled_runs_differ_from_their_twins():
    run = commands_train.new_config({}, {"dataset": "mnist"})
    begun = replace(run, origin=("--begin-with", "mnist"), compiled=True, data_dir="elsewhere")
    differing = words.differing([words.settings(run), words.settings(begun)])
    assert differing == ["compiled", "data folder", "begins with"]
