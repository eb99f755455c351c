"""How a table is written: for the terminal, in Markdown, LaTeX, CSV and HTML."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

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


SUFFIXES = {".txt": "terminal", ".md": "markdown", ".tex": "latex", ".csv": "csv", ".html": "html"}


def check_format(format: str | None, out: Path | None = None) -> str:
    """``format``, or where it is None that of a file's name, else the terminal's; UserError for another."""
    if format is None:
        if out is not None and out.suffix not in SUFFIXES:
            raise UserError(f"--out {out}: a name that ends in {', '.join(SUFFIXES)} is wanted, or --format")
        return SUFFIXES[out.suffix] if out else "terminal"
    if format not in FORMATS:
        raise UserError(f"unknown table format {format!r}; {nearest(format, FORMATS)}")
    return format


def render(
    tables: Table | Sequence[Table], format: str = "terminal", columns: Sequence[str] | None = None
) -> str:
    """The tables as text in one of FORMATS, all columns or those named; UserError for what is unknown.

    A column is named by its key, as in CSV, or by the part of it before a slash.
    """
    chosen = [tables] if isinstance(tables, Table) else list(tables)
    if columns is not None:
        _check_columns(chosen, columns)
        chosen = [table.chosen(columns) for table in chosen]
    return FORMATS[check_format(format)](chosen)


def _check_columns(tables: Sequence[Table], columns: Sequence[str]) -> None:
    keys = {column.key for table in tables for column in table.columns}
    for name in columns:
        if not any(table.named(name) for table in tables):
            raise UserError(f"no column {name!r}; {nearest(name, keys | {k.split('/')[0] for k in keys})}")
