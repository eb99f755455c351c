"""Tables of runs: each a function of runs, by name, and the formats they are written in."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from snlab.core.errors import UserError
from snlab.results.matching import of_dataset
from snlab.results.papers import known_of, paper_table, table_names
from snlab.results.studies import STUDIES
from snlab.results.tables.formats import FORMATS, check_format, render
from snlab.results.tables.normalizers import normalizers
from snlab.results.tables.paper import paper_tables
from snlab.results.tables.study import study_tables
from snlab.results.tables.table import Cell, Column, Table
from snlab.tracking.run_folder import Run, Skipped

__all__ = ["FORMATS", "TABLES", "Cell", "Column", "Table", "check_format", "described", "make", "render"]

TABLES: dict[str, Callable[[Sequence[Run], Sequence[Skipped]], list[Table]]] = {"normalizers": normalizers}


def described() -> dict[str, str]:
    """What every table is, by its name: ours, those of our studies, and those of the papers."""
    ours = {name: (function.__doc__ or "").splitlines()[0] for name, function in TABLES.items()}
    ours |= {name: f"{study.title}." for name, study in STUDIES.items()}
    found = {name: paper_table(name) for name in table_names()}
    return ours | {name: f"{t.title} ({t.paper}, {t.source})." for name, t in found.items()}


def make(
    name: str, runs: Sequence[Run], skipped: Sequence[Skipped] = (), dataset: str | None = None
) -> list[Table]:
    """The table of that name, one part a data set, or that of one; UserError for an unknown name."""
    if name in STUDIES:
        return study_tables(STUDIES[name], runs if dataset is None else of_dataset(runs, dataset), skipped)
    if name in table_names():
        return paper_tables(name, runs, skipped, dataset)
    if name not in TABLES:
        raise UserError(f"unknown table {name!r}; {known_of(name, described())}")
    return TABLES[name](runs if dataset is None else of_dataset(runs, dataset), skipped)
