"""Images read once, from files of whatever kind, into one array that every run maps to memory.

CACHE/data/NAME-KEY/meta.json       shapes and digests; written last
                    train.bin       uint8 (N, C, H, W), heldout.bin likewise
                    train.labels    int64 (N,), where there are labels; heldout.labels likewise
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from torch import Tensor

from snlab.core.errors import UserError
from snlab.core.files import write_atomically
from snlab.core.folders import cache_folder
from snlab.core.progress import progress
from snlab.data.dataset import DataSet
from snlab.data.published import Source

META = "meta.json"
VERSION = 1  # of the format; another one is converted anew
MAPPED_FROM = 2**30  # bytes of training images: as many, and they stay off the training device
VERIFIED_TO = 2**28  # bytes of a file: up to as many, its digest is checked at each start
WAIT = 24 * 3600.0  # seconds to wait for another process that converts the same


@dataclass(frozen=True)
class Part:
    """One split as its files are read: images in order, as uint8 chunks (n, C, H, W), then their labels.

    Args:
        images: read once, so a generator will do.
        labels: int64 (N,), of all images, or None; a function where they are known only after the images are.
    """

    images: Iterable[Tensor]
    labels: Tensor | Callable[[], Tensor] | None = None


Convert = Callable[[], tuple[Part, Part]]
Shape = tuple[int, int, int, int]


@dataclass(frozen=True)
class Stored:
    """A data set of images in files, known by its shapes before anything is read.

    Args:
        name: of the data set.
        key: what the arrays depend on, options and source files; with the name, it names their folder.
        train: (N, C, H, W), as far as it is known before they are read.
        heldout: likewise.
        convert: gives training and held-out images from the source files; UserError where these are missing
            or are not what was published.
        classes: 0 without labels.
        labelled: whether training and held-out images have labels.
        source: the published files that it is converted from, where they are such.
        left_out: lines that ``convert`` fills in, on what it could not use; told at every start.
    """

    name: str
    key: str
    train: Shape
    heldout: Shape
    convert: Convert
    classes: int = 0
    labelled: tuple[bool, bool] = (True, True)
    source: Source | None = None
    left_out: list[str] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        return cache_folder() / "data" / f"{self.name}-{self.key}"

    def dataset(self) -> DataSet:
        """The data set, blank: ``loaded()`` reads it, and converts it the first time."""
        train, heldout = _blank(self.train), _blank(self.heldout)
        of_train, of_heldout = (
            torch.arange(shape[0]) % self.classes if labelled and self.classes else None
            for shape, labelled in zip((self.train, self.heldout), self.labelled, strict=True)
        )
        return DataSet(
            self.name,
            train,
            heldout,
            of_train,
            of_heldout,
            classes=self.classes,
            load=self.load,
            stored=self,
            mapped=train.nbytes >= MAPPED_FROM,
        )

    def check(self) -> None:
        """UserError where neither the arrays nor what they are made from is here; neither is read."""
        if self.meta() is None and self.source is not None:
            self.source.check()

    def load(self) -> DataSet:
        """Map the arrays to memory; the first time, or where they are damaged, convert the source files."""
        meta = self.whole()
        if meta is None:
            if self.source is not None:
                self.source.check()
            meta = self._converted()
        for line in meta["left_out"]:
            warnings.warn(f"{self.name}: {line}", stacklevel=2)
        train, heldout = (self._images(part, meta) for part in ("train", "heldout"))
        return DataSet(
            self.name,
            train,
            heldout,
            self._labels("train", meta),
            self._labels("heldout", meta),
            classes=self.classes,
            stored=self,
            mapped=train.nbytes >= MAPPED_FROM,
        )

    def whole(self) -> dict[str, Any] | None:
        """What is known of the arrays; None where they are not here, or damaged, and are to be converted."""
        meta = self.meta()
        return meta if meta is not None and self._whole(meta) else None

    def meta(self) -> dict[str, Any] | None:
        """What is known of the arrays; None where there are none, or those of another version."""
        return read_meta(self.folder)

    # ---- reading ----------------------------------------------------------------------------------------

    def _images(self, part: str, meta: dict[str, Any]) -> Tensor:
        shape = meta["shapes"][part]
        path = str(self.folder / f"{part}.bin")
        return torch.from_file(path, shared=False, size=prod(shape), dtype=torch.uint8).view(shape)

    def _labels(self, part: str, meta: dict[str, Any]) -> Tensor | None:
        path = self.folder / f"{part}.labels"
        if path.name not in meta["files"]:
            return None
        return torch.from_file(
            str(path), shared=False, size=meta["shapes"][part][0], dtype=torch.int64
        ).clone()

    def _whole(self, meta: dict[str, Any]) -> bool:
        """Whether the files are those that were written: by their sizes, small ones by their digests too."""
        try:
            for part, shape in (("train", self.train), ("heldout", self.heldout)):
                count, *of_each = meta["shapes"][part]
                if of_each != list(shape[1:]) or meta["files"][f"{part}.bin"][0] != count * prod(of_each):
                    return False
            files = [(self.folder / name, size, digest) for name, (size, digest) in meta["files"].items()]
            return isinstance(meta["left_out"], list) and all(_is_whole(*file) for file in files)
        except (KeyError, TypeError, ValueError, AttributeError, OSError):
            return False

    # ---- converting -------------------------------------------------------------------------------------

    def _converted(self) -> dict[str, Any]:
        """What is known of the arrays, once they are written. One process writes, others wait for it."""
        with self._alone():
            meta = self.whole()
            if meta is not None:  # another process wrote them meanwhile
                return meta
            self._make_room()
            partial = self.folder.with_name(f".{self.folder.name}.{os.getpid()}")
            partial.mkdir()
            try:
                meta = self._write(partial)
                shutil.rmtree(self.folder, ignore_errors=True)
                partial.replace(self.folder)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
            return meta

    @contextmanager
    def _published(self) -> Iterator[Callable[[float], None]]:
        """Inside, published files are unpacked, and how many of their images are read is shown."""
        if self.source is None:
            yield lambda _: None
            return
        self.source.ready()
        images = self.train[0] + self.heldout[0]
        with progress(f"{self.name}: converting {images:,} images, once", images) as done:
            yield done

    @contextmanager
    def _alone(self) -> Iterator[None]:
        folder = self.folder.parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with FileLock(folder / f".{self.folder.name}.lock", timeout=WAIT):
                yield
        except Timeout:
            raise UserError(f"{self.name}: another process has been converting it for a day") from None
        except OSError as error:
            reason = error.strerror or str(error)
            at = f": {error.filename}" if error.filename is not None else ""
            raise UserError(
                f"{self.name} cannot be kept in {folder} ({reason}{at}); SNLAB_CACHE says where"
            ) from error

    def _make_room(self) -> None:
        """Remove what killed processes left half written; UserError where the disk is too full."""
        for left in self.folder.parent.glob(f".{self.folder.name}.*[0-9]"):
            shutil.rmtree(left, ignore_errors=True)
        wanted = prod(self.train) + prod(self.heldout)
        free = shutil.disk_usage(self.folder.parent).free
        if free < 1.05 * wanted:
            raise UserError(
                f"{self.name} takes {wanted / 2**30:.1f} GiB in {self.folder.parent}, and {free / 2**30:.1f} "
                "GiB are free; SNLAB_CACHE says where"
            )

    def _write(self, folder: Path) -> dict[str, Any]:
        shapes: dict[str, list[int]] = {}
        files: dict[str, tuple[int, str]] = {}
        with self._published() as done:
            for part, source in zip(("train", "heldout"), self.convert(), strict=True):
                images = _counted(source.images, done)
                shape = self.train if part == "train" else self.heldout
                size, digest = _append(folder / f"{part}.bin", images)
                count, rest = divmod(size, prod(shape[1:]))
                assert rest == 0, f"images of {self.name} are not all of shape {shape[1:]}"
                shapes[part] = [count, *shape[1:]]
                files[f"{part}.bin"] = (size, digest)
                labels = source.labels() if callable(source.labels) else source.labels
                if labels is not None:
                    assert len(labels) == count, f"{self.name} has {count} images and {len(labels)} labels"
                    files[f"{part}.labels"] = _append(folder / f"{part}.labels", [labels.numpy()])
        meta = {
            "version": VERSION,
            "name": self.name,
            "shapes": shapes,
            "classes": self.classes,
            "files": files,
            "left_out": self.left_out,
        }
        write_atomically(folder / META, json.dumps(meta, indent=1))
        return meta


def read_meta(folder: Path) -> dict[str, Any] | None:
    """What is known of the arrays in a folder; None where there are none, or those of another version."""
    try:
        meta = json.loads((folder / META).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return meta if isinstance(meta, dict) and meta.get("version") == VERSION else None


def _counted(chunks: Iterable[Tensor], done: Callable[[float], None]) -> Iterator[Any]:
    for chunk in chunks:
        yield chunk.numpy()
        done(len(chunk))


def _blank(shape: Sequence[int]) -> Tensor:
    """Zeros of a shape, uint8, that take no memory."""
    return torch.zeros((), dtype=torch.uint8).expand(tuple(shape))


def _is_whole(path: Path, size: int, digest: str) -> bool:
    if not path.is_file() or path.stat().st_size != size:
        return False
    return size > VERIFIED_TO or hashlib.sha256(path.read_bytes()).hexdigest() == digest


def _append(path: Path, arrays: Iterable[Any]) -> tuple[int, str]:
    """Write arrays one after the other, to the disk itself; gives the file's size and its sha256."""
    digest, size = hashlib.sha256(), 0
    with path.open("wb") as file:
        for array in arrays:
            data = array.tobytes()
            digest.update(data)
            size += file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return size, digest.hexdigest()
