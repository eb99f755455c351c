"""What the numbers show, in two sentences computed from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from snlab.core import names
from snlab.results import colours
from snlab.results.collect import Group, by_dataset, extractors, group, ratio_name, sigmas
from snlab.results.spread import Spread
from snlab.results.tables.table import rounded
from snlab.tracking.run_folder import DIVERGED, OVER, Run

# A score's name in a sentence, whether more (1) or less (-1) is better, and its value in a run.
Score = tuple[str, Literal[-1, 1], Callable[[Run], float]]


def findings(runs: Sequence[Run]) -> list[str]:
    """Two sentences: on the samples, and on the discriminator, of the data set with most runs that says it.

    No ranking is claimed where the seeds' 95 % intervals overlap, or where there are too few of them.
    """
    return [_on_samples(runs), _on_discriminator(runs)]


# ---- samples ---------------------------------------------------------------------------------------------


def _on_samples(runs: Sequence[Run]) -> str:
    for dataset, members in by_dataset(runs).items():
        groups = group(members)
        for score in _scores(members):
            found = [(g, Spread.of(map(score[2], g.finished))) for g in groups]
            if any(spread.n for _, spread in found):
                return f"On {colours.label(dataset)}, {_ranking(score, found)}."
    return "No finished run logged a fidelity score, so nothing can be said of the samples."


def _scores(runs: Sequence[Run]) -> list[Score]:
    def last(name: str, scored: Callable[[Run], bool] = lambda run: True) -> Callable[[Run], float]:
        return lambda run: run.last(name) if scored(run) else float("nan")

    found: list[Score] = [
        (f"mean FID ({extractor.label})", -1, last(f"{names.FID}/{extractor.name}", extractor.scored))
        for extractor in extractors([run for run in runs if run.outcome in OVER])
    ]
    found.append(("mean share of high-quality samples", 1, last(names.MODES_HIGH_QUALITY)))
    return [*found, ("mean number of modes covered", 1, last(names.MODES_COVERED))]


def _ranking(score: Score, found: list[tuple[Group, Spread]]) -> str:
    name, better, value = score
    scored = [(g, spread) for g, spread in found if spread.n]
    scored.sort(key=lambda pair: (bool(pair[0].of(DIVERGED)), -better * pair[1].mean))
    best, own = scored[0]
    steps = f"after {max(best.finished[0].rows, default=0)} generator updates"
    shares = [f"{len(g.of(DIVERGED))} of {len(g.runs)} runs {_name(g)}" for g, _ in found if g.of(DIVERGED)]
    diverged = f"; {' and '.join(shares)} diverged, which counts as the worst score" if shares else ""
    if len(scored) == 1:
        return f"only {_subject(best)} has a {name}: {_said(own)} {steps}{diverged}"
    second, other = scored[1]
    extreme = "lowest" if better < 0 else "highest"
    start = f"{_subject(best)} gives the {extreme} {name} {steps}, {_against(own, other, _subject(second))}"
    return f"{start}; {_pairs(better, value, best, second)}{_verdict(own, other)}{diverged}"


def _subject(g: Group) -> str:
    return f"training {_name(g)}" if g.normalizer == "none" else g.label


def _said(spread: Spread) -> str:
    mean, std = rounded(spread.mean, spread.std)
    return f"{mean} ± {std} over {spread.n} seeds" if std else f"{mean} with one seed"


def _against(own: Spread, other: Spread, rival: str) -> str:
    if own.n != other.n or own.n < 2:
        return f"{_said(own)}, against {_said(other)} for {rival}"
    first, second = (" ± ".join(rounded(spread.mean, spread.std)) for spread in (own, other))
    return f"{first} against {second} for {rival} ({own.n} seeds each)"


def _pairs(better: int, value: Callable[[Run], float], best: Group, second: Group) -> str:
    """The two compared seed by seed, where they share seeds."""
    values = {run.seed: value(run) for run in second.finished}
    pairs = [(value(run), values[run.seed]) for run in best.finished if run.seed in values]
    won = sum(better * a > better * b for a, b in pairs)
    return f"it is better in {won} of {len(pairs)} shared seeds, " if len(pairs) > 1 else ""


def _verdict(own: Spread, other: Spread) -> str:
    if min(own.n, other.n) < 2:
        return "one seed is too few for a ranking"
    if own.overlaps(other):
        return "but the seeds' 95 % intervals overlap, so this is no ranking"
    return "and the seeds' 95 % intervals do not overlap"


# ---- discriminator ---------------------------------------------------------------------------------------


def _on_discriminator(runs: Sequence[Run]) -> str:
    """The range of σ, and how sure of itself the discriminator became: normalized against not."""
    for dataset, members in by_dataset(runs).items():
        measured = [g for g in group(members) if any(map(sigmas, g.finished_or_all))]
        plain = next((g for g in measured if g.normalizer == "none"), None)
        subject = _first(measured, "spectral_norm") or next((g for g in measured if g is not plain), plain)
        if subject is None:
            continue
        compared = [subject] if plain is None or plain is subject else [subject, plain]
        ranges = ", and ".join(f"between {_range(g)} {_name(g)}" for g in compared)
        start = f"On {colours.label(dataset)}, the exact σ of the discriminator's layers lay {ranges}"
        return f"{start}{_saturation(compared)}."
    return "No run logged the exact σ of its layers, so nothing can be said of the discriminator."


def _first(groups: Sequence[Group], normalizer: str) -> Group | None:
    exact = [g for g in groups if g.normalizer == normalizer]
    return next(iter([*exact, *(g for g in groups if normalizer in g.normalizer)]), None)


def _name(g: Group) -> str:
    name = "without a normalizer" if g.normalizer == "none" else f"under {colours.label(g.normalizer)}"
    return f"{name} [{g.setting}]" if g.setting else name


def _range(g: Group) -> str:
    values = [value for run in g.finished_or_all for value in sigmas(run)]
    low, high = (rounded(value, digits=4, decimals=3)[0] for value in (min(values), max(values)))
    return f"{low} and {high}"


def _saturation(groups: Sequence[Group]) -> str:
    name = ratio_name([run for g in groups for run in g.runs], names.SATURATION)
    found = [(g, Spread.of(run.last(name) for run in g.finished_or_all)) for g in groups]
    shares = [f"{rounded(100 * s.mean, decimals=1)[0]} % {_name(g)}" for g, s in found if s.n]
    told = "share of the probe told apart with over 99 % certainty at the end"
    return f" ({told}: {', '.join(shares)})" if shares else ""
