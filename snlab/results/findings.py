"""What the numbers show, in sentences computed from them.

Only groups of one data set and one setting are ranked, and only by measures with a direction; where a data
set has several measures of one thing, all are told or none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal, NamedTuple

import numpy as np

from snlab.core import names
from snlab.results import looks
from snlab.results.extractors import extractors
from snlab.results.groups import Group, by_dataset, by_setting, group
from snlab.results.notes import damage_note, length_note, version_note
from snlab.results.reading import final, ratio_name, sigmas
from snlab.results.spread import Spread
from snlab.results.tables.table import rounded
from snlab.tracking.run_folder import DIVERGED, OVER, Run

SETTINGS = 6  # so many are told of; the table has all
UNSAID = "No finished run logged"
ROWS = 8  # of so many normalizers are all numbers told


class Score(NamedTuple):
    """A score's name in a sentence, whether more (1) or less (-1) is better, and its value in a run."""

    name: str
    better: Literal[-1, 1]
    value: Callable[[Run], float]


def findings(runs: Sequence[Run]) -> list[str]:
    """Sentences on the samples, the density ratio and the discriminator of each data set, most runs first.

    No ranking is claimed where the seeds' 95 % intervals overlap, or where there are too few of them.
    """
    datasets = list(by_dataset(runs).values())
    samples, discriminators = ([f(members) for members in datasets] for f in (_on_samples, _on_discriminator))
    said = [] if any(samples) else [f"{UNSAID} a fidelity score, so nothing can be said of the samples."]
    for members, quality, discriminator in zip(datasets, samples, discriminators, strict=True):
        said += [*quality, *_on_ratio(members), *discriminator]
    if not any(discriminators):
        said.append(f"{UNSAID} the exact σ of its layers, so nothing can be said of the discriminator.")
    notes = [*version_note(runs), *damage_note(runs)]
    for members in datasets:
        notes += [f"on {looks.label(members[0].dataset)}, {note}" for note in length_note(members)]
    return [*said, *(f"{note[0].upper()}{note[1:]}." for note in notes)]


def _and(words: Sequence[str]) -> str:
    *head, last = words
    return f"{', '.join(head)} and {last}" if head else last


# ---- samples ---------------------------------------------------------------------------------------------


def _on_samples(runs: Sequence[Run]) -> list[str]:
    """A sentence for each score, under each setting in which there is something to compare."""
    where = f"On {looks.label(runs[0].dataset)}"
    settings = list(by_setting(group(runs)).values())
    told: list[list[str]] = []
    for groups in settings:
        place = f"{where} with {groups[0].setting}" if groups[0].setting else where
        if len(settings) == 1 or len(groups) > 1:
            found = [text for score in _scores(runs) if (text := _ranking(score, groups))]
            told.append([f"{place}, {text}." for text in found or _only_diverged(groups)])
    told = [sentences for sentences in told if sentences]
    if not told and len(settings) > 1:
        return [f"{where}, no two normalizers were run under one setting, so none is ranked."]
    rest = len(told) - SETTINGS
    more = [f"{where}, {rest} more settings stand in the table."] if rest > 0 else []
    return [*(text for sentences in told[:SETTINGS] for text in sentences), *more]


def _scores(runs: Sequence[Run]) -> list[Score]:
    def fid(name: str, scored: Callable[[Run], bool]) -> Callable[[Run], float]:
        return lambda run: final(run, name) if scored(run) else float("nan")

    found = [
        Score(f"mean FID ({extractor.label})", -1, fid(f"{names.FID}/{extractor.name}", extractor.scored))
        for extractor in extractors([run for run in runs if run.outcome in OVER])
    ]
    quality = Score("mean share of high-quality samples", 1, lambda run: final(run, names.MODES_HIGH_QUALITY))
    covered = Score("mean number of modes covered", 1, lambda run: final(run, names.MODES_COVERED))
    return [*found, quality, covered]


