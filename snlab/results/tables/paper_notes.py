"""What must be said below a paper's table: what its numbers are, and which runs are not in it."""

from __future__ import annotations

from collections.abc import Sequence

from snlab.core import names
from snlab.metrics.protocols import PROTOCOLS
from snlab.results import looks
from snlab.results.extractors import extractors
from snlab.results.groups import differences
from snlab.results.matching import INCEPTION, Part, places, scored_by
from snlab.results.notes import damage_note, listed, version_note, wandb_note
from snlab.results.papers import METRICS, PaperRow, PaperTable
from snlab.results.reading import DAMAGED
from snlab.results.spelling import plain
from snlab.results.tables.trials import Candidate, by_result
from snlab.tracking.run_folder import DIVERGED, FINISHED, OVER, Run


def meaning(
    table: PaperTable, part: Part, theirs: str | None, metrics: Sequence[str], with_best: bool = False
) -> list[str]:
    """What the numbers are; ``theirs`` is the data set of the paper's, where these do not compare."""
    notes = []
    if theirs is not None:
        of = f"{theirs}, width 1, {table.generator_updates} generator updates, {INCEPTION}"
        notes.append(
            f"the paper's scores are of {of}: they stand beside ours for orientation; the order of the "
            "methods may be compared, the scores may not"
        )
    if protocol := PROTOCOLS.get(part.protocol):
        notes.append(f"protocol {part.protocol}: {protocol.description}")
    notes.append(
        "ours: mean ± standard deviation over the n seeds that finished, each at its last checkpoint"
    )
    if names.INCEPTION_SCORE_STD in (protocol.metrics if protocol else ()):
        notes.append(
            "the ± of an inception score with n=1 is over the parts in which the protocol scores it, as "
            "the paper's is where it has one model"
        )
    if with_best:
        notes.append(
            "best checkpoint: of the same runs the one of the lowest Fréchet distance measured in training, "
            "chosen on the run's own latents, scored on others"
        )
    if missing := [METRICS[name].header for name in table.metrics if name not in metrics]:
        notes.append(f"{', '.join(missing)}: not a score of protocol {part.protocol}")
    wanted = [row.wanted for row in table.rows if row.wanted]
    named = {name for each in wanted for name in each.settings}
    if any(len(each.settings) > 1 for each in wanted):
        texts = [
            f"{name} (lr {s.lr:g}, β1 {s.beta1:g}, β2 {s.beta2:g}, n_dis {s.n_dis})"
            for name, s in table.settings.items()
            if name in named
        ]
        notes.append(
            "the best of the settings that were run, for each score by that score, as in the paper: "
            + ", ".join(texts)
        )
    return notes


def about(
    rows: Sequence[tuple[PaperRow, Sequence[Candidate]]], metrics: Sequence[str], part: Part
) -> list[str]:
    """What of the runs that stand in rows is not in the scores, and what sets them apart."""
    tried = [candidate for _, candidates in rows for candidate in candidates]
    runs = [run for candidate in tried for run in candidate.group.runs]
    notes = []
    if any(run.outcome == DIVERGED for run in runs):
        notes.append("a diverged run counts as the worst score: its setting is behind all without one")
    if out := [run for run in runs if run.outcome not in (FINISHED, DIVERGED, DAMAGED)]:
        ends = ", ".join(dict.fromkeys(run.outcome for run in out))
        notes.append(f"{len(out)} left out of the scores: {ends}")
    if repeats := sum(candidate.group.repeats for candidate in tried):
        notes.append(f"{repeats} left out: the same trial with the same seed is in another folder")
    notes += _fewer(rows, metrics, part)
    notes += [text for row, candidates in rows for text in _several(row, candidates)]
    return [*notes, *damage_note(runs), *version_note(runs), *wandb_note(runs)]


def outside(table: PaperTable, part: Part, runs: Sequence[Run]) -> list[str]:
    """One line for what keeps runs of this data set from all rows of all parts, and counts them."""
    own = [run for run in runs if plain(run.dataset) == part.dataset]
    found = extractors([run for run in own if run.outcome in OVER])
    lost, unscored = [], []
    for run in own:
        if not any(True for _ in places(table, run)):
            lost.append(run)
        elif not scored_by(run, found):
            unscored.append(run)
    notes = []
    if lost:
        said = listed(list(dict.fromkeys(looks.label(run.normalizer) for run in lost)))
        notes.append(f"{_these(lost)} of no row's method, network and setting: {said}")
    if unscored:
        notes.append(f"{_these(unscored)} without a score: they were to measure none")
    return notes


def nowhere(runs: Sequence[Run]) -> list[str]:
    """One line for runs of which none stands in any part."""
    if not runs:
        return []
    datasets = listed(list(dict.fromkeys(looks.label(plain(run.dataset)) for run in runs)))
    count = "the one run here stands" if len(runs) == 1 else f"of the {len(runs)} runs here none stands"
    return [f"{count} in a row of this table: data set {datasets}"]


def _these(runs: Sequence[Run]) -> str:
    return "1 run of this data set is" if len(runs) == 1 else f"{len(runs)} runs of this data set are"


def _fewer(
    rows: Sequence[tuple[PaperRow, Sequence[Candidate]]], metrics: Sequence[str], part: Part
) -> list[str]:
    """One line where a row's best is of fewer settings than the paper's."""
    short = []
    for row, tried in rows:
        run, _ = by_result(tried, metrics, part)
        if row.wanted and 0 < len(run) < len(row.wanted.settings):
            short.append(f"{', '.join(filter(None, (row.section, row.method)))} at {', '.join(run)}")
    return [f"the best of fewer settings than the paper's: {listed(short)}"] if short else []


def _several(row: PaperRow, tried: Sequence[Candidate]) -> list[str]:
    """One line where a setting of a row was run in more than one way: what differs, and what stands."""
    notes = []
    for name in dict.fromkeys(candidate.setting for candidate in tried):
        ways = [candidate.group.runs[0].config for candidate in tried if candidate.setting == name]
        if len(ways) > 1:
            said = " or ".join(filter(None, differences(ways))) or "the source of a class"
            notes.append(
                f"{row.method} at {name} was run in {len(ways)} ways ({said}): not pooled, the best stands"
            )
    return notes
