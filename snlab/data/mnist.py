"""MNIST and Fashion-MNIST: 60,000 and 10,000 grey images, in the IDX files that they were published in."""

from __future__ import annotations

import gzip
import hashlib
import tempfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import torch.nn.functional as F
from torch import Tensor

from snlab.data.dataset import DATASETS, DataSet
from snlab.data.published import File, Item, Source, altered
from snlab.data.shrinking import shrunk
from snlab.data.stored import Part, Stored

COUNTS = {"train": 60_000, "heldout": 10_000}
FILES = {  # as they are published, images and labels
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "heldout": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
# md5 of what is inside: whoever packs a file anew, as Debian does, packs the same. torchvision has those of
# the packed files alone.
INSIDE = {
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
PACKAGE = "dataset-fashion-mnist"  # Debian's
DEBIAN = Path("/usr/share/datasets/fashion-mnist")  # where that puts it


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
    return _stored("FashionMNIST", "fashion_mnist", size, DEBIAN, package=PACKAGE)


def _stored(published: str, name: str, size: int, *elsewhere: Path, package: str = "") -> DataSet:
    if size not in (16, 32) or isinstance(size, float):
        raise ValueError(f"size wants 32, or 16 for half of it, got {size!r}")

    def files() -> Mapping[str, File]:
        from torchvision import datasets  # here: it takes a second, and others do without

        read = getattr(datasets, published)
        return {
            file: File(md5, tuple(f"{mirror}{file}" for mirror in read.mirrors))
            for file, md5 in read.resources
        }

    items = tuple(Item(file, f"{file}.gz") for pair in FILES.values() for file in pair)
    source = Source(name, f"{published}/raw", items, files, elsewhere=elsewhere, package=package)

    def part(which: str) -> Part:
        images, labels = (_read(source, file, INSIDE[published][file]) for file in FILES[which])
        return Part([_resized(chunk, size) for chunk in images.split(10_000)], labels.long())

    return Stored(
        name,
        key=str(size),
        train=(COUNTS["train"], 1, size, size),
        heldout=(COUNTS["heldout"], 1, size, size),
        convert=lambda: (part("train"), part("heldout")),
        classes=10,
        source=source,
    ).dataset()


def _resized(images: Tensor, size: int) -> Tensor:
    """Images (n, 28, 28) as (n, 1, size, size), uint8."""
    return shrunk(F.pad(images, (2, 2, 2, 2)).unsqueeze(1), 32 // size)


def _read(source: Source, file: str, md5: str) -> Tensor:
    """One IDX file, packed or not; UserError unless what is inside is as published."""
    from torchvision.datasets.mnist import read_image_file, read_label_file

    path = source.find(f"{file}.gz") or source.find(file)
    assert path is not None, f"{file} is not here"
    try:
        inside = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise altered(source.name, path) from error
    if hashlib.md5(inside, usedforsecurity=False).hexdigest() != md5:
        raise altered(source.name, path)
    with tempfile.NamedTemporaryFile() as unpacked:  # torchvision reads a file by its name
        unpacked.write(inside)
        unpacked.flush()
        return read_image_file(unpacked.name) if "images" in file else read_label_file(unpacked.name)
