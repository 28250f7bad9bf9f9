"""Data sets as levels: quantization, splits, and what is said when the files are missing."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pixelcnn.data import datasets as data
from pixelcnn.data.datasets import (
    DATA_ENVIRONMENT_VARIABLE,
    DATASETS,
    DamagedDataError,
    DataError,
    check_fits,
    class_names,
    data_dir,
    dataset_of,
    dequantize,
    iterate_batches,
    load_dataset,
    quantize,
)
from pixelcnn.data.pictures import GAP, png_bytes
from pixelcnn.storage import CHECKPOINT_DIR

from .made_up_data import write_mnist_like
from .tiny import tiny_config

HERE = os.environ.get(DATA_ENVIRONMENT_VARIABLE)


@pytest.fixture
def made_up(tmp_path):
    """A folder with 20 training pictures, 5 of them held out, and 6 of a test set."""
    return tmp_path, *write_mnist_like(tmp_path)


def test_every_level_survives_display_and_back():
    for num_levels in range(2, 257):
        levels = torch.arange(num_levels)
        shown = dequantize(levels, num_levels)
        assert shown.dtype == torch.uint8
        assert (shown[0], shown[-1]) == (0, 255)
        assert (abs(shown - levels * 255 / (num_levels - 1)) < 1).all()
        assert torch.equal(quantize(shown, num_levels).long(), levels), num_levels
    assert torch.equal(shown, levels), "256 levels are shown as they are"


@pytest.mark.parametrize("num_levels", [2, 3, 5, 8, 100, 255, 256])
def test_quantization_is_even_and_keeps_the_order(num_levels):
    levels = quantize(torch.arange(256, dtype=torch.uint8), num_levels)
    assert levels.dtype == torch.uint8
    counts = np.bincount(levels, minlength=num_levels)
    assert len(counts) == num_levels and counts.max() - counts.min() <= 1
    assert (levels.int().diff() >= 0).all()


@pytest.mark.parametrize("name", ["fashion-mnist", "mnist", "kmnist"])
@pytest.mark.parametrize("num_levels", [2, 256])
def test_splits_are_the_files_as_levels_with_their_labels(tmp_path, name, num_levels):
    _, test_values = write_mnist_like(tmp_path, DATASETS[name].torchvision_name)
    levels, label = load_dataset(name, "test", tmp_path, num_levels=num_levels)
    assert levels.dtype == torch.uint8 and levels.shape == (6, 1, 28, 28)
    assert label.dtype == torch.int64
    assert torch.equal(levels[:, 0], quantize(torch.from_numpy(test_values), num_levels))
    assert label.tolist() == list(range(6))
    for split in ("train", "validation"):
        levels, label = load_dataset(name, split, tmp_path)
        assert torch.equal(levels[:, 0, 0, 0].long(), label)  # the files hold it there


@pytest.mark.parametrize(("count", "held_out"), [(4, 1), (8, 2), (20, 5), (120, 30), (160, 35)])
def test_splits_are_disjoint_complete_and_fixed(tmp_path, monkeypatch, count, held_out):
    monkeypatch.setattr(data, "VALIDATION_IMAGES", 35)
    train_values, _ = write_mnist_like(tmp_path, train=count)
    splits = ("train", "validation")
    parts = [load_dataset("fashion-mnist", split, tmp_path)[0] for split in splits]
    assert [len(part) for part in parts] == [count - held_out, held_out]
    pictures = [picture.numpy().tobytes() for part in parts for picture in part]
    assert sorted(pictures) == sorted(picture.tobytes() for picture in train_values)
    torch.manual_seed(99)
    for split, levels in zip(splits, parts, strict=True):
        assert torch.equal(load_dataset("fashion-mnist", split, tmp_path)[0], levels)


def test_one_class_is_a_part_of_the_same_splits(tmp_path):
    write_mnist_like(tmp_path, train=80)
    for split in ("train", "validation", "test"):
        levels, label = load_dataset("fashion-mnist", split, tmp_path)
        only, only_label = load_dataset("fashion-mnist/3", split, tmp_path)
        assert torch.equal(only, levels[label == 3]) and not only_label.any()
    write_mnist_like(tmp_path, train=4)
    with pytest.raises(DataError, match="has no image in its train split"):
        load_dataset("fashion-mnist/9", "train", tmp_path)


def test_rgb_pictures_come_with_channels_first_and_qmnist_with_its_first_label(monkeypatch):
    class Cifar:
        data = np.arange(4 * 32 * 32 * 3, dtype=np.int64).reshape(4, 32, 32, 3).astype(np.uint8)
        targets = [3, 1, 0, 9]

    class Qmnist:
        data = torch.zeros(2, 28, 28, dtype=torch.uint8)
        targets = torch.tensor([[7, 0, 5], [2, 4, 5]])

    datasets = data._torchvision_datasets()
    monkeypatch.setattr(datasets, "CIFAR10", lambda *_, **__: Cifar)
    monkeypatch.setattr(datasets, "QMNIST", lambda *_, **__: Qmnist)
    levels, label = load_dataset("cifar10", "test")
    assert levels.shape == (4, 3, 32, 32) and levels.is_contiguous()
    assert np.array_equal(levels.permute(0, 2, 3, 1), Cifar.data)
    assert label.tolist() == Cifar.targets
    assert load_dataset("qmnist", "test")[1].tolist() == [7, 2]


@pytest.mark.parametrize("name", [n for n, data in DATASETS.items() if not data.make])
def test_missing_data_is_an_error_that_names_folder_and_remedy(tmp_path, name, no_network):
    folder = tmp_path / "empty"
    for download in (False, True):
        with pytest.raises(DataError) as error:
            load_dataset(name, "train", folder, download=download)
        for words in (DATASETS[name].title, str(folder), "--data-dir", "PIXELCNN_DATA"):
            assert words in str(error.value)


@pytest.mark.parametrize(
    "damage", [lambda _: b"", lambda _: b"garbage" * 300, lambda c: c[:4], lambda c: c[:-100]]
)
def test_damaged_files_are_an_error_that_names_the_folder(made_up, damage, no_network):
    folder, *_ = made_up
    file = folder / "FashionMNIST" / "raw" / "train-images-idx3-ubyte"
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(DamagedDataError, match="Fashion-MNIST.*damaged.*--data-dir") as error:
        load_dataset("fashion-mnist", "train", folder)
    assert str(folder) in str(error.value)


def test_unknown_names_and_splits_are_refused(made_up):
    with pytest.raises(DataError, match=r"`dataset` \(='imagenet'\) must be one of fashion-mnist"):
        load_dataset("imagenet", "train")
    with pytest.raises(DataError, match=r"`split` \(='all'\)"):
        load_dataset("mnist", "all")


def test_the_folder_is_the_one_given_else_the_environment_else_data(monkeypatch):
    monkeypatch.setenv(DATA_ENVIRONMENT_VARIABLE, "from-environment")
    assert str(data_dir("given")) == "given"
    assert str(data_dir()) == "from-environment"
    monkeypatch.delenv(DATA_ENVIRONMENT_VARIABLE)
    assert data_dir() == Path(data.__file__).parents[2] / "data"


def test_class_names_are_those_of_the_data_set_or_numbers():
    assert class_names("mnist", 10) == tuple("0123456789")
    assert class_names("fashion-mnist", 3) == ("class 0", "class 1", "class 2")
    assert class_names(None, 2) == ("class 0", "class 1")
    assert class_names("unknown", 0) == ()
    assert {len(data.class_names) for data in DATASETS.values() if not data.make} == {10}


def test_prices_are_seeded_lie_in_range_and_fall_at_the_harvest(no_network):
    parts = [load_dataset("price", split)[0] for split in ("train", "validation", "test")]
    assert [part.shape for part in parts] == [
        (count, 1, 1, 104) for count in (15_000, 5_000, 2_000)
    ]
    for part in parts:
        values = part[:, 0, 0].double()
        assert (values == 255).double().mean() < 0.001 and values.min() > 0
        year = values.mean(0).diff()
        assert year.argmin() == 51  # from the last week before the harvest to the next
        assert (year > 0).double().mean() > 0.8
    assert torch.equal(load_dataset("price", "test")[0], parts[2])
    assert not {p.numpy().tobytes() for p in parts[2]} & {p.numpy().tobytes() for p in parts[0]}
    with pytest.raises(DataError, match=r"`dataset` \(='price/0'\) must be one of"):
        load_dataset("price/0", "train")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 27}, r"`width` \(=27\) must be 28 for MNIST"),
        ({"num_channels": 3}, r"`num_channels` \(=3\) must be 1"),
        ({"num_classes": 4}, r"`num_classes` \(=4\) must be 0 or 10"),
    ],
)
def test_a_model_of_another_shape_does_not_fit(changes, message):
    with pytest.raises(DataError, match=message):
        check_fits(tiny_config(**({"height": 28, "width": 28} | changes)), "mnist")
    check_fits(tiny_config(height=28, width=28, num_classes=10), "mnist")


def test_batches_are_consecutive_and_complete():
    levels, label = torch.arange(14, dtype=torch.uint8).view(7, 1, 1, 2), torch.arange(7)
    batches = list(iterate_batches(levels, label, 3))
    assert [len(b) for b, _ in batches] == [3, 3, 1]
    assert all(b.dtype == torch.int64 for b, _ in batches)
    assert torch.equal(torch.cat([b for b, _ in batches]), levels.long())
    assert torch.cat([k for _, k in batches]).tolist() == list(range(7))


@pytest.mark.data
@pytest.mark.skipif(
    not HERE, reason=f"set {DATA_ENVIRONMENT_VARIABLE} to a folder with torchvision's data sets"
)
@pytest.mark.parametrize("name", ["fashion-mnist", "mnist"])
def test_real_data_has_the_known_sizes_and_classes(name):
    dataset = dataset_of(name)
    if not (data_dir() / dataset.torchvision_name).is_dir():
        pytest.skip(f"{dataset.title} is not in ${DATA_ENVIRONMENT_VARIABLE}")
    for split, count in (("train", 55_000), ("validation", 5_000), ("test", 10_000)):
        levels, label = load_dataset(name, split, download=False)
        assert levels.shape == (count, 1, 28, 28)
        assert (levels.min(), levels.max()) == (0, 255)
        assert sorted(label.unique().tolist()) == list(range(10))
    # Half of the pixels of Fashion-MNIST, and four fifths of MNIST's, are black.
    black = (levels == 0).double().mean().item()
    assert {"fashion-mnist": 0.5, "mnist": 0.81}[name] == pytest.approx(black, abs=0.02)


@pytest.mark.parametrize("name", ["fashion-mnist-gated", "mnist-gated"])
def test_a_png_is_as_small_as_pillow_can_make_it(name):
    with Image.open(CHECKPOINT_DIR / "pictures" / f"{name}-classes.png") as image:
        shown = np.asarray(image)[::3, ::3]  # ten of each class, drawn by this model
    side = 28 + GAP
    shown = [shown[side * i :, side * j :][:28, :28] for i in range(10) for j in range(2)]

    def length(picture, **how):
        Image.fromarray(picture).save(buffer := io.BytesIO(), "PNG", **how)
        return len(buffer.getvalue())

    ways = [{"compress_level": 9, "compress_type": kind} for kind in range(5)] + [
        {"optimize": True}
    ]
    least = sum(min(length(picture, **how) for how in ways) for picture in shown)
    assert sum(len(png_bytes(picture)) for picture in shown) <= 1.002 * least
