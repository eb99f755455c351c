"""What a run logged, as columns: read from its metrics.jsonl. Never imports torch.

A file of 10,000 rows is some 20 MB of text and, as columns, 5 MB of numbers; history_cache.py keeps these.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson

from snlab.core.names import GENERATOR_STEP

# What the values of a column are. A null is NaN among floats.
FLOATS, INTEGERS, LISTS, OTHERS = "floats", "integers", "lists", "others"
CHUNK = 2**16  # bytes of text that become Python objects at a time: they stay in the processor's own memory
FEW = 256  # rows that are held as such at a time
_NULL = type(None)


# ---- columns ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Values:
    """Values of one kind, packed.

    ``numbers`` are float64 (n,) of FLOATS and int64 (n,) of INTEGERS; of LISTS, which are of floats, all of
    them end to end, float64, with their ``lengths`` int64 (n,); of OTHERS the JSON text of one list, uint8.
    """

    kind: str
    numbers: np.ndarray
    lengths: np.ndarray | None = None

    @classmethod
    def of(cls, values: Sequence[Any]) -> Values:
        """``values``, each as JSON knows it, packed; ``unpacked`` gives them back.

        >>> Values.of([1.5, None]).kind, Values.of([1, 2]).kind, Values.of([1, 1.5]).unpacked()
        ('floats', 'integers', [1, 1.5])
        """
        kinds = set(map(type, values))
        if kinds <= {float, _NULL}:
            return cls(FLOATS, np.array(values, dtype=np.float64))
        if kinds == {int} and max(map(abs, values)) < 2**63:
            return cls(INTEGERS, np.array(values, dtype=np.int64))
        if kinds == {list}:
            flat = list(chain.from_iterable(values))
            if set(map(type, flat)) <= {float, _NULL}:
                lengths = np.array([len(value) for value in values], dtype=np.int64)
                return cls(LISTS, np.array(flat, dtype=np.float64), lengths)
        return cls(OTHERS, np.frombuffer(json.dumps(list(values)).encode(), dtype=np.uint8))

    @classmethod
    def joined(cls, parts: Sequence[Values]) -> Values:
        """The values of all parts, in order."""
        (first, *others) = parts
        if not others:
            return first
        if first.kind == OTHERS or any(part.kind != first.kind for part in others):
            return cls.of([value for part in parts for value in part.unpacked()])
        lengths = None
        if first.kind == LISTS:
            lengths = np.concatenate([part.lengths for part in parts if part.lengths is not None])
        return cls(first.kind, np.concatenate([part.numbers for part in parts]), lengths)

    def unpacked(self) -> list[Any]:
        """The values as JSON knows them, None for null and for NaN."""
        if self.kind == OTHERS:
            return list(json.loads(self.numbers.tobytes()))
        if self.kind == INTEGERS:
            return list(self.numbers.tolist())
        numbers = [None if number != number else number for number in self.numbers.tolist()]
        if self.lengths is None:
            return numbers
        ends = np.cumsum(self.lengths).tolist()
        return [numbers[end - n : end] for end, n in zip(ends, self.lengths.tolist(), strict=True)]

    def numbered(self) -> list[Any]:
        """The values with NaN for null."""
        if self.kind == FLOATS:
            return list(self.numbers.tolist())
        return [math.nan if value is None else value for value in self.unpacked()]

    def floats(self) -> np.ndarray | None:
        """Of numbers, as float64 (n,) with NaN for null; None where one is something else."""
        if self.kind in (FLOATS, INTEGERS):
            return self.numbers.astype(np.float64, copy=False)
        values = self.numbered() if self.kind == OTHERS else [[]]
        numbers = all(isinstance(value, int | float) for value in values)
        return np.array(values, dtype=np.float64) if numbers else None

    def last(self) -> Any:
        """The last of them, as JSON knows it."""
        return self.at(np.array([-1])).unpacked()[0]

    def at(self, places: np.ndarray) -> Values:
        """Those at ``places`` alone, in that order."""
        if self.kind in (FLOATS, INTEGERS):
            return Values(self.kind, self.numbers[places])
        values = self.unpacked()
        return Values.of([values[place] for place in places.tolist()])


class Column(NamedTuple):
    """One logged name: ``rows`` int64 (n,) are the places of its ``values`` among a history's steps."""

    rows: np.ndarray
    values: Values


