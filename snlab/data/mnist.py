"""MNIST and Fashion-MNIST: 60,000 and 10,000 grey images, in the IDX files that they were published in."""

from __future__ import annotations

import gzip
import hashlib
import tempfile
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from snlab.core.folders import data_folder
from snlab.data.dataset import DATASETS, DataSet
from snlab.data.published import altered, md5_of, missing
from snlab.data.stored import Part, Stored

COUNTS = {"train": 60_000, "heldout": 10_000}
FILES = {  # as they are published, images and labels
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "heldout": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
# Where Debian's package dataset-fashion-mnist has them, packed anew: known by the sha256 of what is inside.
DEBIAN = Path("/usr/share/datasets/fashion-mnist")
INSIDE = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}


@DATASETS.register("mnist")
def mnist(size: int = 32) -> DataSet:
    """60,000 handwritten digits in grey, and 10,000 held out (LeCun et al. 1998).

    The 28 x 28 images between margins of 2 black pixels, uint8 (N, 1, 32, 32); with ``size=16`` each pixel is
    the mean of 2 x 2. Labels are the digits.

    Args:
        size: height and width, in pixels, 32 or 16.

    Raises:
        ValueError: for another size.
    """
    return _stored("MNIST", "mnist", size)


@DATASETS.register("fashion_mnist")
def fashion_mnist(size: int = 32) -> DataSet:
    """60,000 pictures of clothing in grey, and 10,000 held out (Xiao et al. 2017).

    The 28 x 28 images between margins of 2 black pixels, uint8 (N, 1, 32, 32); with ``size=16`` each pixel is
    the mean of 2 x 2. Labels are ten kinds of clothing. Debian's package ``dataset-fashion-mnist`` has it.

    Args:
        size: height and width, in pixels, 32 or 16.

    Raises:
        ValueError: for another size.
    """
    return _stored("FashionMNIST", "fashion_mnist", size, DEBIAN)


def _stored(published: str, name: str, size: int, *elsewhere: Path) -> DataSet:
    if size not in (16, 32):
        raise ValueError(f"size wants 32, or 16 for half of it, got {size!r}")
    folders = (data_folder() / published / "raw", *elsewhere)  # the first is torchvision's

    def part(which: str) -> Part:
        images, labels = (_read(published, name, file, folders) for file in FILES[which])
        return Part([_resized(chunk, size) for chunk in images.split(10_000)], labels.long())

    return Stored(
        name,
        key=str(size),
        train=(COUNTS["train"], 1, size, size),
        heldout=(COUNTS["heldout"], 1, size, size),
        convert=lambda: (part("train"), part("heldout")),
        classes=10,
    ).dataset()


def _resized(images: Tensor, size: int) -> Tensor:
    """Images (n, 28, 28) as (n, 1, size, size), uint8."""
    padded = F.pad(images, (2, 2, 2, 2)).unsqueeze(1)
    return padded if size == 32 else F.avg_pool2d(padded.float(), 32 // size).round().to(torch.uint8)


def _read(published: str, name: str, file: str, folders: tuple[Path, ...]) -> Tensor:
    """One IDX file, packed or not, from the first folder that has it; UserError unless it is as published."""
    from torchvision.datasets import mnist as idx  # here: it takes half a second, and others do without

    packed = dict(getattr(idx, published).resources)
    for folder in folders:
        path = folder / f"{file}.gz"
        if not path.is_file() and not path.with_suffix("").is_file():
            continue
        try:
            inside = gzip.decompress(path.read_bytes()) if path.is_file() else None
        except (OSError, EOFError) as error:
            raise altered(name, path) from error
        if inside is not None and md5_of(path) != packed[path.name] and not _is(published, file, inside):
            raise altered(name, path)
        if inside is None:
            path = path.with_suffix("")
            inside = path.read_bytes()
            if published == "FashionMNIST" and not _is(published, file, inside):
                raise altered(name, path)
        with tempfile.NamedTemporaryFile() as unpacked:  # torchvision reads a file by its name
            unpacked.write(inside)
            unpacked.flush()
            try:
                read = idx.read_image_file if "images" in file else idx.read_label_file
                return read(unpacked.name)
            except (ValueError, RuntimeError, AssertionError, KeyError, TypeError) as error:
                raise altered(name, path) from error
    raise missing(name, folders[0], (f"{one}.gz" for pair in FILES.values() for one in pair))


def _is(published: str, file: str, inside: bytes) -> bool:
    """Whether these are the bytes inside a file of Fashion-MNIST."""
    return published == "FashionMNIST" and hashlib.sha256(inside).hexdigest() == INSIDE[file]
