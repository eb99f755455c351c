"""Tables of runs: each a function of runs, by name, and the formats they are written in."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from snlab.core.errors import UserError, nearest
from snlab.results.tables.formats import FORMATS, render
from snlab.results.tables.normalizers import normalizers
from snlab.results.tables.table import Cell, Column, Table
from snlab.tracking.run_folder import Run, Skipped

__all__ = ["FORMATS", "TABLES", "Cell", "Column", "Table", "make", "render"]

TABLES: dict[str, Callable[[Sequence[Run], Sequence[Skipped]], list[Table]]] = {"normalizers": normalizers}


def make(name: str, runs: Sequence[Run], skipped: Sequence[Skipped] = ()) -> list[Table]:
    """The table of that name, one part a data set; UserError for an unknown name."""
    if name not in TABLES:
        raise UserError(f"unknown table {name!r}; {nearest(name, TABLES)}")
    return TABLES[name](runs, skipped)
