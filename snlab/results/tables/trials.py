"""The trials of one row of a paper's table, one or more at each of its settings, and the best of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from snlab.results.groups import Group, one_trial
from snlab.results.matching import Part, Place
from snlab.results.papers import METRICS, PaperTable
from snlab.results.scores import best_score, last_score
from snlab.results.spread import Spread
from snlab.results.tables.table import ALL_DIVERGED
from snlab.tracking.identity import setting as trial_of
from snlab.tracking.run_folder import DIVERGED, FINISHED, Run

NOT_SCORED = "not scored"  # runs finished, and none has this score


@dataclass(frozen=True)
class Candidate:
    """One trial, all of its seeds, at one of a row's settings."""

    setting: str
    group: Group

    def last(self, metric: str, part: Part) -> Spread:
        """Over the seeds that finished, each at its last checkpoint."""
        return Spread.of(
            last_score(run, metric, part.protocol, part.extractor) for run in self.group.finished
        )

    def best(self, metric: str, part: Part) -> Spread:
        """Over the seeds that finished, each at its best checkpoint, where that is kept and scored."""
        return Spread.of(
            best_score(run, metric, part.protocol, part.extractor) for run in self.group.finished
        )

    def has_result(self, metrics: Iterable[str], part: Part) -> bool:
        """Whether it has any of these scores, or the worst: a diverged run."""
        return bool(self.group.of(DIVERGED)) or any(self.last(metric, part).n for metric in metrics)


def candidates(table: PaperTable, part: Part, placed: Sequence[Place], row: int) -> list[Candidate]:
    """The trials of a row, in the order of its settings. Runs that differ in more than the seed are two."""
    wanted = table.rows[row].wanted
    found: list[Candidate] = []
    for name in wanted.settings if wanted else ():
        trials: dict[str, list[Run]] = {}
        for place in placed:
            if (place.row, place.setting) == (row, name):
                trials.setdefault(trial_of(place.run.config), []).append(place.run)
        found += [Candidate(name, one_trial(part.dataset, trial)) for trial in trials.values()]
    return found


def best_of(metric: str, part: Part, tried: Sequence[Candidate]) -> Candidate | None:
    """The candidate of the best mean at the last checkpoints, those without a diverged run first.

    None where none has a score.
    """
    better = METRICS[metric].better
    scored = [(candidate, candidate.last(metric, part)) for candidate in tried]
    ranked = [((bool(c.group.of(DIVERGED)), -better * score.mean), c) for c, score in scored if score.n]
    return min(ranked, key=lambda pair: pair[0])[1] if ranked else None


# ---- in words --------------------------------------------------------------------------------------------


def told(tried: Sequence[Candidate]) -> str:
    """What became of runs of which none has a score."""
    outcomes = list(dict.fromkeys(run.outcome for c in tried for run in c.group.runs))
    if FINISHED in outcomes:
        return NOT_SCORED
    return ALL_DIVERGED if DIVERGED in outcomes else ", ".join(outcomes)


def by_result(
    tried: Sequence[Candidate], metrics: Sequence[str], part: Part
) -> tuple[list[str], dict[str, str]]:
    """The settings that gave a result, and of the others what became of their runs."""
    names = dict.fromkeys(candidate.setting for candidate in tried)
    given = {c.setting for c in tried if c.has_result(metrics, part)}
    return (
        [name for name in names if name in given],
        {name: told([c for c in tried if c.setting == name]) for name in names if name not in given},
    )


def diverged_at(candidate: Candidate) -> str:
    """The setting, and how many of its runs diverged where not all did."""
    count, whole = len(candidate.group.of(DIVERGED)), len(candidate.group.runs)
    return candidate.setting if count == whole else f"{candidate.setting} {count}/{whole}"


def counted(runs: Iterable[Run]) -> str:
    """How many runs ended how: "2 finished, 1 diverged"."""
    counts: dict[str, int] = {}
    for run in runs:
        counts[run.outcome] = counts.get(run.outcome, 0) + 1
    return ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
