"""The comparison of normalizers, one table a data set.

A diverged run counts as the worst score: means are over the runs that finished, a row says how many did
not, and no row with a diverged run is called best.
"""

from __future__ import annotations

from collections.abc import Sequence

from snlab.results import colours
from snlab.results.collect import Group, by_dataset, extractor_notes, group
from snlab.results.spread import Spread
from snlab.results.tables.measures import RUNS, Measure, measures
from snlab.results.tables.table import ALL_DIVERGED, NOT_RUN, NOTHING, Cell, Column, Table, rounded
from snlab.tracking.run_folder import DIVERGED, FAILED, FINISHED, KILLED, UNFINISHED, Run

OUTCOMES = (FINISHED, DIVERGED, FAILED, KILLED, UNFINISHED)


def normalizers(runs: Sequence[Run]) -> list[Table]:
    """Normalizers side by side: samples, discriminator, cost, share of failures; a part for each data set."""
    everywhere = sorted({run.normalizer for run in runs}, key=colours.order)
    groups = group(runs)
    return [
        _table(dataset, members, [g for g in groups if g.dataset == dataset], everywhere)
        for dataset, members in by_dataset(runs).items()
    ]


# ---- rows ------------------------------------------------------------------------------------------------


def _table(dataset: str, runs: Sequence[Run], groups: list[Group], everywhere: list[str]) -> Table:
    measured = measures(runs)
    head = [
        Column("normalizer", "normalizer"),
        Column("setting", "setting", group=RUNS, detail=not any(g.setting for g in groups)),
        Column("dataset", "data set", detail=True),
        Column("network", "network", detail=True),
        Column("loss", "loss", detail=True),
        Column("seeds", "seeds", group=RUNS, kind="number"),
        Column("outcomes", "outcomes", group=RUNS),
        *(Column(outcome, outcome, kind="number", detail=True) for outcome in OUTCOMES),
        Column("failures", "failures", "%", "diverged or failed, of the runs that ended", RUNS, "number"),
    ]
    columns = [*head, *(measure.column for measure in measured)]
    scored = [(g, [measure.spread(g.finished) for measure in measured]) for g in groups]
    rows: list[tuple[tuple[str, tuple[int, str]], list[Cell]]] = []
    for g, spreads in scored:
        rivals = [(r, found) for r, found in scored if r.setting == g.setting and r is not g]
        cells = [
            _cell(measure, g, spreads[i], [(rival, found[i]) for rival, found in rivals])
            for i, measure in enumerate(measured)
        ]
        rows.append(((g.setting, colours.order(g.normalizer)), [*_head(g), *cells]))
    for absent in (name for name in everywhere if name not in {g.normalizer for g in groups}):
        words = {"normalizer": colours.label(absent), "outcomes": NOT_RUN, "dataset": dataset}
        rows.append((("", colours.order(absent)), [Cell(words.get(c.key, NOTHING)) for c in columns]))
    ordered = [row for _, row in sorted(rows, key=lambda pair: pair[0])]
    return Table(_title(dataset, groups), columns, ordered, _notes(runs, groups)).without_empty()


def _head(g: Group) -> list[Cell]:
    model = g.runs[0].config.get("model", {})
    counts = {outcome: len(g.of(outcome)) for outcome in OUTCOMES}
    outcomes = ", ".join(f"{n} {outcome}" for outcome, n in counts.items() if n)
    words = [Cell(str(text)) for text in (g.dataset, model.get("network", ""), model.get("loss", ""))]
    failures = rounded(100 * g.failures, decimals=0)[0]
    return [
        Cell(colours.label(g.normalizer)), Cell(g.setting), *words, _number(len(g.runs)), Cell(outcomes),
        *map(_number, counts.values()), Cell(failures, numbers=Spread.of([g.failures])),
    ]  # fmt: skip


def _number(value: int) -> Cell:
    return Cell(str(value), numbers=Spread.of([value]))


def _cell(measure: Measure, g: Group, spread: Spread, rivals: list[tuple[Group, Spread]]) -> Cell:
    diverged = len(g.of(DIVERGED)) if measure.better else 0
    if spread.n == 0:
        return Cell(ALL_DIVERGED if diverged else NOTHING, numbers=spread)
    scale = measure.scale
    text, std = rounded(scale * spread.mean, scale * spread.std, measure.digits, measure.decimals)
    missing = measure.column.kind == "mean" and 0 < spread.n < len(g.finished)
    remarks = [f"n={spread.n}"] if missing else []
    remarks += [f"{diverged}/{len(g.runs)} diverged"] if diverged else []
    best = not diverged and _is_best(measure, spread, rivals)
    return Cell(text, std, ", ".join(remarks), spread, best)


def _is_best(measure: Measure, own: Spread, rivals: list[tuple[Group, Spread]]) -> bool:
    """Whether a row may be set in bold: better than every rival, by intervals that do not overlap.

    A rival of one seed has no interval, so it rules bold out; one of which every run diverged has lost.
    """
    scored = [spread for _, spread in rivals if spread.n]
    lost = any(rival.of(DIVERGED) and not spread.n for rival, spread in rivals)
    if not measure.better or own.n < 2 or not (scored or lost):
        return False
    return all(
        measure.better * own.mean > measure.better * other.mean and not own.overlaps(other)
        for other in scored
    )


def _title(dataset: str, groups: Sequence[Group]) -> str:
    def shared(values: set[str]) -> list[str]:
        return [values.pop()] if len(values) == 1 else []

    models = [g.runs[0].config.get("model", {}) for g in groups]
    parts = shared({colours.label(str(model.get("network", ""))) for model in models})
    parts += [f"{loss} loss" for loss in shared({colours.label(str(m.get("loss", ""))) for m in models})]
    parts += [
        f"{steps} generator updates" for steps in shared({str(g.runs[0].generator_steps) for g in groups})
    ]
    return f"{colours.label(dataset)}: " + ", ".join(parts)


def _notes(runs: Sequence[Run], groups: Sequence[Group]) -> list[str]:
    counts = {outcome: sum(len(g.of(outcome)) for g in groups) for outcome in OUTCOMES}
    notes = []
    if any(len(g.finished) > 1 for g in groups):
        notes.append("mean ± standard deviation over the seeds that finished; σ is pooled over them")
    if single := [g.label for g in groups if len(g.finished) == 1]:
        notes.append(f"{', '.join(single)}: one finished run, so no spread and no ranking")
    if counts[DIVERGED]:
        notes.append("a diverged run counts as the worst score: not in the mean, and never best")
    left_out = counts[KILLED] + counts[UNFINISHED] + counts[FAILED]
    if left_out:
        notes.append(f"{left_out} unfinished, killed or failed: left out of the scores")
    if repeats := sum(g.repeats for g in groups):
        notes.append(f"{repeats} left out: the same trial with the same seed is in another folder")
    if len({tuple(run.seed for run in g.runs) for g in groups}) > 1:
        notes.append("not all were run with the same seeds, so their difference holds that of the seeds")
    if len({str(run.summary.get("machine")) for g in groups for run in g.finished}) > 1:
        notes.append("the runs come from different machines, so their images a second cannot be compared")
    return [*notes, *extractor_notes(runs)]
