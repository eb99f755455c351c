"""The table of one of our studies: every normalizer at every place, means over seeds."""

from __future__ import annotations

from collections.abc import Sequence

from snlab.results import looks
from snlab.results.notes import damage_note, listed, skipped_note, version_note
from snlab.results.spread import Spread
from snlab.results.study import Part, Study
from snlab.results.tables.table import ALL_DIVERGED, NOT_RUN, NOTHING, Cell, Column, Table, rounded
from snlab.tracking.run_folder import FINISHED, Run, Skipped


def study_tables(study: Study, runs: Sequence[Run], skipped: Sequence[Skipped] = ()) -> list[Table]:
    """A table for each set of runs that may be compared, a section a place, a row a normalizer.

    Raises:
        UserError: where no two runs are of the study.
    """
    parts = study.parts(runs)
    if not parts:
        raise study.unfilled(runs)
    return [_table(part, [*damage_note(runs), *skipped_note(skipped)]) for part in parts]


def _table(part: Part, notes: Sequence[str]) -> Table:
    columns = [
        Column("normalizer", "normalizer"),
        Column("x", part.study.axis, kind="number", detail=True),
        Column("seeds", "seeds", kind="number"),
        *(Column(q.name, q.header, kind="mean", brief=q.drawn) for q in part.study.quantities),
    ]
    rows, sections = [], []
    for x in part.places:
        for normalizer in part.normalizers:
            rows.append(_row(part, normalizer, x))
            sections.append(part.study.say(x))
    return Table(part.title, columns, rows, [*_notes(part), *notes], sections).without_empty()


def _row(part: Part, normalizer: str, x: float) -> list[Cell]:
    runs = part.of(normalizer, x)
    head = [
        Cell(looks.label(normalizer)),
        Cell(f"{x:g}", numbers=Spread.of([x])),
        Cell(str(len(runs)), numbers=Spread.of([len(runs)])),
    ]
    diverged, finished = part.diverged(normalizer, x), len(part.finished(normalizer, x))
    cells = []
    for quantity in part.study.quantities:
        spread = part.spread(quantity, normalizer, x)
        if not spread.n:
            word = NOT_RUN if not runs else ALL_DIVERGED if diverged == len(runs) else NOTHING
            cells.append(Cell(word, numbers=spread))
            continue
        text, std = rounded(spread.mean, spread.std)
        remarks = [f"n={spread.n}"] if spread.n < finished else []
        remarks += [f"{diverged}/{len(runs)} diverged"] if diverged else []
        cells.append(Cell(text, std, ", ".join(remarks), spread))
    return [*head, *cells]


def _notes(part: Part) -> list[str]:
    notes = ["mean ± standard deviation over the seeds that finished, at the last update"]
    if any(q.of_zero for q in part.study.quantities):
        notes.append(
            "excess loss of f: its standard loss less that of the true log q/p; an f that is 0 everywhere "
            "has twice the Jensen-Shannon divergence"
        )
    left = [run.outcome for run in part.runs if run.outcome != FINISHED]
    if left:
        told = listed([f"{left.count(outcome)} {outcome}" for outcome in dict.fromkeys(left)])
        notes.append(f"{len(left)} of {len(part.runs)} runs are not in the means: {told}")
    return [*notes, *version_note(part.runs)]
