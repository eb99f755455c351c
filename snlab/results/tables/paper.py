"""A paper's table with ours beside it.

One part for each data set, network width, protocol, feature extractor and number of updates. A row shows the
best of its settings, as the paper does: chosen for each score by that score. A setting of which a run
diverged is behind all of which none did.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from snlab.core import names
from snlab.metrics.protocols import PROTOCOLS
from snlab.results import looks
from snlab.results.extractors import Extractor
from snlab.results.matching import (
    INCEPTION,
    Part,
    Place,
    column_of,
    is_own,
    of_dataset,
    parts,
)
from snlab.results.notes import skipped_note
from snlab.results.papers import METRICS, PaperRow, PaperTable, Score, paper_table
from snlab.results.spelling import plain
from snlab.results.spread import Spread
from snlab.results.tables.paper_notes import about, meaning, nowhere, outside
from snlab.results.tables.table import NOT_RUN, NOTHING, Cell, Column, Table, rounded
from snlab.results.tables.trials import Candidate, best_of, by_result, candidates, counted, diverged_at, told
from snlab.tracking.run_folder import DIVERGED, Run, Skipped

RUNS = "runs"


def paper_tables(
    name: str, runs: Sequence[Run], skipped: Sequence[Skipped] = (), dataset: str | None = None
) -> list[Table]:
    """The table PAPER/TABLE, one part for each kind of runs that are not compared with one another.

    Where no run stands in a row, one part that says so. UserError for an unknown table or data set.
    """
    table = paper_table(name)
    if dataset is not None:
        runs = of_dataset(runs, dataset, also=[*table.datasets.values()])
    found = parts(table, runs)
    if not found:
        wanted = plain(dataset) if dataset else next(iter(table.datasets.values()))
        found = [(_empty(table, wanted), [])]
    return [_Made(table, part, placed, runs, skipped).table() for part, placed in found]


def _empty(table: PaperTable, dataset: str) -> Part:
    """What the part is of where nothing was run: what the paper's is."""
    return Part(dataset, 1.0, table.protocol, Extractor(INCEPTION, None), table.generator_updates)


