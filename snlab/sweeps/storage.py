"""Where a study is kept: a SQLite file or a PostgreSQL database, and one executor at a time that changes it.

A lock file beside SQLite's database keeps the others out, or an advisory lock of PostgreSQL, and both end
with the process that holds them. (Optuna's own claim is a read and then a write, which SQLite does not keep
together.)
"""

from __future__ import annotations

import functools
import json
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy
from filelock import FileLock
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage

from snlab.core.errors import UserError
from snlab.sweeps.sqlite import path_of

ADVISORY_LOCK = 0x736E6C6162  # any number that others hardly choose: "snlab"
BEGINS_ANEW = "the same command begins a new study, and finds every run that is over in its folder"
# What SQLite says of a file that no waiting will mend.
_DAMAGED = ("not a database", "malformed", "no such table", "no such column")

F = TypeVar("F", bound=Callable[..., Any])


class StudyLostError(UserError):
    """The database cannot be read or written, and where ``for_good`` will not come back by itself."""

    def __init__(self, line: str, for_good: bool = False) -> None:
        super().__init__(line)
        self.for_good = for_good


class Storage:
    """One database, opened.

    UserError where it cannot be, or is of no kind in which one executor can keep the others out.

    Args:
        url: SQLAlchemy's.
        lease: seconds after which a trial whose executor is silent counts as lost.
    """

    def __init__(self, url: str, lease: int) -> None:
        self.url = url
        self._file = path_of(url)
        self._inode: int | None = None
        if self._file is None and not url.startswith("postgresql"):
            raise UserError(f"--storage {self}: sqlite:///PATH or postgresql+psycopg://... is needed")
        try:
            if self._file is not None:
                self._file.parent.mkdir(parents=True, exist_ok=True)
            with self.alone(), no_warning():
                self.trials = RDBStorage(url, heartbeat_interval=max(1, lease // 3), grace_period=lease)
            if self._file is not None:
                self._inode = self._file.stat().st_ino
        except UserError:
            raise
        except Exception as error:  # of SQLAlchemy, of the driver, or of a driver that is not installed
            raise self._opening(error) from error

    def __str__(self) -> str:
        """The URL without its password."""
        return re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", self.url)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Inside, no other executor changes the study. StudyLostError where the file is another or gone."""
        if self._file is None:
            with _advisory_lock(self.url):
                yield
            return
        with FileLock(self._file.with_name(f".{self._file.name}.lock")):
            if self._gone():
                raise self.lost(FileNotFoundError())
            yield

    def lost(self, error: Exception) -> StudyLostError:
        """What an error of the database means for who uses it."""
        reason = _reason(error)
        if self._gone():
            return StudyLostError(f"the study {self._file} is gone; {BEGINS_ANEW}", for_good=True)
        if self._file is not None and any(words in reason for words in _DAMAGED):
            return StudyLostError(
                f"the study {self._file} is damaged ({reason}); delete it: {BEGINS_ANEW}", for_good=True
            )
        return StudyLostError(f"the study {self._file or self} cannot be reached ({reason})")

    def _gone(self) -> bool:
        """Whether the file that was opened is there no more, be it that another has its name."""
        return self._inode is not None and self._file is not None and _inode(self._file) != self._inode

    def _opening(self, error: Exception) -> UserError:
        lost = self.lost(error)
        if lost.for_good:
            return lost
        if isinstance(error, OSError) and self._file is not None:
            return UserError(f"{self._file.parent} cannot be written: {error.strerror}")
        return UserError(f"--storage {self} cannot be opened: {_reason(error)}")


def reached(method: F) -> F:
    """A method of something that has a ``storage``: what goes wrong with the database is StudyLostError."""

    @functools.wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return method(self, *args, **kwargs)
        # A KeyError is a record that was there.
        except (
            StorageInternalError,
            sqlalchemy.exc.SQLAlchemyError,
            OSError,
            KeyError,
            json.JSONDecodeError,
        ) as e:
            raise self.storage.lost(e) from e

    return call  # type: ignore[return-value]


@contextmanager
def no_warning() -> Iterator[None]:
    """Optuna calls heartbeats experimental, each time."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _advisory_lock(url: str) -> Iterator[None]:
    """PostgreSQL's lock of a number, held by a connection of its own."""
    with sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool).connect() as connection:
        connection.execute(sqlalchemy.text("SELECT pg_advisory_lock(:key)"), {"key": ADVISORY_LOCK})
        yield


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None


def _reason(error: BaseException) -> str:
    """An error in one line: of one that wraps another, the other's, which says what the matter is."""
    if isinstance(error, StorageInternalError) and error.__cause__ is not None:
        return _reason(error.__cause__)
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
