"""One's own images as a data set: cut to squares, made small, kept in one safetensors file.

A folder, or uploaded pictures and ZIP archives, become one file that a run can be repeated with,
whatever happens to the originals. Folders inside the folder are classes, if there are two or more.
"""

import io
import os
import zipfile
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Annotated

import numpy as np
import torch
from pydantic import BaseModel, Field
from safetensors import SafetensorError
from torch import Tensor

from pixelcnn.config import STRICT, fault_of
from pixelcnn.data.picture_files import MAX_BYTES, PictureError, read_picture
from pixelcnn.files import as_path, json_bytes, printable, read_file, write_atomically
from pixelcnn.progress import drain
from pixelcnn.storage import open_safetensors, safetensors_bytes

FORMAT = "pixelcnn-images-1"
SUFFIX = ".images.safetensors"
PICTURE_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"}
MAX_IMAGES = 200_000
MAX_VALUES = 500_000_000
"""C * H * W of all images together, one byte each."""
MAX_UNPACKED_BYTES = 2_000_000_000
FEWEST_IMAGES = 2
"""One to learn from, one held out."""


class DataError(Exception):
    """A data set is unknown, damaged, or missing and cannot be downloaded."""


class ImageSetError(DataError):
    """No data set can be made of these images, or read from this file; says why."""


@dataclass(frozen=True)
class SourceImage:
    """One file that may be a picture, not decoded yet."""

    name: str
    """Path inside the folder or archive."""
    content: bytes = b""
    problem: str = ""
    """Why it is left out, if it was not even read."""

    @property
    def folder(self) -> str:
        """Folder that it lies in: its class."""
        return PurePosixPath(self.name).parent.name


@dataclass(frozen=True)
class ImageSet:
    """Images of one size."""

    levels: Tensor
    """uint8 (N, C, H, W), H = W, values 0..255."""
    label: Tensor
    """int64 (N,); all 0 without classes."""
    class_names: tuple[str, ...]
    """Name of each label; empty without classes."""
    left_out: tuple[str, ...] = ()
    """Files that could not be used, and why."""


def read_folder(folder: str | os.PathLike[str]) -> Iterator[SourceImage]:
    """Read every picture file of a folder and of the folders in it, sorted by path.

    Links to folders are followed, each folder once. What is left out comes with the reason.

    Raises:
        ImageSetError: if it is no folder or cannot be read.
    """
    for image, path in _files_in(folder):
        if not image.problem:
            try:
                image = replace(image, content=read_file(path, MAX_BYTES))
            except (OSError, ValueError) as error:
                image = replace(image, problem=f"cannot be read ({fault_of(error)})")
        yield image


def bytes_in(folder: str | os.PathLike[str]) -> int:
    """Say how much `read_folder` is going to read; raises as it does."""
    paths = [path for image, path in _files_in(folder) if not image.problem]
    return sum(os.path.getsize(path) for path in paths if os.path.isfile(path))


def _files_in(folder: str | os.PathLike[str]) -> Iterator[tuple[SourceImage, str]]:
    """List all files, and the folders that are left out, with their paths; nothing is read."""
    root = as_path(folder)
    try:
        os.listdir(root)
    except OSError as error:
        reason = f"cannot be read ({fault_of(error)})" if root.is_dir() else "is not a folder"
        raise ImageSetError(f"{printable(str(root))}: {reason}.") from error
    home = os.path.realpath(root)
    seen, unread = {home}, []
    for path, folders, files in os.walk(root, onerror=unread.append, followlinks=True):
        inside, kept = PurePosixPath(os.path.relpath(path, root)), []
        for name in sorted(folders):
            place = os.path.realpath(os.path.join(path, name))
            problem = why_left_out(name, is_folder=True)
            if place in seen or Path(home).is_relative_to(place):
                problem = "is a folder that was read before"
            if problem:
                yield SourceImage(printable(str(inside / name)), problem=problem), place
            else:
                seen.add(place)
                kept.append(name)
        folders[:] = kept
        for name in sorted(files):
            image = SourceImage(printable(str(inside / name)), problem=why_left_out(name))
            yield image, os.path.join(path, name)
    for error in unread:
        name = printable(os.path.relpath(error.filename, root))
        problem = f"cannot be read ({fault_of(error)})"
        yield SourceImage(name, problem=problem), error.filename


def why_left_out(name: str, is_folder: bool = False) -> str:
    """Say why a file or folder inside a folder or an archive is not looked at; empty if it is."""
    path = PurePosixPath(name)
    if any(part.startswith(".") and part != ".." for part in path.parts):
        return "is hidden"
    if "__MACOSX" in path.parts:
        return "holds notes of macOS about other files"
    if not is_folder and path.suffix.lower() not in PICTURE_SUFFIXES:
        return "does not have the name of a picture"
    return ""


def read_uploads(files: Iterable[tuple[str, bytes]]) -> Iterator[SourceImage]:
    """Read uploads (name, content): picture files, and those inside ZIP archives.

    Nothing is unpacked; ImageSetError if an archive is damaged.
    """
    for name, content in files:
        if not name.lower().endswith(".zip"):
            yield SourceImage(printable(name), content)
            continue
        try:
            unpacked = 0
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                for member in sorted(archive.infolist(), key=lambda m: m.filename):
                    image = SourceImage(printable(_name_in_archive(member)))
                    # The size that the archive claims is checked here, the real one by zipfile.
                    problem = why_left_out(image.name)
                    if not problem and member.file_size > MAX_BYTES:
                        problem = f"is larger than {MAX_BYTES // 2**20} MiB"
                    if problem:
                        if not member.is_dir():
                            yield replace(image, problem=problem)
                        continue
                    unpacked += member.file_size
                    if unpacked > MAX_UNPACKED_BYTES:
                        raise ImageSetError(
                            f"{name}: unpacks to more than {MAX_UNPACKED_BYTES / 1e9:g} GB."
                        )
                    yield replace(image, content=archive.read(member))
        except Exception as error:  # zipfile raises many kinds
            if isinstance(error, ImageSetError):
                raise
            reason = f"is no ZIP archive that can be read ({error})"
            raise ImageSetError(f"{name}: {reason}.") from error


