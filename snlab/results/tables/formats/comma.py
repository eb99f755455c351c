"""Tables as comma-separated values, for other programs."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence

from snlab.results.spread import Spread
from snlab.results.tables.table import Cell, Table


def as_csv(tables: Sequence[Table]) -> str:
    """All tables as one, details included, unrounded; a mean has ``KEY_std`` and ``KEY_n`` beside it."""
    rows = [_flat(table, row) for table in tables for row in table.rows]
    header = {key: None for row in rows for key in row}
    file = io.StringIO()
    writer = csv.DictWriter(file, list(header), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def _flat(table: Table, row: Sequence[Cell]) -> dict[str, str | int | float]:
    flat: dict[str, str | int | float] = {}
    for column, cell in zip(table.columns, row, strict=True):
        if column.kind == "words":
            flat[column.key] = cell.text
            continue
        numbers = cell.numbers or Spread.of([])
        whole = column.kind == "number" and numbers.mean.is_integer()
        flat[column.key] = (int(numbers.mean) if whole else numbers.mean) if numbers.n else ""
        if column.kind == "mean":
            flat[f"{column.key}_std"] = numbers.std if math.isfinite(numbers.std) else ""
            flat[f"{column.key}_n"] = numbers.n
    return flat
