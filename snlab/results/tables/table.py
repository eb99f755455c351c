"""A table as data: cells that keep the numbers behind what they show."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
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
    columns together where a table is cut; a ``detail`` is written to CSV only. Where some columns of a table
    are ``brief``, only those are printed in LaTeX.
    """

    key: str
    header: str
    unit: str = ""
    help: str = ""
    group: str = ""
    kind: Literal["words", "number", "mean"] = "words"
    detail: bool = False
    brief: bool = False

    @property
    def title(self) -> str:
        return f"{self.header} [{self.unit}]" if self.unit else self.header


@dataclass(frozen=True)
class Table:
    """The first column labels the rows.

    ``sections`` has, for each row, the heading that it stands under with its neighbours; none where empty.
    """

    title: str
    columns: list[Column]
    rows: list[list[Cell]]
    notes: list[str] = field(default_factory=list)
    sections: list[str] = field(default_factory=list)

    def blocks(self) -> list[tuple[str, list[list[Cell]]]]:
        """The rows under each heading, in order."""
        headed = zip(self.sections or [""] * len(self.rows), self.rows, strict=True)
        return [(head, [row for _, row in rows]) for head, rows in groupby(headed, key=lambda pair: pair[0])]

    def is_left(self, index: int) -> bool:
        """Whether a column is set to the left: words, and the labels of the rows."""
        return index == 0 or self.columns[index].kind == "words"

    def shown(self) -> Table:
        """Without the details."""
        return self._keep(lambda index: not self.columns[index].detail)

    def brief(self) -> Table:
        """What a printed page has room for: without the details, and where some columns are brief, those."""
        if not any(column.brief for column in self.columns):
            return self.shown()
        return self._keep(lambda index: index == 0 or self.columns[index].brief)

    def named(self, name: str) -> list[int]:
        """The columns of that key, or of that beginning of a key before its slash."""
        keys = [column.key for column in self.columns]
        return [i for i, key in enumerate(keys) if key == name] or [
            i for i, key in enumerate(keys) if key.startswith(f"{name}/")
        ]

    def chosen(self, wanted: Sequence[str]) -> Table:
        """The column of labels and those wanted, as far as they are here, in that order, details or not."""
        table = self.only(list(dict.fromkeys([0, *(i for name in wanted for i in self.named(name))])))
        columns = [replace(column, detail=False, brief=True, group="") for column in table.columns]
        return replace(table, columns=columns)

    def only(self, indices: Sequence[int]) -> Table:
        """These columns, in this order."""
        rows = [[row[i] for i in indices] for row in self.rows]
        return replace(self, columns=[self.columns[i] for i in indices], rows=rows)

    def between(self, first: int, end: int) -> Table:
        """The rows from ``first`` to before ``end``."""
        return replace(self, rows=self.rows[first:end], sections=self.sections[first:end])

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
        return self.only([i for i in range(len(self.columns)) if wanted(i)])

    @property
    def has_best(self) -> bool:
        return any(cell.best for row in self.rows for cell in row)

    @property
    def footnotes(self) -> list[str]:
        return [*self.notes, *([f"* {BEST}"] if self.has_best else [])]


MORE = 2  # decimals that a mean is given beyond its own, so that its spread is not zero as shown


def rounded(mean: float, std: float = math.nan, digits: int = 3, decimals: int = 4) -> tuple[str, str]:
    """A mean and its standard deviation: ``digits`` digits of the larger, at most ``decimals`` decimals.

    A spread is "0" only where it is zero: one that rounds to it gets more decimals, or a bound.

    >>> rounded(31.4159, 2.71828), rounded(0.0123, decimals=3), rounded(1234.5, 67.8)
    (('31.4', '2.7'), ('0.012', ''), ('1234', '68'))
    >>> rounded(4.7412, 0.0021), rounded(8.0, 0.0), rounded(31.4, 1e-6), rounded(-0.001, 0.2, decimals=2)
    (('4.741', '0.002'), ('8.00', '0'), ('31.4', '<0.05'), ('0.00', '0.20'))
    """
    if not math.isfinite(mean):
        return NOTHING, ""
    spread = std if math.isfinite(std) else 0.0
    largest = max(abs(mean), spread)
    if largest >= 1e5:
        return _signed(mean, ".2e"), format(std, ".2e") if math.isfinite(std) else ""
    places = _decimals(largest, digits, decimals)
    wanted = math.ceil(-math.log10(2 * spread)) if spread > 0 else 0  # the fewest that show some of it
    if places < wanted <= places + MORE:
        places = wanted
    text = _signed(mean, f".{places}f")
    if not math.isfinite(std):
        return text, ""
    if spread == 0:
        return text, "0"
    shown = format(std, f".{places}f")
    return text, f"<{0.5 * 10.0**-places:.{places + 1}f}" if float(shown) == 0 else shown


def _signed(value: float, shape: str) -> str:
    """Without the sign of a zero."""
    text = format(value, shape)
    return text.removeprefix("-") if float(text) == 0 else text


def _decimals(largest: float, digits: int, most: int) -> int:
    return min(max(digits - 1 - math.floor(math.log10(largest)), 0), most) if largest > 0 else most
