"""The comparison of normalizers, one table a data set.

A diverged run counts as the worst score: means are over the runs that finished, a row says how many did
not, and no row with a diverged run is called best.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from snlab.core import names
from snlab.core.registry import label
from snlab.results import looks
from snlab.results.groups import Group, by_dataset, group
from snlab.results.notes import (
    damage_note,
    extractor_notes,
    interval_note,
    length_note,
    machine_note,
    protocol_notes,
    skipped_note,
    version_note,
)
from snlab.results.reading import DAMAGED
from snlab.results.spread import Spread
from snlab.results.tables.measures import RUNS, Measure, measures
from snlab.results.tables.table import ALL_DIVERGED, NOT_RUN, NOTHING, Cell, Column, Table, rounded
from snlab.tracking.run_folder import DIVERGED, FAILED, FINISHED, KILLED, STOPPED, UNFINISHED, Run, Skipped

# What a printed page has room for, by the first part of the key.
BRIEF = (
    *("seeds", "failures", names.FID, names.RECALL, names.MODES_COVERED, names.MODES_HIGH_QUALITY),
    *("sigma_max", names.LIPSCHITZ_GRADIENT_MAX, f"{names.RATIO}/{names.GENERALISATION_GAP}"),
)
OUTCOMES = (FINISHED, DIVERGED, STOPPED, FAILED, KILLED, UNFINISHED, DAMAGED)
# What the columns whose names do not say it mean; said below a table that has them.
MEANINGS = {
    names.MODES_HIGH_QUALITY: "modes covered: how many modes have a sample within 3 std, however few; "
    "high quality: the share of all samples that lie so near a mode",
    "sigma_max": "σ: the largest singular value of a weight as a matrix, as in the paper; ‖layer‖: the norm "
    "of the layer as a map on its real input, which for a convolution is up to k/s (rounded up) times σ, for "
    "a kernel k and stride s; Lipschitz bound: of these norms, not of the σ (their product, but in a ResNet)",
    names.TRUE_EXCESS_LOSS: "excess loss of f: its standard loss less that of the true log q/p; for f = 0 "
    "twice the Jensen-Shannon divergence of q and p",
    names.TRUE_CORRELATION: "f: its error from, and its correlation with, the true log q/p, which is known "
    "here; neither ranks: a few real samples that the generator hardly reaches rule the error, and near "
    "p_G = q the truth varies so little that the correlation of any f falls to 0",
}


def normalizers(runs: Sequence[Run], skipped: Sequence[Skipped] = ()) -> list[Table]:
    """Normalizers side by side: samples, discriminator, cost, share of failures; a part for each data set."""
    everywhere = sorted({run.normalizer for run in runs}, key=looks.order)
    groups = group(runs)
    return [
        _table(members, [g for g in groups if g.dataset == dataset], everywhere, skipped)
        for dataset, members in by_dataset(runs).items()
    ]


# ---- rows ------------------------------------------------------------------------------------------------


def _table(
    runs: Sequence[Run], groups: list[Group], everywhere: list[str], skipped: Sequence[Skipped]
) -> Table:
    measured = measures(runs)
    head = [
        Column("normalizer", "normalizer"),
        *(Column(key, title, detail=True) for key, title in (
            ("setting", "setting"), ("dataset", "data set"), ("network", "network"), ("loss", "loss"),
        )),
        Column("seeds", "seeds", group=RUNS, kind="number"),
        Column("outcomes", "outcomes", group=RUNS),
        *(Column(outcome, outcome, kind="number", detail=True) for outcome in OUTCOMES),
        Column("failures", "failures", "%", "diverged or failed, of the runs that ended", RUNS, "number"),
    ]  # fmt: skip
    columns = [_briefly(column) for column in (*head, *(measure.column for measure in measured))]
    scored = [(g, [measure.spread(g.finished) for measure in measured]) for g in groups]
    rows: list[tuple[tuple[int, list[tuple[str, float]]], list[Cell]]] = []
    for g, spreads in scored:
        rivals = [(r, found) for r, found in scored if r.setting == g.setting and r is not g]
        cells = [
            _cell(measure, g, spreads[i], [(rival, found[i]) for rival, found in rivals])
            for i, measure in enumerate(measured)
        ]
        rows.append((looks.order(g.normalizer), [*_head(g), *cells]))
    notes = _notes(runs, groups, skipped)
    present = {run.normalizer for run in runs}
    absent = [name for name in everywhere if name not in present]
    settings = [g.setting for g in groups]
    if any(settings):  # the rows are in their settings' order; none is the absent ones' own
        notes += [f"not run on this data set: {', '.join(map(looks.label, absent))}"] if absent else []
    else:
        for name in absent:
            words = {"normalizer": looks.label(name), "outcomes": NOT_RUN, "dataset": groups[0].dataset}
            rows.append((looks.order(name), [Cell(words.get(c.key, NOTHING)) for c in columns]))
        rows.sort(key=lambda pair: pair[0])
        settings = []
    table = Table(_title(groups), columns, [row for _, row in rows], notes, settings).without_empty()
    shown = [column.key for column in table.shown().columns]
    told = [text for key, text in MEANINGS.items() if any(name.endswith(key) for name in shown)]
    return replace(table, notes=told + table.notes)


def _briefly(column: Column) -> Column:
    return replace(column, brief=column.key in BRIEF or column.key.split("/")[0] in BRIEF)


def _head(g: Group) -> list[Cell]:
    model = g.runs[0].config.get("model", {})
    counts = {outcome: len(g.of(outcome)) for outcome in OUTCOMES}
    found = dict.fromkeys([*OUTCOMES, *(run.outcome for run in g.runs)])
    outcomes = ", ".join(f"{len(g.of(outcome))} {outcome}" for outcome in found if g.of(outcome))
    words = [Cell(str(text)) for text in (g.dataset, model.get("network", ""), model.get("loss", ""))]
    failures = rounded(100 * g.failures, decimals=0)[0]
    return [
        Cell(g.name), Cell(g.setting), *words, _number(len(g.runs)), Cell(outcomes),
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


def _title(groups: Sequence[Group]) -> str:
    def shared(values: set[str]) -> list[str]:
        return [*values] if len(values) == 1 and "" not in values else []

    models = [g.runs[0].config.get("model", {}) for g in groups]
    parts = shared({_named(model.get("network", "")) for model in models})
    parts += [f"{loss} loss" for loss in shared({_named(m.get("loss", "")) for m in models})]
    parts += [
        f"{steps} generator updates" for steps in shared({str(g.runs[0].generator_steps) for g in groups})
    ]
    return f"{looks.label(groups[0].dataset)}: " + ", ".join(parts)


def _named(value: Any) -> str:
    """A network or a loss in words, which a configuration has as a name or as a class."""
    return looks.label(label(value))


def _notes(runs: Sequence[Run], groups: Sequence[Group], skipped: Sequence[Skipped]) -> list[str]:
    notes = protocol_notes(runs)
    if any(len(g.finished) > 1 for g in groups):
        notes.append("mean ± standard deviation over the seeds that finished; σ is pooled over them")
    notes += _single(groups)
    if any(g.of(DIVERGED) for g in groups):
        notes.append("a diverged run counts as the worst score: not in the mean, and never best")
    left_out = [run for g in groups for run in g.runs if run.outcome not in (FINISHED, DIVERGED, DAMAGED)]
    if left_out:
        ends = ", ".join(dict.fromkeys(run.outcome for run in left_out))
        notes.append(f"{len(left_out)} left out of the scores: {ends}")
    notes += damage_note(run for g in groups for run in g.runs)
    notes += skipped_note(skipped)
    if repeats := sum(g.repeats for g in groups):
        notes.append(f"{repeats} left out: the same trial with the same seed is in another folder")
    if len({tuple(run.seed for run in g.runs) for g in groups}) > 1:
        notes.append("not all were run with the same seeds, so their difference holds that of the seeds")
    notes += [*length_note(runs), *interval_note(runs), *version_note(runs), *machine_note(runs)]
    return [*notes, *extractor_notes(runs)]


def _single(groups: Sequence[Group]) -> list[str]:
    """Which rows have one finished run, by name where they are few."""
    single = [g.label for g in groups if len(g.finished) == 1]
    if not single:
        return []
    if len(single) == len([g for g in groups if g.finished]) > 1:
        return ["one finished run a row, so no spread and no ranking"]
    rows = ", ".join(single) if len(single) <= 4 else f"{len(single)} rows"
    return [f"{rows}: one finished run, so no spread and no ranking"]