@dataclass(frozen=True)
class _Made:
    """One part of a table, in the making."""

    paper: PaperTable
    part: Part
    placed: Sequence[Place]
    runs: Sequence[Run]
    skipped: Sequence[Skipped]

    @property
    def column(self) -> str:
        """The key of the paper's scores."""
        return column_of(self.paper, self.part.dataset)

    @property
    def comparable(self) -> bool:
        """Whether ours and the paper's are of one data set, width, protocol, extractor and length."""
        own, part = self.paper, self.part
        return (
            is_own(own, part.dataset)
            and (part.width, part.protocol, part.extractor.name) == (1.0, own.protocol, INCEPTION)
            and part.generator_updates == own.generator_updates
        )

    @property
    def theirs(self) -> str:
        """The data set of the paper's scores."""
        return looks.label(plain(self.paper.datasets[self.column]))

    @property
    def metrics(self) -> list[str]:
        """The paper's scores that the protocol has; of one that is unknown, all are taken to be had."""
        protocol = PROTOCOLS.get(self.part.protocol)
        return [name for name in self.paper.metrics if protocol is None or name in protocol.metrics]

    def table(self) -> Table:
        metrics = self.metrics
        tried_by_row = [
            candidates(self.paper, self.part, self.placed, index) for index in range(len(self.paper.rows))
        ]
        with_best = any(c.best(m, self.part).n for tried in tried_by_row for c in tried for m in metrics)
        columns = [
            Column("method", "method"),
            *(Column(key, header, detail=True) for key, header in (
                ("section", "network"), ("dataset", "data set"), ("width", "width"), ("protocol", "protocol"),
                ("extractor", "extractor"), ("generator_updates", "generator updates"), ("source", "source"),
            )),
            *(column for metric in metrics for column in self.columns(metric, with_best)),
            Column("settings", "settings run", group=RUNS),
            Column("diverged", "diverged", group=RUNS),
            Column("outcomes", "outcomes", detail=True, group=RUNS),
        ]  # fmt: skip
        rows, sections, used = [], [], []
        for row, tried in zip(self.paper.rows, tried_by_row, strict=True):
            if not (tried or row.note or row.scores.get(self.column)):
                continue  # the paper has no score of this data set there, and no run is
            cells = [cell for metric in metrics for cell in self.cells(metric, row, tried, with_best)]
            rows.append([*self.head(row), *cells, *self.tail(row, tried)])
            sections.append(row.section)
            used.append((row, tried))
        notes = [
            *meaning(self.paper, self.part, self.theirs if not self.comparable else None, metrics, with_best),
            *self.paper.notes,
            *about(used, metrics, self.part),
            *(outside(self.paper, self.part, self.runs) if self.placed else nowhere(self.runs)),
            *skipped_note(self.skipped),
        ]
        # A printed page has no room for the settings that were run: where they are not all, a note has them.
        columns = [replace(c, brief=not c.detail and c.key != "settings") for c in columns]
        return Table(self.title, columns, rows, notes, sections if any(sections) else [])

    @property
    def title(self) -> str:
        part = self.part
        return (
            f"{self.paper.paper}, {self.paper.source}: {looks.label(part.dataset)}, width {part.width:g}, "
            f"{part.generator_updates} generator updates, protocol {part.protocol}, "
            f"features of {part.extractor.label}"
        )

    # ---- cells

    def columns(self, metric: str, with_best: bool) -> list[Column]:
        header, group = METRICS[metric].header, METRICS[metric].header
        whose = "paper" if self.comparable else f"paper, {self.theirs}"
        ours = f"{header} ({self.part.extractor.label})"
        columns = [
            Column(f"{metric}_paper", f"{header}, {whose}", group=group, kind="number"),
            Column(f"{metric}_paper_std", "", detail=True, group=group, kind="number"),
            Column(metric, ours, group=group, kind="mean"),
            Column(f"{metric}_setting", "at", "", "the setting that is best by this score", group),
        ]
        if with_best:
            columns.append(
                Column(f"{metric}_best_checkpoint", f"{header}, best checkpoint", group=group, kind="mean")
            )
        if self.comparable:
            columns.append(Column(f"{metric}_difference", "ours - paper", group=group, kind="number"))
        return columns

    def cells(self, metric: str, row: PaperRow, tried: Sequence[Candidate], with_best: bool) -> list[Cell]:
        printed = row.scores.get(self.column, {}).get(metric)
        best = best_of(metric, self.part, tried)
        ours = self.ours(metric, row, tried, best)
        cells = [*_printed(metric, printed, row.note), ours, Cell(best.setting if best else NOTHING)]
        if with_best:
            cells.append(self.at_best_checkpoint(metric, best))
        if not self.comparable:
            return cells
        if best is None or printed is None or ours.numbers is None:
            return [*cells, Cell(NOTHING)]
        difference = ours.numbers.mean - printed.mean
        text = format(difference, f"+.{METRICS[metric].decimals[0]}f")
        text = text if float(text) else text[1:]  # 0 has no sign
        return [*cells, Cell(text, numbers=Spread.of([difference]))]

    def ours(self, metric: str, row: PaperRow, tried: Sequence[Candidate], best: Candidate | None) -> Cell:
        if row.wanted is None:
            return Cell(NOTHING)
        if not tried:
            return Cell(NOT_RUN)
        if best is None:
            return Cell(told(tried))
        spread = best.last(metric, self.part)
        text, std = _rounded(metric, spread)
        if metric == names.INCEPTION_SCORE and spread.n == 1:
            parts = best.last(names.INCEPTION_SCORE_STD, self.part)
            text, std = _rounded(metric, replace(spread, std=parts.mean))
        diverged, whole = len(best.group.of(DIVERGED)), len(best.group.runs)
        remarks = [f"n={spread.n}", *([f"{diverged}/{whole} diverged"] if diverged else [])]
        return Cell(text, std, ", ".join(remarks), spread)

    def at_best_checkpoint(self, metric: str, best: Candidate | None) -> Cell:
        spread = best.best(metric, self.part) if best else Spread.of([])
        if not spread.n:
            return Cell(NOTHING)
        text, std = _rounded(metric, spread)
        return Cell(text, std, f"n={spread.n}", spread)

    def head(self, row: PaperRow) -> list[Cell]:
        part = self.part
        words = (
            row.method, row.section, part.dataset, f"{part.width:g}", part.protocol, part.extractor.label,
            str(part.generator_updates), self.paper.source_of(row),
        )  # fmt: skip
        return [Cell(word) for word in words]

    def tail(self, row: PaperRow, tried: Sequence[Candidate]) -> list[Cell]:
        if row.wanted is None:
            return [Cell(NOTHING)] * 3
        if not tried:
            return [Cell(NOT_RUN), Cell(NOTHING), Cell(NOT_RUN)]
        run, others = by_result(tried, self.metrics, self.part)
        every = len(run) == len(row.wanted.settings) > 1
        without = [f"{name} {outcome}" for name, outcome in others.items()]
        diverged = [diverged_at(c) for c in tried if c.group.of(DIVERGED)]
        return [
            Cell(f"all {len(run)}" if every else "; ".join(filter(None, [", ".join(run), *without]))),
            Cell(", ".join(diverged) or NOTHING),
            Cell(counted(run for c in tried for run in c.group.runs)),
        ]


def _rounded(metric: str, spread: Spread) -> tuple[str, str]:
    return rounded(spread.mean, spread.std, decimals=4 if metric == names.KID else 2)


def _printed(metric: str, score: Score | None, note: str) -> list[Cell]:
    """The paper's mean ± standard deviation, and the standard deviation alone."""
    if score is None:
        return [Cell(NOTHING, remark=note), Cell(NOTHING)]
    mean, std = (
        _decimals(value, least)
        for value, least in zip((score.mean, score.std), METRICS[metric].decimals, strict=True)
    )
    deviation = Spread.of([] if score.std is None else [score.std])
    return [Cell(mean, std, note, Spread.of([score.mean])), Cell(std or NOTHING, numbers=deviation)]


def _decimals(value: float | None, least: int) -> str:
    """A number as printed: with the decimals that it has, and no fewer than the score is given with."""
    if value is None:
        return ""
    own = len(repr(value).partition(".")[2].removesuffix("0")) if "e" not in repr(value) else least
    return format(value, f".{max(own, least)}f")
