"""``snlab compare``: what runs differ in, in configuration and in result."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from snlab.core.errors import UserError
from snlab.core.names import GENERATOR_STEP
from snlab.core.text import duration
from snlab.results.groups import differing, said
from snlab.results.notes import damage_note, extractor_notes, length_note, machine_note, version_note
from snlab.results.tables.table import NOTHING
from snlab.results.terminal.curves import all_curves, main_curves
from snlab.results.terminal.facts import state
from snlab.results.terminal.finding import identity_of, short
from snlab.results.terminal.listing import number
from snlab.results.terminal.screen import state_text, text, whole
from snlab.tracking.run_folder import Run

if TYPE_CHECKING:
    from rich.console import RenderableType

COLUMN = 16  # characters that a run's column is to have, before a table is cut into several
NARROWEST_LABEL = 12
Row = tuple[str, list[str]]  # what is compared, and what each run has


def compared(runs: Sequence[Run], width: int, every: bool = False) -> RenderableType:
    """The runs, the settings in which they differ, and what they came to, less the first one's.

    UserError for fewer than two, and for the same twice.

    Args:
        runs: at least two.
        width: of the terminal, in columns.
        every: all that they logged, rather than what is looked at first.
    """
    from rich.console import Group

    _check(runs)
    heads = _heads(runs)
    parts: list[RenderableType] = [_line(run, head) for run, head in zip(runs, heads, strict=True)]
    settings = _settings(runs)
    parts += ["", text("configuration", "bold")]
    if settings:
        parts += _tables(heads, settings, width)
    else:
        parts.append(text("the same in all that can change a number"))
    parts += ["", text("result, and its difference from the first run's", "bold")]
    parts += _tables(heads, _results(runs, every), width)
    told = (length_note, version_note, machine_note, extractor_notes, damage_note)
    return Group(*parts, *(text(note, "dim") for notes in told for note in notes(runs)))


def _check(runs: Sequence[Run]) -> None:
    if len(runs) < 2:
        raise UserError("snlab compare wants two runs or more")
    twice = [folder for folder, n in Counter(run.folder.resolve() for run in runs).items() if n > 1]
    if twice:
        raise UserError(f"snlab compare wants different runs; {twice[0].name} is named twice")


def _heads(runs: Sequence[Run]) -> list[str]:
    """What each run's column is called: its identity's beginning, with a number where it is shared."""
    identities = [identity_of(run) for run in runs]
    beginnings, counts = short(identities), Counter(identities)
    return [
        beginnings[own] + (f" #{identities[:i].count(own) + 1}" if counts[own] > 1 else "")
        for i, own in enumerate(identities)
    ]


def _line(run: Run, head: str) -> RenderableType:
    step, took = run.summary.get(GENERATOR_STEP, max(run.rows, default=0)), run.summary.get("seconds")
    line = whole("").append(head, "bold").append("  ").append_text(state_text(state(run)))
    line.append(f" at update {step} of {run.generator_steps}")
    line.append(f", after {duration(took)}" if isinstance(took, int | float) else "")
    return line.append("  ").append_text(whole(run.folder, "dim"))


def _settings(runs: Sequence[Run]) -> list[Row]:
    found = differing([run.config for run in runs])
    return [(key, [NOTHING if of[key] is None else said(of[key]) for of in found]) for key in found[0]]


def _results(runs: Sequence[Run], every: bool) -> list[Row]:
    """Of each number the last that was logged."""
    last = [
        {curve.name: curve.values[-1] for curve in (all_curves if every else main_curves)(run)}
        for run in runs
    ]
    rows = []
    for name in dict.fromkeys(name for of in last for name in of):
        first = last[0].get(name, math.nan)
        values = [of.get(name, math.nan) for of in last]
        rows.append((name, [number(first), *(_beside(value, first) for value in values[1:])]))
    return rows


def _beside(value: float, first: float) -> str:
    """A number and how it differs from the first.

    >>> _beside(5.5, 4.25), _beside(1.0, 1.0), _beside(math.nan, 1.0), _beside(1.0, math.nan)
    ('5.5 (+1.25)', '1 (=)', '–', '1')
    """
    if not (math.isfinite(value) and math.isfinite(first)):
        return number(value)
    return f"{number(value)} ({f'{value - first:+.3g}' if value != first else '='})"


def _tables(heads: Sequence[str], rows: Sequence[Row], width: int) -> list[RenderableType]:
    """The rows with a column a run; where these are too many for the width, in several tables."""
    from rich.table import Table

    longest = max(len(label) for label, _ in rows)
    label = min(longest, max(width - 2 * (COLUMN + 2), NARROWEST_LABEL))
    each = max(1, min(len(heads), (width - label) // (COLUMN + 2)))
    tables: list[RenderableType] = []
    for start in range(0, len(heads), each):
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
        table.add_column("", width=label, overflow="fold")
        for head in heads[start : start + each]:
            table.add_column(head, overflow="fold")
        for name, cells in rows:
            table.add_row(text(name), *map(text, cells[start : start + each]))
        tables += ["", table] if tables else [table]
    return tables
