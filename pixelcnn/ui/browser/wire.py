"""The bytes between the server half and the browser half of the components."""

import hashlib
import json
import math
from typing import Any

import numpy as np

MAGIC = b"PXC1"
DTYPES = ("uint8", "uint16", "float32")
ALIGNMENT = 8


def encode(header: dict[str, Any], sections: dict[str, np.ndarray]) -> bytes:
    """Packs a header and named arrays into one message.

    The layout is `PXC1`, the length of the header as 32 bits, the header as JSON, then every
    array as raw little-endian bytes. Each part starts at a multiple of 8 bytes, so that the
    browser can lay a typed array over every section after copying the message once.

    Arguments:
        header: What JSON can hold; `sections` is filled in here.
        sections: Arrays of dtype uint8, uint16 or float32, in the order they are written.

    Returns:
        The message.

    Raises:
        ValueError: If an array has another dtype, or the header holds NaN or an infinity.
    """
    described, blocks = [], []
    for name, array in sections.items():
        array = np.asarray(array)
        if array.dtype.name not in DTYPES:
            raise ValueError(
                f"section `{name}` has dtype {array.dtype.name}; it must be one of {DTYPES}."
            )
        described.append({"name": name, "dtype": array.dtype.name, "shape": list(array.shape)})
        blocks.append(_padded(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()))
    # JavaScript's JSON.parse rejects NaN and Infinity, so they must not get as far as that.
    text = json.dumps(
        {**header, "sections": described}, separators=(",", ":"), allow_nan=False
    ).encode()
    return b"".join([_padded(MAGIC + len(text).to_bytes(4, "little") + text), *blocks])


def decode(message: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Unpacks a message that `encode` made, as `wire.js` does.

    Arguments:
        message: The bytes.

    Returns:
        The header and the arrays by name; the arrays are read-only views of the message.
    """
    end = 8 + int.from_bytes(message[4:8], "little")
    header = json.loads(message[8:end])
    sections = {}
    for section in header["sections"]:
        dtype = np.dtype(section["dtype"]).newbyteorder("<")
        count, start = math.prod(section["shape"]), end + -end % ALIGNMENT
        array = np.frombuffer(message, dtype, count, start).reshape(section["shape"])
        sections[section["name"]] = array
        end = start + array.nbytes
    return header, sections


def fingerprint(sections: dict[str, np.ndarray]) -> str:
    """Tells one content of a message from another, in twelve digits."""
    return hashlib.sha256(encode({}, sections)).hexdigest()[:12]


def _padded(block: bytes) -> bytes:
    return block + bytes(-len(block) % ALIGNMENT)