def _diverged(groups: Iterable[Group]) -> list[str]:
    """How many runs of which normalizers diverged."""
    return [f"{len(g.of(DIVERGED))} of {len(g.runs)} runs {_under(g)}" for g in groups if g.of(DIVERGED)]


def _only_diverged(groups: Sequence[Group]) -> list[str]:
    """What is said where nobody can be ranked and some diverged."""
    shares = _diverged(groups)
    return [f"{_and(shares)} diverged, so nothing is ranked"] if shares else []


def _ranking(score: Score, groups: Sequence[Group]) -> str | None:
    """Who is best by one score, and by how much, of those that never diverged; None where none has it."""
    shares = _diverged(groups)
    spreads = [(g, Spread.of(map(score.value, g.finished))) for g in groups if not g.of(DIVERGED)]
    scored = [(g, spread) for g, spread in spreads if spread.n]
    if not scored:
        return None
    diverged = f"; {_and(shares)} diverged, which counts as the worst score" if shares else ""
    scored.sort(key=lambda pair: -score.better * pair[1].mean)
    best, own = scored[0]
    steps = f"after {best.runs[0].generator_steps} generator updates"
    if len(scored) == 1:
        whose = "only" if not shares else "of those that never diverged, only"
        return f"{whose} {_subject(best)} has a {score.name}: {_said(own)} {steps}{diverged}"
    extreme = "lowest" if score.better < 0 else "highest"
    tied = [pair for pair in scored if _mean(pair[1]) == _mean(own)]
    if len(tied) > 1:
        start = f"{_and([_subject(g) for g, _ in tied])} tie for the {extreme} {score.name} {steps}"
        rest = scored[len(tied) :]
        others = f", before {_subject(rest[0][0])} with {_said(rest[0][1])}" if rest else ""
        values = list(dict.fromkeys(_said(spread) for _, spread in tied))
        each = f"{values[0]} each" if len(values) == 1 else _and(values)
        return f"{start}, {each}{others}{diverged}"
    second, other = scored[1]
    start = f"{_subject(best)} gives the {extreme} {score.name} {steps}"
    against = _against(own, other, _subject(second))
    return f"{start}, {against}; {_pairs(score, best, second)}{_verdict(own, other)}{diverged}"


def _subject(g: Group) -> str:
    return "training without a normalizer" if g.normalizer == "none" else g.name


def _mean(spread: Spread) -> str:
    return rounded(spread.mean)[0]


def _value(spread: Spread) -> str:
    mean, std = rounded(spread.mean, spread.std)
    return f"{mean} ± {std}" if std else mean


def _said(spread: Spread) -> str:
    return f"{_value(spread)} over {spread.n} seeds" if spread.n > 1 else f"{_value(spread)} with one seed"


def _against(own: Spread, other: Spread, rival: str) -> str:
    if own.n != other.n or own.n < 2:
        return f"{_said(own)}, against {_said(other)} for {rival}"
    return f"{_value(own)} against {_value(other)} for {rival} ({own.n} seeds each)"


def _pairs(score: Score, best: Group, second: Group) -> str:
    """The two compared seed by seed, where they share seeds."""
    values = {run.seed: score.value(run) for run in second.finished}
    pairs = [(score.value(run), values[run.seed]) for run in best.finished if run.seed in values]
    won = sum(score.better * a > score.better * b for a, b in pairs)
    return f"it is better in {won} of {len(pairs)} shared seeds, " if len(pairs) > 1 else ""


def _verdict(own: Spread, other: Spread) -> str:
    if min(own.n, other.n) < 2:
        return "one seed is too few for a ranking"
    if own.overlaps(other):
        return "but the seeds' 95 % intervals overlap, so this is no ranking"
    return "and the seeds' 95 % intervals do not overlap"


# ---- density ratio ---------------------------------------------------------------------------------------


