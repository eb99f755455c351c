"""SQLAlchemy's URL of an SQLite file, whatever its folders are named, and the file of such a URL."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError


def url_of(path: Path) -> str:
    """The URL of the file.

    >>> url_of(Path("runs/a?c/study.db"))
    'sqlite:///runs/a%3Fc/study.db'
    """
    return URL.create("sqlite", database=str(path)).render_as_string()


def path_of(url: str) -> Path | None:
    """The file of an SQLite URL; None for another database's, and for what is no URL.

    >>> path_of("sqlite:///runs/a%3Fc/study.db").as_posix()
    'runs/a?c/study.db'
    """
    try:
        found = make_url(url)
    except ArgumentError:
        return None
    return Path(found.database) if found.drivername == "sqlite" and found.database else None
