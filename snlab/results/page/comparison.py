"""The comparison table for the page, and in what configurations differ."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from snlab.results import looks
from snlab.results.groups import Group, by_dataset, differing, said
from snlab.results.tables import Cell, Table, make
from snlab.tracking.run_folder import Run, Skipped


def tables(runs: Sequence[Run], skipped: Sequence[Skipped]) -> list[dict[str, Any]]:
    """The tables of ``snlab table normalizers``, one a data set, with the numbers behind the cells."""
    made = make("normalizers", runs, skipped) if runs else []
    return [
        {"dataset": dataset} | _table(table) for dataset, table in zip(by_dataset(runs), made, strict=True)
    ]


def _table(table: Table) -> dict[str, Any]:
    return {
        "title": table.title,
        "columns": [
            {"key": c.key, "title": c.title, "help": c.help, "group": c.group, "kind": c.kind,
             "detail": c.detail, "left": table.is_left(i)}
            for i, c in enumerate(table.columns)
        ],
        "rows": [[_cell(cell) for cell in row] for row in table.rows],
        "sections": table.sections,
        "notes": table.footnotes,
    }  # fmt: skip


def _cell(cell: Cell) -> dict[str, Any]:
    shown: dict[str, Any] = {"text": cell.text}
    shown |= {"spread": cell.spread} if cell.spread else {}
    shown |= {"remark": cell.remark} if cell.remark else {}
    shown |= {"best": True} if cell.best else {}
    if cell.numbers and math.isfinite(cell.numbers.mean):
        std = cell.numbers.std
        shown |= {"mean": cell.numbers.mean, "n": cell.numbers.n, "std": std if math.isfinite(std) else None}
    return shown


def differences(groups: Sequence[Group]) -> dict[str, Any]:
    """Every setting in which groups differ, seeds and what computes nothing apart, and its values."""
    found = differing([g.runs[0].config for g in groups], but=("seed_everything", "sources"))
    words = [["–" if value is None else said(value) for value in settings.values()] for settings in found]
    return {"keys": list(found[0]) if found else [], "values": words}


def normalizers(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """How each normalizer of the page is called and drawn, in the order of every legend."""
    found = {g.normalizer: g.name for g in groups}
    palette = looks.palette(found)
    return [
        {"name": spec, "label": found[spec], "colour": palette[spec].colour,
         "dark": looks.on_dark(palette[spec].colour), "dash": looks.dash(palette[spec].line)}
        for spec in sorted(found, key=looks.order)
    ]  # fmt: skip
