"""Data sets as levels, with fixed splits: torchvision's, one class of them, made-up, own images.

`torchvision` reads and, on a user's machine, downloads the files; see `data_dir` for where. One's
own images are a file made by `pixelcnn.data.own_images`.
"""

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from pixelcnn.data import price
from pixelcnn.data.own_images import SUFFIX, DataError, describe_image_set, load_image_set
from pixelcnn.files import as_path, printable, read_file
from pixelcnn.locks import one_at_a_time
from pixelcnn.models import ModelConfig

Split = Literal["train", "validation", "test"]
DATA_ENVIRONMENT_VARIABLE = "PIXELCNN_DATA"
DEFAULT_DATA_DIR = Path(__file__).resolve().parents[2] / "data"
_declared: list[torch.library.Library] = []
"""Kept for the life of the process: torchvision's registrations refer to it."""
VALIDATION_IMAGES = 5000
"""Images held out of the training images, or a quarter of them if these are fewer."""

_CLOTHES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
_DIGITS = tuple("0123456789")
_KANA = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
_THINGS = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip


@dataclass(frozen=True)
class Dataset:
    """A data set that the models can learn."""

    title: str
    """Name as people write it."""
    torchvision_name: str
    """Class in `torchvision.datasets`; empty for other images."""
    class_names: tuple[str, ...]
    """Name of each label; empty if there are no labels."""
    shape: tuple[int, int, int] = (1, 28, 28)
    """C, H and W."""
    make: Callable[[Split], Tensor] | None = None
    """Makes the images, uint8 (N, C, H, W), if they are made up; all but those to be tested are
    made for the split "train"."""

    def class_title(self, label: int) -> str:
        """Name the class of an image; empty if there are no labels."""
        return self.class_names[label] if self.class_names else ""


DATASETS = {
    "fashion-mnist": Dataset("Fashion-MNIST", "FashionMNIST", _CLOTHES),
    "mnist": Dataset("MNIST", "MNIST", _DIGITS),
    "kmnist": Dataset("Kuzushiji-MNIST", "KMNIST", _KANA),
    "qmnist": Dataset("QMNIST", "QMNIST", _DIGITS),
    "cifar10": Dataset("CIFAR-10", "CIFAR10", _THINGS, (3, 32, 32)),
    "price": Dataset("A made-up price", "", (), (1, 1, price.WEEKS), price.make),
}


SUMS = "MD5SUMS"
MD5 = {
    "MNIST": {
        "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
        "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
        "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
        "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
    },
    "FashionMNIST": {
        "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
        "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
        "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
    },
}
"""Of the unpacked files of a data set, by the name of its class in torchvision."""


class DamagedDataError(DataError):
    """The files of a data set are there, but cannot be read."""


def data_dir(given: str | os.PathLike[str] | None = None) -> Path:
    """Return the folder of the data: the one given, else $PIXELCNN_DATA, else our `data/`."""
    return as_path(given or os.environ.get(DATA_ENVIRONMENT_VARIABLE) or DEFAULT_DATA_DIR)


