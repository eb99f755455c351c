"""Tables as plain text, cut to the terminal's width."""

from __future__ import annotations

import io
import shutil
import textwrap
from collections.abc import Sequence
from typing import Literal

from snlab.results.tables.table import Cell, Table

LABEL = 34  # characters of a row's label, at most, in one line


def terminal(tables: Sequence[Table], width: int | None = None) -> str:
    """Plain text; a table too wide for the terminal is cut between its groups of columns, then within."""
    width = width or shutil.get_terminal_size((80, 24)).columns
    return "\n".join(_terminal(table.shown(), width) for table in tables)


def _terminal(table: Table, width: int) -> str:
    parts = [_grid(table)]
    if _width(parts[0]) > width:
        fitting = [(panel.columns[-1].group, _fit(panel, width)) for panel in table.panels()]
        parts = [f"{group}\n" + "\n".join(grids) for group, grids in fitting]
    title = textwrap.fill(table.title, width)
    notes = [textwrap.indent(textwrap.fill(note, width - 2), "  ") for note in table.footnotes]
    return "\n".join([f"{title}\n", *parts, *notes]) + "\n"


def _fit(table: Table, width: int) -> list[str]:
    """The table's grid, in halves while it is too wide and can be cut."""
    grid = _grid(table)
    if _width(grid) <= width or len(table.columns) <= 2:
        return [grid]
    return [grid for half in table.halves() for grid in _fit(half, width)]


def _width(grid: str) -> int:
    return max(map(len, grid.splitlines()))


def _grid(table: Table) -> str:
    """The rows, each section's under its heading, and one head of columns over all."""
    widths = _widths(table)
    lines = []
    for i, (heading, rows) in enumerate(table.blocks()):
        head, *body = _block(table, rows, widths)
        if i == 0:
            lines.append(head)
        total = max(sum(widths) + 2 * (len(widths) - 1), LABEL)
        lines += [("\n" if i else "") + textwrap.fill(heading, total)] if heading else []
        lines += body
    return "".join(f"{line}\n" for line in lines)


def _widths(table: Table) -> list[int]:
    """Columns are as wide as their cells: headers and long labels wrap, other cells do not."""
    found = []
    for i, column in enumerate(table.columns):
        texts = [*column.title.split(), *(_text(row[i]) for row in table.rows)]
        found.append(min(max(map(len, texts)), LABEL) if i == 0 else max(map(len, texts)))
    return found


def _text(cell: Cell) -> str:
    return cell.full + (" *" if cell.best else "")


def _block(table: Table, rows: Sequence[Sequence[Cell]], widths: Sequence[int]) -> list[str]:
    """The head with its rule, and then each line of the rows."""
    from rich import box
    from rich.console import Console
    from rich.table import Table as Grid
    from rich.text import Text

    grid = Grid(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for i, (column, width) in enumerate(zip(table.columns, widths, strict=True)):
        justify: Literal["left", "right"] = "left" if table.is_left(i) else "right"
        grid.add_column(Text(column.title), justify=justify, vertical="bottom", width=width)
    for row in rows:
        grid.add_row(*(Text(_text(cell)) for cell in row))
    file = io.StringIO()
    Console(file=file, width=10_000, color_system=None, legacy_windows=False).print(grid)
    lines = [line.rstrip() for line in file.getvalue().splitlines()]
    rule = next(i for i, line in enumerate(lines) if line and not line.strip(" ─"))
    return ["\n".join(lines[: rule + 1]), *lines[rule + 1 :]]