def _on_ratio(runs: Sequence[Run]) -> list[str]:
    """Both numbers of f against the truth, for each normalizer and unranked; see docs/metrics.md."""
    groups = group(runs)
    logged = [ratio_name(runs, metric) for metric in (names.TRUE_RMSE, names.TRUE_CORRELATION)]
    found = [(g, [Spread.of(final(run, name) for run in g.finished) for name in logged]) for g in groups]
    found = [(g, spreads) for g, spreads in found if all(spread.n for spread in spreads)]
    if not found or len(found) > ROWS or any(g.setting for g in groups):
        return []
    parts = [f"{g.name} {_value(error)}, {_value(correlation)}" for g, (error, correlation) in found]
    where = f"On {looks.label(runs[0].dataset)}"
    return [
        f"{where}, f against the true log q/p, by the RMS of its error in nats and by its correlation, "
        f"neither of which ranks: {'; '.join(parts)}."
    ]


# ---- discriminator ---------------------------------------------------------------------------------------


def _on_discriminator(runs: Sequence[Run]) -> list[str]:
    """The range of σ, what the layers do as maps, and how sure of itself the discriminator became.

    Normalized against not, each over all of its settings.
    """
    measured: dict[str, list[Run]] = {}
    for g in group(runs):
        if found := [run for run in g.finished if sigmas(run).size]:
            measured.setdefault(g.normalizer, []).extend(found)
    if not measured:
        return []
    exact = [name for name in measured if name == "spectral_norm"]
    containing = [name for name in measured if "spectral_norm" in name]
    others = [name for name in measured if name != "none"]
    subject = [*exact, *containing, *others, "none"][0]
    compared = {name: measured[name] for name in dict.fromkeys([subject, "none"]) if name in measured}
    ranges = _and([f"between {_range(found)} {_under(name)}" for name, found in compared.items()])
    start = f"On {looks.label(runs[0].dataset)}, σ of the discriminator's weights as matrices lay {ranges}"
    ended = [run for run in runs if run.normalizer == "none" and run.outcome == DIVERGED]
    absent = "; no run without a normalizer finished" if ended and "none" not in measured else ""
    return [f"{start}{_maps(compared)}{_saturation(compared)}{absent}."]


def _under(normalizer: str | Group) -> str:
    spec = normalizer if isinstance(normalizer, str) else normalizer.normalizer
    return "without a normalizer" if spec == "none" else f"under {looks.label(spec)}"


def _range(runs: Iterable[Run]) -> str:
    values = np.concatenate([sigmas(run) for run in runs])
    low, high = (rounded(float(v), digits=4, decimals=3)[0] for v in (values.min(), values.max()))
    return f"{low} and {high}"


def _maps(compared: dict[str, list[Run]]) -> str:
    """The largest norm of a layer as a map, and the bound on the whole."""
    parts = []
    for name, runs in compared.items():
        norms = np.concatenate([sigmas(run, names.SIGMA_CONV) for run in runs])
        product = Spread.of(final(run, names.LIPSCHITZ_PRODUCT) for run in runs)
        if norms.size and product.n:
            reached = rounded(float(norms.max()), digits=4, decimals=3)[0]
            parts.append(f"{reached} and {_value(product)} {_under(name)}")
    if not parts:
        return ""
    return f"; as maps on their input, the largest norm of a layer and the bound from all were {_and(parts)}"


def _saturation(compared: dict[str, list[Run]]) -> str:
    name = ratio_name([run for runs in compared.values() for run in runs], names.SATURATION)
    found = {spec: Spread.of(final(run, name) for run in runs) for spec, runs in compared.items()}
    shares = [f"{rounded(100 * s.mean, decimals=1)[0]} % {_under(n)}" for n, s in found.items() if s.n]
    told = "share of the probe told apart with over 99 % certainty at the end"
    return f" ({told}: {', '.join(shares)})" if shares else ""
