"""How a table is written: for the terminal, in Markdown, LaTeX, CSV and HTML."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from snlab.core.errors import UserError, nearest
from snlab.results.tables.formats.comma import as_csv
from snlab.results.tables.formats.latex import latex
from snlab.results.tables.formats.markdown import markdown
from snlab.results.tables.formats.terminal import terminal
from snlab.results.tables.formats.web import as_html
from snlab.results.tables.table import Table

FORMATS: dict[str, Callable[[Sequence[Table]], str]] = {
    "terminal": terminal,
    "markdown": markdown,
    "latex": latex,
    "csv": as_csv,
    "html": as_html,
}


def render(tables: Table | Sequence[Table], format: str = "terminal") -> str:
    """The tables as text in one of FORMATS; UserError for another."""
    if format not in FORMATS:
        raise UserError(f"unknown table format {format!r}; {nearest(format, FORMATS)}")
    return FORMATS[format]([tables] if isinstance(tables, Table) else list(tables))