@dataclass(frozen=True)
class History:
    """What a run logged: the lines of one generator step are one row, of which each name is a column.

    ``steps`` are int64, each once, ascending; ``columns`` are in the order in which their names first appear,
    by step; ``broken`` counts lines that were cut short or damaged, which are left out.
    """

    steps: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    columns: dict[str, Column] = field(default_factory=dict)
    broken: int = 0

    @property
    def last_step(self) -> int | None:
        """The last row's; None where there is none."""
        return int(self.steps[-1]) if self.steps.size else None

    def of(self, name: str) -> tuple[np.ndarray, Values] | None:
        """Steps int64 (n,) and values of one name; None where it was never logged."""
        column = self.columns.get(name)
        return None if column is None else (self.steps[column.rows], column.values)

    def last(self, name: str) -> Any:
        """The last logged value of ``name``; None where there is none, and for null."""
        if name == GENERATOR_STEP:
            return self.last_step
        column = self.columns.get(name)
        return None if column is None else column.values.last()

    def last_scalars(self) -> dict[str, Any]:
        """The last value that is no list, of every name that has one, the generator step among them."""
        found: dict[str, Any] = {} if self.last_step is None else {GENERATOR_STEP: self.last_step}
        for name, (_, values) in self.columns.items():
            if values.kind in (FLOATS, INTEGERS):
                found[name] = values.last()
            elif values.kind == OTHERS:
                scalars = [value for value in values.unpacked() if not isinstance(value, list)]
                if scalars:
                    found[name] = scalars[-1]
        return found

    def rows(self) -> dict[int, dict[str, Any]]:
        """Every row by its generator step, as JSON knows it."""
        steps = self.steps.tolist()
        found: list[dict[str, Any]] = [{GENERATOR_STEP: step} for step in steps]
        for name, (rows, values) in self.columns.items():
            for row, value in zip(rows.tolist(), values.unpacked(), strict=True):
                found[row][name] = value
        return dict(zip(steps, found, strict=True))


# ---- reading ---------------------------------------------------------------------------------------------


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a metrics.jsonl; a line cut short by a kill, or damaged, is left out."""
    with path.open("rb") as file:
        for line in file:
            if (row := _row(line)) is not None:
                yield row


def read_history(path: Path) -> History:
    """All that a metrics.jsonl holds; OSError where it cannot be read.

    As ``json`` reads it, but that an integer of more than 64 bits is a float.
    """
    found = _Gathering()
    with path.open("rb") as file:
        while lines := file.readlines(CHUNK):
            found.add(_rows(lines))
    return found.history()


def gathered(rows: Iterable[dict[str, Any] | None]) -> History:
    """Rows, each with its GENERATOR_STEP, in the order of logging; None stands for a broken one."""
    found, rest = _Gathering(), iter(rows)
    while some := list(islice(rest, FEW)):
        found.add(some)
    return found.history()


class _Gathering:
    """Rows that become columns, some at a time."""

    def __init__(self) -> None:
        self.blocks: dict[tuple[str, ...], _Block] = {}
        self.steps: list[int] = []
        self.broken = 0

    def add(self, rows: Sequence[dict[str, Any] | None]) -> None:
        """The next rows, whose generator step is taken from them."""
        alike: dict[tuple[str, ...], tuple[list[int], list[dict[str, Any]]]] = {}
        for row in rows:
            if row is None:
                self.broken += 1
                continue
            step = row.pop(GENERATOR_STEP)
            names = tuple(row)
            found = alike.get(names)
            if found is None:
                found = alike[names] = ([], [])
            found[0].append(len(self.steps))
            found[1].append(row)
            self.steps.append(step)
        for names, (lines, some) in alike.items():
            block = self.blocks.get(names)
            if block is None:
                block = self.blocks[names] = _Block(names)
            block.add(lines, some)

    def history(self) -> History:
        parts: dict[str, list[_Part]] = {}
        for block in self.blocks.values():
            for name, part in block.parts():
                parts.setdefault(name, []).append(part)
        unique, row_of_line = np.unique(np.array(self.steps, dtype=np.int64), return_inverse=True)
        rows_of = _Rows(row_of_line)
        placed = {name: _placed(found, rows_of) for name, found in parts.items()}
        order = sorted(placed, key=lambda name: placed[name][0])
        return History(unique, {name: placed[name][1] for name in order}, self.broken)


def _rows(lines: Sequence[bytes]) -> list[dict[str, Any] | None]:
    """What each line holds, as ``_row`` reads it; nothing of empty ones."""
    try:
        rows = list(map(orjson.loads, lines))
    except ValueError:
        return [_row(line) for line in lines if line.strip()]
    return [row if _is_row(row) else None for row in rows]


def _row(line: bytes) -> dict[str, Any] | None:
    """The row that a line holds; None where it holds none."""
    try:
        row = orjson.loads(line)
    except ValueError:
        try:
            row = json.loads(line)  # which takes NaN, that a user's own code may have written
        except (ValueError, RecursionError):  # no JSON, or bytes that are no UTF-8
            return None
    return row if _is_row(row) else None


def _is_row(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get(GENERATOR_STEP), int)


class _Part(NamedTuple):
    """What lines of the same names hold of one of them: the lines' numbers, and its place in each."""

    lines: np.ndarray
    values: Values
    place: int