def _name_in_archive(member: zipfile.ZipInfo) -> str:
    name = member.filename
    if not member.flag_bits & 0x800:
        with suppress(UnicodeError):  # macOS writes UTF-8 without saying so
            name = name.encode("cp437").decode()
    return name.replace("\\", "/")  # Windows


def make_image_set(images: Iterable[SourceImage], *, size: int, colour: bool) -> ImageSet:
    """Do the work of `iter_image_set` to its end."""
    return drain(iter_image_set(images, size=size, colour=colour))


def iter_image_set(
    images: Iterable[SourceImage], *, size: int, colour: bool
) -> Generator[int, None, ImageSet]:
    """Cut every picture to its central square and make it H = W = size, 8 to 64; RGB or grey.

    Yields the bytes that are read.

    Raises:
        ImageSetError: if fewer than two pictures can be used, or there are too many.
        ValueError: if the size is out of range.
    """
    if not 8 <= size <= 64:
        raise ValueError(f"`size` (={size}) must be an integer from 8 to 64.")
    pictures, folders, left_out = [], [], []
    channels, num_bytes = 3 if colour else 1, 0
    most = min(MAX_IMAGES, MAX_VALUES // (channels * size * size))
    for image in images:
        if len(pictures) + len(left_out) >= most:
            raise ImageSetError(
                f"There are more than {most:,} files, the most for {size} x {size} pixels in "
                f"{channels} channels."
            )
        try:
            if image.problem:
                raise PictureError(f"{image.name}: {image.problem}.")
            pictures.append(read_picture(image.name, image.content, size, size, channels=channels))
            folders.append(image.folder)
        except PictureError as error:
            left_out.append(str(error))
        num_bytes += len(image.content)
        yield num_bytes
    if len(pictures) < FEWEST_IMAGES:
        reason = f" Left out: {'; '.join(left_out[:3])}." if left_out else ""
        raise ImageSetError(
            f"{len(pictures)} usable images are too few: {FEWEST_IMAGES} or more are needed, "
            f"hundreds are better.{reason}"
        )
    names = sorted(set(folders))
    if not 2 <= len(names) <= 1000:
        names = []
    values = torch.from_numpy(np.stack(pictures))  # (N, C, H, W)
    label = torch.tensor([names.index(folder) if names else 0 for folder in folders])
    named = tuple(name or "(no folder)" for name in names)
    return ImageSet(values, label, named, tuple(left_out))


def save_image_set(path: str | os.PathLike[str], images: ImageSet) -> None:
    """Write a data set as one file, atomically; ImageSetError if the name does not end right."""
    if not str(path).endswith(SUFFIX):
        raise ImageSetError(f"{path}: the name must end with {SUFFIX}.")
    write_atomically(Path(path), image_set_bytes(images))


def image_set_bytes(images: ImageSet) -> bytes:
    """Encode a data set; the same images always give the same bytes."""
    about = json_bytes({"class_names": images.class_names}).decode()
    tensors = {"levels": images.levels, "label": images.label}
    return safetensors_bytes(tensors, {"format": FORMAT, "images": about})


def describe_image_set(
    path: str | os.PathLike[str],
) -> tuple[tuple[str, ...], tuple[int, int, int]]:
    """Read the class names, and C, H and W; raises as `load_image_set`."""
    names, (_, channels, height, width), _ = _read(path)
    return names, (channels, height, width)


def load_image_set(path: str | os.PathLike[str]) -> tuple[Tensor, Tensor]:
    """Read all images: levels uint8 (N, C, H, W), values 0..255, and label int64 (N,).

    Raises:
        ImageSetError: if the file is missing, damaged or foreign.
    """
    names, shape, (levels, label) = _read(path, "levels", "label")
    fits = levels.dtype == torch.uint8 and label.dtype == torch.int64 and len(label) == shape[0]
    if not fits or int(label.min()) < 0 or int(label.max()) >= max(len(names), 1):
        raise ImageSetError(f"{path}: its labels do not fit its images.")
    return levels, label


class _About(BaseModel):
    """The metadata of a file."""

    model_config = STRICT

    class_names: Annotated[
        tuple[Annotated[str, Field(max_length=255)], ...], Field(max_length=1000)
    ]


def _read(
    path: str | os.PathLike[str], *tensors: str
) -> tuple[tuple[str, ...], list[int], list[Tensor]]:
    """Read class names, the shape of the images, and the tensors of these names."""
    try:
        with open_safetensors(path, FORMAT, "images") as (file, about):
            names = _About.model_validate_json(about).class_names
            shape = file.get_slice("levels").get_shape()
            square = len(shape) == 4 and shape[1] in (1, 3) and 8 <= shape[2] == shape[3] <= 64
            if not square or shape[0] < FEWEST_IMAGES:
                raise ValueError(f"its images have the shape {shape}")
            return names, shape, [file.get_tensor(name) for name in tensors]
    except (OSError, SafetensorError, ValueError) as error:
        raise ImageSetError(
            f"{path}: is not a readable file of own images: {fault_of(error)}."
        ) from error
