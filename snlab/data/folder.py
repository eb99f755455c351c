"""Any folder of images: of whatever kinds, sizes and modes, in classes or not, split or not."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from snlab.core.checks import check_whole
from snlab.core.errors import UserError
from snlab.core.progress import counted
from snlab.data.dataset import DATASETS, DataSet
from snlab.data.decoding import UndecodableError, check_channels, decode_all
from snlab.data.image_files import Found, Listing, listing, printable
from snlab.data.stored import Part, Stored

NAMED = 3  # broken files in a line; the others are counted
VERSION = 1  # of what is made of a file; another one converts anew


@DATASETS.register("folder")
def folder(path: str, size: int = 64, channels: int = 3, heldout: float = 0.1) -> DataSet:
    """Your own images, in a folder and its sub-folders: JPEG, PNG, BMP, GIF, WebP, TIFF.

    Each becomes uint8 (channels, size, size) as ``snlab.data.decoding.decode`` says: upright, its middle
    square, resized. They are converted once, and again when a file is added, removed or changed, or for other
    options. A broken file is left out, which a line says.

    Labels: where all images lie in sub-folders, their names in order are the classes (one folder around all
    of them is none). Split: where there are ``train`` and ``test``, ``val`` or ``heldout`` (all of these, if
    several), they are it, with the classes inside. Else an image is held out by the hash of its name,
    whatever the others are: adding images moves none to the other side. A held-out image that is a training
    image too, pixel by pixel, is left out. Hidden files and folders are passed over; links are followed.

    Args:
        path: the folder, in quotes: ``folder(path='my/pictures')``. A relative one is of the working
            directory. A run's identity holds it as it is written, and nothing of what is inside.
        size: height and width, in pixels.
        channels: 3 for colour, 1 for grey.
        heldout: which share is held out, of a folder that is not split, between 0 and 1.

    Raises:
        ValueError: for other options.
        UserError: for a folder that is not there, or has no images.
    """
    if not isinstance(path, str) or not path:
        raise ValueError(f"path wants the name of a folder, in quotes, got {path!r}")
    check_whole("size", size, least=4)
    check_channels(channels)
    if isinstance(heldout, bool) or not isinstance(heldout, int | float) or not 0 < heldout < 1:
        raise ValueError(f"heldout wants a share between 0 and 1, got {heldout!r}")
    return stored(listing(Path(path).expanduser(), heldout), size, channels).dataset()


def stored(images: Listing, size: int, channels: int) -> Stored:
    """The images of a listing as they will be converted."""
    left_out: list[str] = []
    labelled = bool(images.classes)
    return Stored(
        "folder",
        key=_key(images, size, channels),
        train=(len(images.train), channels, size, size),
        heldout=(len(images.heldout), channels, size, size),
        convert=lambda: _Conversion(images, size, channels, left_out).parts(),
        classes=len(images.classes),
        labelled=(labelled, labelled),
        left_out=left_out,
    )


def _key(images: Listing, size: int, channels: int) -> str:
    """The hash of all that the arrays depend on, as far as it is known without opening a file."""
    digest = hashlib.sha256(repr((VERSION, size, channels, images.left_out)).encode())
    digest.update(os.fsencode(images.root.resolve()))
    for part in (images.train, images.heldout):
        digest.update(b"\0\0")
        for image in part:
            digest.update(os.fsencode(image.name) + f"\0{image.size} {image.changed}\0".encode())
    return digest.hexdigest()[:16]


# ---- converting -----------------------------------------------------------------------------------------


class _Conversion:
    """Reads a listing's files, once: the training images, then those held out that are not among them."""

    def __init__(self, images: Listing, size: int, channels: int, left_out: list[str]) -> None:
        self.images, self.size, self.channels, self.left_out = images, size, channels, left_out
        self._seen: set[bytes] = set()  # digests of training images
        self._broken: list[str] = []
        self._twice: list[str] = []

    def parts(self) -> tuple[Part, Part]:
        labels: tuple[list[int], list[int]] = [], []
        train, heldout = (
            (lambda own=own: torch.tensor(own, dtype=torch.int64)) if self.images.classes else None
            for own in labels
        )
        return Part(self._train(labels[0]), train), Part(self._heldout(labels[1]), heldout)

    def _train(self, labels: list[int]) -> Iterator[Tensor]:
        for image, pixels in self._read(self.images.train, "training images"):
            self._seen.add(_digest(pixels))
            labels.append(image.label)
            yield pixels.unsqueeze(0)
        if not labels:
            total = f"none of the {len(self.images.train):,} training images can be read"
            raise UserError(f"data set folder: {total}: {_first(self._broken)}")

    def _heldout(self, labels: list[int]) -> Iterator[Tensor]:
        for image, pixels in self._read(self.images.heldout, "held-out images"):
            if _digest(pixels) in self._seen:
                self._twice.append(printable(image.name))
                continue
            labels.append(image.label)
            yield pixels.unsqueeze(0)
        self.left_out[:] = self.images.left_out
        if self._broken:
            total = len(self.images.train) + len(self.images.heldout)
            files = f"{len(self._broken):,} of {total:,} files are broken, and left out"
            self.left_out.append(f"{files}: {_first(self._broken)}")
        if self._twice:
            twice = f"{len(self._twice):,} held-out images are training images too, and left out"
            self.left_out.append(f"{twice}: {_first(self._twice)}")
        if not labels:
            why = "; ".join(self.left_out)
            raise UserError(f"data set folder: no held-out image is left, more should be held out: {why}")

    def _read(self, found: list[Found], what: str) -> Iterator[tuple[Found, Tensor]]:
        pixels = decode_all((image.path for image in found), self.size, self.channels)
        pairs = zip(found, pixels, strict=True)
        for image, one in counted(pairs, len(found), f"folder: reading {what}"):
            if isinstance(one, UndecodableError):
                reason = "empty" if image.size == 0 else str(one).removeprefix(f"{image.path}: ")
                self._broken.append(f"{printable(image.name)} ({printable(reason)})")
            else:
                yield image, one


def _first(names: list[str]) -> str:
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _digest(pixels: Tensor) -> bytes:
    return hashlib.sha256(pixels.numpy().data).digest()[:16]
