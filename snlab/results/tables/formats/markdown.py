"""Tables in GitHub's Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence

from snlab.results.tables.table import BEST, Cell, Table


def markdown(tables: Sequence[Table]) -> str:
    """One table after the other, each under a heading, its notes as a list."""
    return "\n".join(_markdown(table.shown()) for table in tables)


def _plain(text: str) -> str:
    """Text in one line, in which nothing is markup or ends a cell."""
    return re.sub(r"([\\`*<|])", r"\\\1", " ".join(text.split()))


def _markdown(table: Table) -> str:
    def line(cells: Sequence[str]) -> str:
        return f"| {' | '.join(cells)} |"

    def shown(cell: Cell) -> str:
        return f"**{_plain(cell.full)}**" if cell.best else _plain(cell.full)

    rule = ["---" if table.is_left(i) else "---:" for i in range(len(table.columns))]
    titles = [_plain(column.title) for column in table.columns]
    lines = [f"### {_plain(table.title)}", "", line(titles), line(rule)]
    for heading, rows in table.blocks():
        lines += [line([f"*{_plain(heading)}*", *[""] * (len(table.columns) - 1)])] if heading else []
        lines += [line([shown(cell) for cell in row]) for row in rows]
    notes = [f"- {_plain(note)}" for note in table.notes]
    notes += [f"- **bold**: {BEST}"] if table.has_best else []
    return "\n".join([*lines, *([""] if notes else []), *notes]) + "\n"
