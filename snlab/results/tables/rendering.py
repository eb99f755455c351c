"""How a table is written: for the terminal, in Markdown, LaTeX, CSV and HTML."""

from __future__ import annotations

import csv
import html
import io
import math
import re
import shutil
import textwrap
from collections.abc import Callable, Sequence
from typing import Literal

from snlab.core.errors import UserError, nearest
from snlab.results.spread import Spread
from snlab.results.tables.table import Cell, Column, Table


def render(tables: Table | Sequence[Table], format: str = "terminal") -> str:
    """The tables as text in one of FORMATS; UserError for another."""
    if format not in FORMATS:
        raise UserError(f"unknown table format {format!r}; {nearest(format, FORMATS)}")
    return FORMATS[format]([tables] if isinstance(tables, Table) else list(tables))


def _is_left(column: Column, index: int) -> bool:
    return column.kind == "words" or index == 0


# ---- terminal --------------------------------------------------------------------------------------------

LABEL = 34  # characters of a row's label, at most, in one line of the terminal


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
    """Columns as wide as their cells: headers and long labels wrap, other cells do not."""
    from rich import box
    from rich.console import Console
    from rich.table import Table as Grid
    from rich.text import Text

    grid = Grid(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    rows = [[cell.full + (" *" if cell.best else "") for cell in row] for row in table.rows]
    for i, column in enumerate(table.columns):
        width = max(len(text) for text in (*column.title.split(), *(row[i] for row in rows)))
        width = min(width, LABEL) if i == 0 else width
        justify: Literal["left", "right"] = "left" if _is_left(column, i) else "right"
        grid.add_column(Text(column.title), justify=justify, vertical="bottom", width=width)
    for row in rows:
        grid.add_row(*map(Text, row))
    file = io.StringIO()
    Console(file=file, width=10_000, color_system=None, legacy_windows=False).print(grid)
    return "".join(f"{line.rstrip()}\n" for line in file.getvalue().splitlines())


# ---- Markdown --------------------------------------------------------------------------------------------


def markdown(tables: Sequence[Table]) -> str:
    return "\n".join(_markdown(table.shown()) for table in tables)


def _markdown(table: Table) -> str:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    rule = ["---" if _is_left(column, i) else "---:" for i, column in enumerate(table.columns)]
    rows = [[f"**{cell.full}**" if cell.best else cell.full for cell in row] for row in table.rows]
    lines = [f"### {table.title}", "", line([column.title for column in table.columns]), line(rule)]
    lines += map(line, rows)
    notes = [f"- {note.replace('* ', '**bold**: ', 1)}" for note in table.footnotes]
    return "\n".join([*lines, *([""] if notes else []), *notes]) + "\n"


# ---- LaTeX -----------------------------------------------------------------------------------------------

_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{",
    "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"$<$", ">": r"$>$",
    "±": r"$\pm$", "σ": r"$\sigma$", "λ": r"$\lambda$", "×": r"$\times$", "∇": r"$\nabla$", "‖": r"$\|$",
    "³": r"$^3$", "–": "--", "|": r"$|$", "−": r"$-$", "∞": r"$\infty$", "²": r"$^2$",
}  # fmt: skip


def latex(tables: Sequence[Table]) -> str:
    """For ``\\usepackage{booktabs}``."""
    return "\n".join(_latex(table.shown()) for table in tables)


def _tex(text: str) -> str:
    text = re.sub(r"(?<!\w)-(?=\d)", "−", text)  # a minus sign, not a hyphen
    return "".join(_LATEX.get(character, character) for character in text)


def _latex(table: Table) -> str:
    def line(cells: Sequence[str]) -> str:
        return "    " + " & ".join(cells) + r" \\"

    align = "".join("l" if _is_left(column, i) else "r" for i, column in enumerate(table.columns))
    rows = [[rf"\textbf{{{_tex(c.full)}}}" if c.best else _tex(c.full) for c in row] for row in table.rows]
    notes = [f"  % {note}" for note in table.footnotes]
    return "\n".join(
        [
            r"\begin{table}",
            r"  \centering",
            rf"  \caption{{{_tex(table.title)}}}",
            rf"  \begin{{tabular}}{{{align}}}",
            r"    \toprule",
            line([_tex(column.title) for column in table.columns]),
            r"    \midrule",
            *map(line, rows),
            r"    \bottomrule",
            r"  \end{tabular}",
            *notes,
            r"\end{table}",
            "",
        ]
    )


# ---- CSV -------------------------------------------------------------------------------------------------


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


# ---- HTML ------------------------------------------------------------------------------------------------


def as_html(tables: Sequence[Table]) -> str:
    """A fragment, in ASCII so that it reads right under any declared encoding."""
    text = "\n".join(_html(table.shown()) for table in tables)
    return text.encode("ascii", "xmlcharrefreplace").decode()


def _html(table: Table) -> str:
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in table.footnotes)
    panels = "\n".join(_html_panel(panel) for panel in table.panels())
    return f"<h3>{html.escape(table.title)}</h3>\n{panels}\n" + (
        f"<ul class='notes'>{notes}</ul>\n" if notes else ""
    )


def _html_panel(table: Table) -> str:
    def cell(tag: str, text: str, column: Column, index: int, extra: str = "") -> str:
        kind = " class='words'" if _is_left(column, index) else ""
        return f"<{tag}{kind}{extra}>{text}</{tag}>"

    def title(column: Column) -> str:
        unit = f" <small>[{html.escape(column.unit)}]</small>" if column.unit else ""
        return html.escape(column.header) + unit

    head = "".join(
        cell("th", title(c), c, i, f" scope='col' title='{html.escape(c.help, quote=True)}'")
        for i, c in enumerate(table.columns)
    )
    body = "\n".join(
        "<tr>"
        + "".join(
            cell("th", html.escape(c.full), table.columns[i], i, " scope='row'")
            if i == 0
            else cell("td", _html_cell(c), table.columns[i], i)
            for i, c in enumerate(row)
        )
        + "</tr>"
        for row in table.rows
    )
    group = html.escape(table.columns[-1].group)
    caption = f"<caption>{group}</caption>" if group else ""
    head, body = f"<thead><tr>{head}</tr></thead>", f"<tbody>\n{body}\n</tbody>"
    return f"<div class='wide'><table>{caption}\n{head}\n{body}</table></div>"


def _html_cell(cell: Cell) -> str:
    spread = f" <span class='spread'>± {html.escape(cell.spread)}</span>" if cell.spread else ""
    remark = f" <small>{html.escape(cell.remark)}</small>" if cell.remark else ""
    text = html.escape(cell.text)
    star = " <span class='best'>*</span>" if cell.best else ""
    return (f"<strong>{text}</strong>" if cell.best else text) + spread + star + remark


FORMATS: dict[str, Callable[[Sequence[Table]], str]] = {
    "terminal": terminal,
    "markdown": markdown,
    "latex": latex,
    "csv": as_csv,
    "html": as_html,
}
