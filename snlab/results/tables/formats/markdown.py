"""Tables in GitHub's Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from snlab.results.tables.table import Table


def markdown(tables: Sequence[Table]) -> str:
    """One table after the other, each under a heading, its notes as a list."""
    return "\n".join(_markdown(table.shown()) for table in tables)


def _markdown(table: Table) -> str:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    rule = ["---" if table.is_left(i) else "---:" for i in range(len(table.columns))]
    lines = [f"### {table.title}", "", line([column.title for column in table.columns]), line(rule)]
    for heading, rows in table.blocks():
        lines += [line([f"*{heading}*", *[""] * (len(table.columns) - 1)])] if heading else []
        lines += [line([f"**{cell.full}**" if cell.best else cell.full for cell in row]) for row in rows]
    notes = [f"- {note.replace('* ', '**bold**: ', 1)}" for note in table.footnotes]
    return "\n".join([*lines, *([""] if notes else []), *notes]) + "\n"
