"""Tables as a fragment of HTML."""

from __future__ import annotations

import html
from collections.abc import Sequence

from snlab.results.tables.table import Cell, Column, Table

WIDEST = 10  # columns side by side; more are cut between their groups


def as_html(tables: Sequence[Table]) -> str:
    """A fragment, in ASCII so that it reads right under any declared encoding."""
    text = "\n".join(_html(table.shown()) for table in tables)
    return text.encode("ascii", "xmlcharrefreplace").decode()


def _html(table: Table) -> str:
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in table.footnotes)
    wide = len(table.columns) > WIDEST
    panels = "\n".join(_html_panel(panel) for panel in (table.panels() if wide else [table]))
    return f"<h3>{html.escape(table.title)}</h3>\n{panels}\n" + (
        f"<ul class='notes'>{notes}</ul>\n" if notes else ""
    )


def _html_panel(table: Table) -> str:
    def cell(tag: str, text: str, index: int, extra: str = "") -> str:
        kind = " class='words'" if table.is_left(index) else ""
        return f"<{tag}{kind}{extra}>{text}</{tag}>"

    def title(column: Column) -> str:
        unit = f" <small>[{html.escape(column.unit)}]</small>" if column.unit else ""
        return html.escape(column.header) + unit

    def line(row: Sequence[Cell]) -> str:
        label, *others = row
        cells = [cell("td", _html_cell(c), i) for i, c in enumerate(others, 1)]
        head = cell("th", html.escape(label.full), 0, " scope='row'")
        return f"<tr>{head}{''.join(cells)}</tr>"

    head = "".join(
        cell("th", title(c), i, f" scope='col' title='{html.escape(c.help, quote=True)}'")
        for i, c in enumerate(table.columns)
    )
    lines = []
    for heading, rows in table.blocks():
        span = f" colspan='{len(table.columns)}' scope='rowgroup'"
        lines += [f"<tr class='section'>{cell('th', html.escape(heading), 0, span)}</tr>"] if heading else []
        lines += map(line, rows)
    body = "\n".join(lines)
    groups = {column.group for column in table.columns[1:]}
    group = html.escape(groups.pop()) if len(groups) == 1 else ""
    caption = f"<caption>{group}</caption>" if group else ""
    head, body = f"<thead><tr>{head}</tr></thead>", f"<tbody>\n{body}\n</tbody>"
    return f"<div class='wide'><table>{caption}\n{head}\n{body}</table></div>"


def _html_cell(cell: Cell) -> str:
    spread = f" <span class='spread'>± {html.escape(cell.spread)}</span>" if cell.spread else ""
    remark = f" <small>{html.escape(cell.remark)}</small>" if cell.remark else ""
    text = html.escape(cell.text)
    star = " <span class='best'>*</span>" if cell.best else ""
    return (f"<strong>{text}</strong>" if cell.best else text) + spread + star + remark