class _Block:
    """The lines that have the same names in the same order: most of a run's are of a few kinds.

    ``packed`` has the values of some rows after another: as float64 (rows, names) where all are numbers, as
    nearly always, else as a list of one Values a name.
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        self.lines: list[int] = []
        self.rows: list[dict[str, Any]] = []  # not packed yet
        self.packed: list[np.ndarray | list[Values]] = []

    def add(self, lines: Sequence[int], rows: Sequence[dict[str, Any]]) -> None:
        self.lines += lines
        self.rows += rows
        mixed = bool(self.packed) and isinstance(self.packed[-1], list)
        if len(self.rows) >= (FEW if mixed else 1):
            self._pack()

    def _pack(self) -> None:
        values = list(chain.from_iterable(map(dict.values, self.rows)))
        self.rows.clear()
        kinds = set(map(type, values))
        width = len(self.names)
        if kinds == {float}:
            numbers = np.frombuffer(struct.pack(f"{len(values)}d", *values), np.float64)
            self.packed.append(numbers.reshape(-1, width))
        elif kinds <= {float, _NULL} and values:
            self.packed.append(np.array(values, dtype=np.float64).reshape(-1, width))
        else:
            self.packed.append([Values.of(values[place::width]) for place in range(width)])

    def parts(self) -> Iterator[tuple[str, _Part]]:
        """What the block holds of each name."""
        if self.rows:
            self._pack()
        lines = np.array(self.lines, dtype=np.int64)
        for place, (name, values) in enumerate(zip(self.names, self._columns(), strict=True)):
            yield name, _Part(lines, values, place)

    def _columns(self) -> list[Values]:
        numbers = [of for of in self.packed if isinstance(of, np.ndarray)]
        if len(numbers) == len(self.packed):
            return [Values(FLOATS, column) for column in np.concatenate(numbers).T.copy()]
        packed = [
            [Values(FLOATS, column) for column in of.T] if isinstance(of, np.ndarray) else of
            for of in self.packed
        ]
        return [Values.joined(column) for column in zip(*packed, strict=True)]


class _Rows:
    """In which rows lines are: names that share their lines, as nearly all do, share the answer."""

    def __init__(self, row_of_line: np.ndarray) -> None:
        self.row_of_line = row_of_line
        self._known: dict[int, tuple[np.ndarray, tuple[np.ndarray, np.ndarray | None, int]]] = {}

    def of(self, lines: np.ndarray) -> tuple[np.ndarray, np.ndarray | None, int]:
        """The rows, ascending; which of the lines they are, None for all, in order; the first line there.

        Of several lines in one row the last stands.
        """
        if id(lines) in self._known:
            return self._known[id(lines)][1]
        rows = self.row_of_line[lines]
        order = None
        first = lines[0]
        if not ((rows[1:] > rows[:-1]).all() and (lines[1:] > lines[:-1]).all()):
            order = np.lexsort((lines, rows))
            first = lines[order[0]]
            order = order[np.append(np.diff(rows[order]) != 0, True)]
            rows = rows[order]
        found = rows, order, int(first)
        self._known[id(lines)] = lines, found  # held on to, for another array might get its id
        return found


def _placed(parts: Sequence[_Part], rows_of: _Rows) -> tuple[tuple[int, int, int], Column]:
    """A name's column, and where it first appears: in which row, on which line, at which place there."""
    lines = parts[0].lines if len(parts) == 1 else np.concatenate([part.lines for part in parts])
    values = Values.joined([part.values for part in parts])
    rows, order, first = rows_of.of(lines)
    place = next(part.place for part in parts if first in part.lines)
    return (int(rows[0]), first, place), Column(rows, values if order is None else values.at(order))