def load_dataset(
    name: str,
    split: Split,
    directory: str | os.PathLike[str] | None = None,
    *,
    num_levels: int = 256,
    download: bool = True,
) -> tuple[Tensor, Tensor]:
    """Load one split of a data set.

    The validation split is a fixed random choice of 5,000 training images, of a quarter of them if
    there are fewer than 20,000. The test split is used only to report.

    The 256 values of the files are quantized to 0..K-1. The name is one of `dataset_of`, the
    directory that of `data_dir`; missing files are fetched unless `download` is False.

    Returns:
        Levels uint8 (N, C, H, W), of which a batch is turned into int64 for a model, and label
        int64 (N,).

    Raises:
        DataError: if the name is unknown, or the files are damaged, or missing and cannot be
            downloaded.
    """
    dataset = dataset_of(name)
    if split not in ("train", "validation", "test"):
        raise DataError(f"`split` (={split!r}) must be 'train', 'validation' or 'test'.")
    if dataset.torchvision_name:
        values, label = _read_torchvision(dataset, split, directory, download)
    elif dataset.make:
        values = dataset.make("test" if split == "test" else "train")
        label = torch.zeros(len(values), dtype=torch.int64)
    elif split == "test":
        raise DataError(f"{name}: one's own images have no test split; use 'validation'.")
    else:
        values, label = load_image_set(name)
    if split != "test":
        order = torch.randperm(len(values), generator=torch.Generator().manual_seed(0))
        held_out = min(VALIDATION_IMAGES, max(len(values) // 4, 1))
        chosen = order[:held_out] if split == "validation" else order[held_out:]
        values, label = values[chosen], label[chosen]
    key, _, only = name.partition("/")
    if key in DATASETS and only:  # chosen after the split, so that held-out images stay held out
        values = values[label == int(only)]
        label = torch.zeros(len(values), dtype=torch.int64)
    if len(values) == 0:
        raise DataError(f"`dataset` (={name!r}) has no image in its {split} split.")
    return quantize(values, num_levels).contiguous(), label


def _read_torchvision(
    dataset: Dataset, split: Split, directory: str | os.PathLike[str] | None, download: bool
) -> tuple[Tensor, Tensor]:
    """Read the training or the test images of torchvision: uint8 (N, C, H, W), int64 (N,)."""
    folder = data_dir(directory)
    where = f"in the folder {printable(str(folder))!r}"
    how = f"copy with --data-dir or {DATA_ENVIRONMENT_VARIABLE}"
    kind = getattr(_torchvision_datasets(), dataset.torchvision_name)
    read = partial(kind, folder, train=split != "test")
    try:
        try:
            loaded = read()
        except RuntimeError as error:
            if not download or "not found" not in str(error):
                raise
            with one_at_a_time(folder / ".fetching"):
                loaded = read(download=True)
        wrong = _changed_file(loaded, split)
    except Exception as error:  # torchvision reads damaged files to assertions and much else
        reason = " ".join(str(error).split())  # torchvision lists one mirror a line
        if isinstance(error, OSError) or re.search("not found|Error downloading", reason):
            raise DataError(
                f"{dataset.title} is not {where} and could not be fetched "
                f"({printable(reason)}). Name a local {how}."
            ) from error
        raise DamagedDataError(
            f"{dataset.title} {where} is damaged ({error!r}). Delete it, or name another {how}."
        ) from error
    if wrong:
        raise DamagedDataError(
            f"{dataset.title} {where} is not the one that torchvision fetches: the MD5 of "
            f"{wrong} is another. Delete it, or name another {how}. (If it is meant so, say so in "
            f"a file {SUMS} beside it, as md5sum writes it.)"
        )
    values = torch.as_tensor(loaded.data)
    values = values[:, None] if values.ndim == 3 else values.permute(0, 3, 1, 2)  # (N, C, H, W)
    label = torch.as_tensor(loaded.targets).long()
    label = label[:, 0] if label.ndim == 2 else label  # QMNIST: the first column is the class
    return values, label


def _changed_file(loaded: Any, split: Split) -> str | None:  # noqa: ANN401 - of torchvision
    """Name a file that was read and is not what it should be; CIFAR checks its own."""
    wanted, folder = MD5.get(type(loaded).__name__, {}), getattr(loaded, "raw_folder", None)
    if folder is not None and os.path.exists(stated := os.path.join(folder, SUMS)):
        lines = read_file(stated).decode(errors="replace").splitlines()
        wanted = {name: digest for digest, name in (line.split(maxsplit=1) for line in lines)}
    prefix = "t10k" if split == "test" else "train"
    for name, digest in wanted.items():
        if name.startswith(prefix):
            with open(os.path.join(folder, name), "rb") as file:
                if hashlib.file_digest(file, "md5").hexdigest() != digest:
                    return name
    return None


def digest_of(*tensors: Tensor) -> str:
    """Fingerprint images and labels: 16 hex digits of their SHA-256."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.contiguous().numpy())
    return digest.hexdigest()[:16]


def dataset_of(name: str) -> Dataset:
    """Look a data set up.

    >>> dataset_of("mnist/3").title, dataset_of("fashion-mnist/9").title
    ("MNIST, only '3'", "Fashion-MNIST, only 'Ankle boot'")

    A name is a key of `DATASETS`; or key/number for one class of it, without labels; or the path
    of a file of one's own images, see `pixelcnn.data.own_images`.

    Raises:
        DataError: if the name is unknown, or the file cannot be read.
    """
    if name in DATASETS:
        return DATASETS[name]
    key, _, label = name.partition("/")
    whole = DATASETS.get(key)
    if whole and whole.class_names:
        by_label = {str(i): class_name for i, class_name in enumerate(whole.class_names)}
        if label not in by_label:
            raise DataError(
                f"`dataset` (={name!r}) must be {key} or {key}/N with a class N from 0 to "
                f"{len(by_label) - 1}."
            )
        return replace(whole, title=f"{whole.title}, only {by_label[label]!r}", class_names=())
    if not name.endswith(SUFFIX):
        raise DataError(
            f"`dataset` (={name!r}) must be one of {', '.join(DATASETS)}, one class of these such "
            f"as mnist/3, or a file *{SUFFIX} made by `python -m pixelcnn images`."
        )
    names, shape = describe_image_set(name)
    return Dataset(Path(name).name.removesuffix(SUFFIX), "", names, shape)


def class_names(name: str | None, num_classes: int) -> tuple[str, ...]:
    """Name every class of a model trained on this data set; "class i" where it is unknown."""
    try:
        known = dataset_of(name).class_names if name else ()
    except DataError:  # a checkpoint from elsewhere: its data set need not be here
        known = ()
    return known if len(known) == num_classes else tuple(f"class {i}" for i in range(num_classes))


def quantize(values: Tensor, num_levels: int) -> Tensor:
    """Map uint8 values 0..255 evenly to levels 0..K-1, uint8.

    >>> quantize(torch.tensor([0, 127, 128, 255]), 2).tolist()
    [0, 0, 1, 1]
    """
    if num_levels == 256:
        return values  # a whole data set of 32-bit numbers takes much memory
    return (values.int() * num_levels // 256).to(torch.uint8)


def dequantize(levels: Tensor, num_levels: int) -> Tensor:
    """Map levels 0..K-1 to display values 0..255, uint8; `quantize` maps them back.

    >>> dequantize(torch.tensor([0, 1, 3]), 4).tolist()
    [0, 85, 255]
    """
    # Rounded up: rounded to the nearest, some values would belong to the level below.
    return ((levels.int() * 255 + num_levels - 2) // (num_levels - 1)).to(torch.uint8)


def check_fits(config: ModelConfig, dataset: str) -> None:
    """Check that a model has the shape of a data set; raises DataError if it has not."""
    wanted = dataset_of(dataset)
    channels, height, width = wanted.shape
    allowed = {
        "num_channels": [channels],
        "height": [height],
        "width": [width],
        "num_classes": sorted({0, len(wanted.class_names)}),
    }
    for name, values in allowed.items():
        if getattr(config, name) not in values:
            raise DataError(
                f"`{name}` (={getattr(config, name)}) must be {' or '.join(map(str, values))} for "
                f"{wanted.title}."
            )


def iterate_batches(
    levels: Tensor, label: Tensor, batch_size: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield consecutive batches as int64 (B, C, H, W) and (B,)."""
    for start in range(0, len(levels), batch_size):
        yield levels[start : start + batch_size].long(), label[start : start + batch_size]


def _torchvision_datasets():  # noqa: ANN202 - a module; torchvision is imported only here
    """Import torchvision's data sets, also from a CUDA build of it beside a CPU build of torch.

    The package index has CUDA builds of torchvision only. Its import registers shape functions for
    two compiled operators and stops if these are absent; reading data sets needs neither.
    Declaring them is enough, and is done only where torch has no CUDA and they are not there.
    """
    missing = [n for n in ("nms", "qnms") if not hasattr(torch.ops.torchvision, n)]
    if torch.version.cuda is None and missing:
        _declared.append(torch.library.Library("torchvision", "DEF"))
        for name in missing:
            schema = f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            _declared[0].define(schema)
    from torchvision import datasets

    return datasets
