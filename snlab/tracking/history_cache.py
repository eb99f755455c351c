"""Histories of large files, kept as bytes in the user's cache folder: read there in a hundredth of the time.

An entry is of a file as it was: its place, size and time are in the entry's name, so that what has changed
since is read anew (of a run on W&B, what W&B says of its state). ``core/cached.py`` verifies each, lets one
of several processes make it, and goes on where nothing can be kept.
"""

from __future__ import annotations

import hashlib
import json
import logging
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from snlab.core.cached import cached
from snlab.core.folders import cache_folder
from snlab.tracking.history import Column, History, Values, read_history

log = logging.getLogger(__name__)

VERSION = 1  # of the bytes below
SMALLEST = 2**20  # bytes of text that take long enough to read
QUIET = 2.0  # seconds since a file was written, before which it may change again within its time's precision
MOST = 4 * 2**30  # bytes of all entries together: the oldest go
WAIT = 60.0  # seconds for another process that reads the same file
_ALIGN = 8


def kept_history(path: Path) -> History:
    """``read_history(path)``, from the cache where the file has not changed since; OSError as there."""
    entry = entry_of(path)
    return read_history(path) if entry is None else _kept(entry, lambda: read_history(path))


def keep(path: Path) -> None:
    """Have the cache hold a file's history before anybody asks: of a file that nobody writes any more.

    Where that cannot be, whoever reads the file finds out, and says so.
    """
    with suppress(OSError, ValueError, OverflowError, MemoryError):
        if (entry := entry_of(path, quiet=0.0)) is not None:
            _kept(entry, lambda: read_history(path))


def kept(place: str, state: str, make: Callable[[], History]) -> History:
    """What ``make`` gives of a place, from the cache where that was in the same state before."""
    return _kept(_entry(place, _hash(state)), make) if _writable(_folder()) else make()


def unread(path: Path) -> int:
    """How many bytes of text ``kept_history`` would read: none of what is in the cache; OSError as there."""
    entry = entry_of(path)
    return 0 if entry is not None and entry.exists() else path.stat().st_size


def entry_of(path: Path, quiet: float | None = None) -> Path | None:
    """Where a file's history is kept, or is to be; None where it is too small, or still being written.

    None, too, where nothing can be kept at all. OSError where there is no such file.

    Args:
        path: the file.
        quiet: seconds for which it is to have been left alone, QUIET where none are said.
    """
    found = path.stat()
    rests = abs(time.time() - found.st_mtime) >= (QUIET if quiet is None else quiet)
    if found.st_size < SMALLEST or not rests or not _writable(_folder()):
        return None
    return _entry(str(path.resolve()), f"{found.st_size:x}-{found.st_mtime_ns:x}")


def _kept(entry: Path, make: Callable[[], History]) -> History:
    def made() -> bytes:
        content = to_bytes(make())
        _make_room(entry, len(content))
        return content

    return from_bytes(cached(entry, made, WAIT))


def _entry(place: str, state: str) -> Path:
    return _folder() / f"{_hash(place)}-{state}-{VERSION}.columns"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:24]


def _folder() -> Path:
    return cache_folder() / "histories"


@cache
def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError as error:
        log.info("nothing is kept in %s (%s): what runs logged is read anew each time", folder, error)
        return False


def _make_room(entry: Path, size: int) -> None:
    """Drop what is kept of the same file as it was before, and the oldest of more than may be kept."""
    with suppress(OSError):
        stats = [(found, found.stat()) for found in _folder().glob("*.columns")]
        place = entry.name.partition("-")[0]
        for found, stat in sorted(stats, key=lambda pair: pair[1].st_mtime_ns, reverse=True):
            size += stat.st_size
            if size > MOST or found.name.startswith(f"{place}-"):
                for path in (found, found.with_suffix(".sha256"), found.with_suffix(".lock")):
                    path.unlink(missing_ok=True)


# ---- a history as bytes ----------------------------------------------------------------------------------


class _Arrays:
    """Arrays one after another; one that is given twice is there once."""

    def __init__(self) -> None:
        self.known: dict[int, int] = {}
        self.arrays: list[np.ndarray] = []

    def place(self, array: np.ndarray | None) -> int | None:
        if array is None:
            return None
        if id(array) not in self.known:
            self.known[id(array)] = len(self.arrays)
            self.arrays.append(array)
        return self.known[id(array)]


def to_bytes(history: History) -> bytes:
    """A header of JSON, and the arrays that it names: ``from_bytes`` gives the history back."""
    arrays = _Arrays()
    head: dict[str, Any] = {"steps": arrays.place(history.steps), "broken": history.broken}
    head["columns"] = [
        (name, values.kind, *map(arrays.place, (rows, values.numbers, values.lengths)))
        for name, (rows, values) in history.columns.items()
    ]
    head["arrays"] = [(array.dtype.str, array.size) for array in arrays.arrays]
    parts = [json.dumps(head).encode(), *(array.tobytes() for array in arrays.arrays)]
    parts.insert(0, len(parts[0]).to_bytes(_ALIGN, "little"))
    return b"".join(map(_padded, parts))


def from_bytes(content: bytes) -> History:
    """The history whose ``to_bytes`` are ``content``, which its arrays look into."""
    length = int.from_bytes(content[:_ALIGN], "little")
    head = json.loads(content[_ALIGN : _ALIGN + length])
    arrays = list(_looking_into(content, _ALIGN + _up(length), head["arrays"]))

    def array(index: int | None) -> Any:
        return None if index is None else arrays[index]

    columns = {
        name: Column(array(rows), Values(kind, array(numbers), array(lengths)))
        for name, kind, rows, numbers, lengths in head["columns"]
    }
    return History(array(head["steps"]), columns, head["broken"])


def _looking_into(content: bytes, at: int, described: Iterable[tuple[str, int]]) -> Iterable[np.ndarray]:
    for dtype, size in described:
        array = np.frombuffer(content, dtype, size, at) if size else np.empty(0, dtype)
        yield array
        at += _up(array.nbytes)


def _padded(part: bytes) -> bytes:
    return part + b"\0" * (_up(len(part)) - len(part))


def _up(size: int) -> int:
    return -(-size // _ALIGN) * _ALIGN
