"""A table as data: cells that keep the numbers behind what they show."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import groupby
from typing import Literal

from snlab.results.spread import Spread

NOTHING = "–"  # measured in other rows, not in this one
NOT_RUN = "not run"
ALL_DIVERGED = "diverged"  # no run finished: the worst score
BEST = "best: its 95 % t interval over the seeds overlaps no other's"


@dataclass(frozen=True)
class Cell:
    """One cell: what is shown, and the numbers behind it.

    ``text`` is the mean or a word, ``spread`` its standard deviation as shown, ``remark`` what must be said
    with it ("1/3 diverged"), ``best`` whether it may be set in bold.
    """

    text: str
    spread: str = ""
    remark: str = ""
    numbers: Spread | None = None
    best: bool = False

    @property
    def full(self) -> str:
        parts = [
            self.text,
            f"± {self.spread}" if self.spread else "",
            f"({self.remark})" if self.remark else "",
        ]
        return " ".join(part for part in parts if part)


@dataclass(frozen=True)
class Column:
    """``key`` names it in CSV, ``header`` elsewhere; ``unit`` and ``help`` explain.

    ``kind`` says what its cells hold: words, one number, or the mean over seeds of a number. ``group`` keeps
    columns together where a table is cut; a ``detail`` is written to CSV only.
    """

    key: str
    header: str
    unit: str = ""
    help: str = ""
    group: str = ""
    kind: Literal["words", "number", "mean"] = "words"
    detail: bool = False

    @property
    def title(self) -> str:
        return f"{self.header} [{self.unit}]" if self.unit else self.header


@dataclass(frozen=True)
class Table:
    """The first column labels the rows."""

    title: str
    columns: list[Column]
    rows: list[list[Cell]]
    notes: list[str] = field(default_factory=list)

    def shown(self) -> Table:
        """Without the details."""
        return self._keep(lambda index: not self.columns[index].detail)

    def without_empty(self) -> Table:
        """Without the columns that say nothing in any row."""
        nothing = {"", NOTHING, NOT_RUN, ALL_DIVERGED}
        said = [{row[i].text for row in self.rows} - nothing for i in range(len(self.columns))]
        return self._keep(lambda index: bool(said[index]) or index == 0)

    def panels(self) -> list[Table]:
        """One table for each group of columns, each with the column of labels."""
        found = groupby(range(1, len(self.columns)), key=lambda index: self.columns[index].group)
        return [self._keep({0, *indices}.__contains__) for _, indices in found]

    def halves(self) -> list[Table]:
        """Two tables of half the columns each, both with the column of labels."""
        count = len(self.columns)
        middle = (count + 1) // 2
        return [self._keep({0, *part}.__contains__) for part in (range(1, middle), range(middle, count))]

    def _keep(self, wanted: Callable[[int], bool]) -> Table:
        kept = [i for i in range(len(self.columns)) if wanted(i)]
        rows = [[row[i] for i in kept] for row in self.rows]
        return Table(self.title, [self.columns[i] for i in kept], rows, self.notes)

    @property
    def footnotes(self) -> list[str]:
        return [*self.notes, *([f"* {BEST}"] if any(cell.best for row in self.rows for cell in row) else [])]


def rounded(mean: float, std: float = math.nan, digits: int = 3, decimals: int = 4) -> tuple[str, str]:
    """A mean and its standard deviation: ``digits`` digits of the larger, at most ``decimals`` decimals.

    >>> rounded(31.4159, 2.71828), rounded(0.0123, decimals=3), rounded(1234.5, 67.8)
    (('31.4', '2.7'), ('0.012', ''), ('1234', '68'))
    """
    if not math.isfinite(mean):
        return NOTHING, ""
    largest = max(abs(mean), std if math.isfinite(std) else 0.0)
    shape = ".2e" if largest >= 1e5 else f".{_decimals(largest, digits, decimals)}f"
    return format(mean, shape), format(std, shape) if math.isfinite(std) else ""


def _decimals(largest: float, digits: int, most: int) -> int:
    return min(max(digits - 1 - math.floor(math.log10(largest)), 0), most) if largest > 0 else most
