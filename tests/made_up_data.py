"""Made-up data sets in the raw layout of torchvision, so that no test needs the network."""

import hashlib

import numpy as np


def write_idx(path, array):
    """Write uint8 values in the idx format of the MNIST files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    path.write_bytes(bytes([0, 0, 8, array.ndim]) + sizes + array.astype(np.uint8).tobytes())


def write_mnist_like(folder, name="FashionMNIST", *, train=20, test=6):
    """Write a data set of random grey pictures; returns its training and test values."""
    random = np.random.default_rng(0)
    values = {}
    for prefix, count in (("train", train), ("t10k", test)):
        images = random.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = np.arange(count, dtype=np.uint8) % 10
        images[:, 0, 0] = labels  # so that a test can tell which label belongs to a picture
        write_idx(folder / name / "raw" / f"{prefix}-images-idx3-ubyte", images)
        write_idx(folder / name / "raw" / f"{prefix}-labels-idx1-ubyte", labels)
        values[prefix] = images
    raw = folder / name / "raw"
    sums = (f"{hashlib.md5(p.read_bytes()).hexdigest()}  {p.name}\n" for p in raw.glob("*ubyte"))
    (raw / "MD5SUMS").write_text("".join(sums))
    return values["train"], values["t10k"]
