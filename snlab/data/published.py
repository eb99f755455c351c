"""Published files: where they are got, where they lie, and whether they are what was published."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

from filelock import FileLock

from snlab.core.environment import DATA
from snlab.core.errors import UserError
from snlab.core.folders import data_folder
from snlab.core.progress import progress
from snlab.data.downloading import download

T = TypeVar("T")


class File(NamedTuple):
    """A published file: its md5, and where it is got, the best place first."""

    md5: str
    urls: tuple[str, ...] = ()


class Item(NamedTuple):
    """What is read, a file or a folder, and the published file in which it comes, often itself."""

    read: str
    published: str


@dataclass(frozen=True)
class Source:
    """The files of a published data set.

    Args:
        name: of the data set.
        place: their folder below the data folder, as torchvision has it.
        items: what is read of them, and what that is unpacked from.
        published: each published file by its name, with md5 and addresses, as torchvision has them; a
            function, because torchvision takes a second to import.
        unpack: makes ``item.read`` in a folder out of the published file in ``folder``; None where the packed
            file is read.
        elsewhere: folders in which another package may have put the same files.
        by_hand: why the files cannot be downloaded, where they cannot.
        package: of Debian, that brings them.
    """

    name: str
    place: str
    items: tuple[Item, ...]
    published: Callable[[], Mapping[str, File]]
    unpack: Callable[[Source, Item, Path], None] | None = None
    elsewhere: tuple[Path, ...] = ()
    by_hand: str = ""
    package: str = ""

    @property
    def folder(self) -> Path:
        return data_folder() / self.place

    def find(self, file: str) -> Path | None:
        """Where a file or folder lies, the first of all places; None where it is not here."""
        paths = (folder / file for folder in (self.folder, *self.elsewhere))
        return next((path for path in paths if path.exists()), None)

    def lacking(self) -> list[str]:
        """The published files that are here neither packed nor unpacked, by their names: none is read."""
        return [
            item.published
            for item in self.items
            if self.find(item.read) is None and self.find(item.published) is None
        ]

    def where(self) -> Path:
        """The folder in which the first file lies, or would."""
        found = self.find(self.items[0].read) or self.find(self.items[0].published)
        return self.folder if found is None else found.parent

    def check(self) -> None:
        """UserError where a file is not here: how to get it, with a network and without."""
        lacking = self.lacking()
        if lacking:
            here = "not here" if len(lacking) == len(self.items) else "not here as a whole"
            package = f", Debian's package {self.package} has it" if self.package else ""
            get = self.by_hand or f"snlab data fetch {self.name} downloads it{package}; without a network,"
            raise UserError(
                f"{self.name} is {here}: {get} put {', '.join(lacking)} into {self.folder} "
                f"({DATA} moves {data_folder()})"
            )

    def get(self) -> None:
        """Download what is not here; UserError, with what to put where, if that cannot be done."""
        lacking = self.lacking()
        if lacking and self.by_hand:
            self.check()
        for file in lacking:
            known, path = self.published()[file], self.folder / file
            try:
                with _alone(path) as partial:
                    if not path.exists():  # of another process
                        download(self.name, known.urls, partial, known.md5)
                        partial.replace(path)
            except Exception as error:  # of the network, the server, the disk, gdown: whatever keeps it away
                wanted = (f"{file} ({self.published()[file].urls[0]})" for file in self.lacking())
                raise UserError(
                    f"{self.name} could not be downloaded ({_reason(error)}); put {', '.join(wanted)} "
                    f"into {self.folder}, then the same command again"
                ) from error

    def ready(self) -> None:
        """Unpack what is here packed alone; UserError where a packed file is not what was published."""
        self.check()
        if self.unpack is None:
            return
        for item in self.items:
            if self.find(item.read) is None:
                self._unpacked(item)

    def _unpacked(self, item: Item) -> None:
        assert self.unpack is not None
        path = self.folder / item.read
        try:
            with _alone(path) as partial:
                if path.exists():  # of another process
                    return
                with progress(f"{self.name}: unpacking {item.published}"):
                    partial.mkdir()
                    self.unpack(self, item, partial)
                    (partial / item.read).replace(path)
        except OSError as error:
            raise UserError(
                f"{self.name}: {item.published} cannot be unpacked into {self.folder} "
                f"({error.strerror or error})"
            ) from error

    def reading(self, files: Iterable[Sequence[str]], read: Callable[[], T], below: str = "") -> T:
        """What ``read`` gives: a reader of torchvision's, which says that a file is refused, but not which.

        Args:
            files: name and md5 of each that it looks at, in the folder ``below``.

        Raises:
            UserError: for the first of them that is not what was published.
        """
        from torchvision.datasets.utils import check_integrity

        try:
            return read()
        except RuntimeError as error:
            for file, md5 in files:
                path = self.folder / below / file
                if not check_integrity(path, md5):
                    raise altered(self.name, path, path.parent if below else None) from error
            raise


def extracted(source: Source, item: Item, into: Path) -> None:
    """Unpack an archive, once torchvision finds that it is the published one."""
    from torchvision.datasets.utils import check_integrity, extract_archive

    archive = source.folder / item.published
    if not check_integrity(archive, source.published()[item.published].md5):
        raise altered(source.name, archive)
    extract_archive(archive, into)


def altered(name: str, path: Path, folder: Path | None = None) -> UserError:
    """The error of a file that is not the published one, or is not there with the rest of its ``folder``."""
    fault = "not the published file, or only a part of it" if path.exists() else "missing"
    return UserError(f"{name}: {path} is {fault}; delete {folder or 'it'}, then snlab data fetch {name}")


@contextmanager
def _alone(path: Path) -> Iterator[Path]:
    """Inside, no other process makes ``path``; gives a name beside it for what is not whole yet.

    What is left there, also of a process that was killed, is removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    with FileLock(path.with_name(f".{path.name}.lock")):
        _remove(partial)
        try:
            yield partial
        finally:
            _remove(partial)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _reason(error: Exception) -> str:
    return " ".join(str(getattr(error, "reason", None) or error).split()) or type(error).__name__
