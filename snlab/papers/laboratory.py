"""What our own studies say: sentences and small tables whose every number is computed from the runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from snlab.papers.markdown import table
from snlab.results import looks
from snlab.results.figures.style import finite
from snlab.results.notes import joined
from snlab.results.spread import Spread
from snlab.results.studies import (
    ACCURACY,
    COSINE,
    COVERED,
    DROPPED,
    EXCESS,
    GAP,
    HIGH_QUALITY,
    NON_SATURATING,
    SATURATING,
    SATURATION,
    SLOPE,
    STUDIES,
)
from snlab.results.study import Part, Quantity
from snlab.tracking.run_folder import Run

NONE, SPECTRAL_NORM = "none", "spectral_norm"
LOST = 0.1  # of what f = 0 has: a curve that ends so far above its lowest value has got worse again
VANISHED = 0.1  # of what it was: below, a gradient is said to vanish
KNOWN = 0.9  # of what could be known


def dimension(part: Part) -> list[str]:
    """Who is right in how many dimensions, who knows less than nothing, and who gets worse as it trains."""
    return [
        *_against_spectral_norm(part, EXCESS),
        _lowest(part, EXCESS),
        _worse_than_nothing(part),
        *_worse_again(part, EXCESS),
        *_ends(part, COSINE),
    ]


def disjoint(part: Part) -> list[str]:
    """Where the discriminator is perfect, and how much gradient it leaves there."""
    near, far = part.places[-1], part.places[0]  # the most noise, and the least
    rows = []
    vanished: dict[str, list[str]] = {SATURATING.header: [], NON_SATURATING.header: []}
    for normalizer in part.normalizers:
        cells = [
            _number(part, quantity, normalizer, x)
            for quantity in (SATURATION, ACCURACY, SATURATING, NON_SATURATING)
            for x in (near, far)
        ]
        rows.append([looks.label(normalizer), *cells])
        for quantity in (SATURATING, NON_SATURATING):
            before, after = (part.spread(quantity, normalizer, x).mean for x in (near, far))
            if after < VANISHED * before:
                vanished[quantity.header].append(looks.label(normalizer))
    header = ["normalizer"]
    for quantity in (SATURATION, ACCURACY, SATURATING, NON_SATURATING):
        header += [f"{quantity.header}, {part.study.say(near)}", part.study.say(far)]
    said = [
        f"the {header} falls to less than {VANISHED:.0%} of what it is at {part.study.say(near)} under "
        f"{joined(names) if names else 'no normalizer'}"
        for header, names in vanished.items()
    ]
    return [
        table(header, rows),
        f"At {part.study.say(far)} {'; '.join(said)}.",
        _worse_than_nothing(part),
        *_known(part, far),
    ]


def modes(part: Part) -> list[str]:
    """What is covered and dropped at the fewest and at the most modes."""
    return [
        *_ends(part, COVERED),
        *_ends(part, HIGH_QUALITY),
        *_ends(part, DROPPED),
        *_against_spectral_norm(part, DROPPED),
        _lowest(part, DROPPED),
    ]


def samples(part: Part) -> list[str]:
    """How much of the error goes away with more samples."""
    return [
        *_ends(part, EXCESS),
        *_ends(part, GAP),
        *_against_spectral_norm(part, EXCESS),
        _worse_than_nothing(part),
        *_worse_again(part, EXCESS),
    ]


def cost(part: Part) -> list[str]:
    """Up to which steepness f knows most of what can be known, and how flat it is beyond."""
    reached = []
    for normalizer in part.normalizers:
        known = [x for x in part.places if _share(part, normalizer, x) >= KNOWN]
        steepest = f"up to {part.study.say(max(known))}" if known else "at none of these"
        reached.append(f"{steepest} under {looks.label(normalizer)}")
    return [
        f"f knows {KNOWN:.0%} of what can be known (1 less the excess loss over that of f = 0): "
        f"{'; '.join(reached)}.",
        *_ends(part, SLOPE),
        *_against_spectral_norm(part, EXCESS),
        _lowest(part, EXCESS),
    ]


# ---- sentences ---------------------------------------------------------------------------------------------


def _against_spectral_norm(part: Part, quantity: Quantity) -> list[str]:
    """Where none is lower and where it is higher than spectral norm, by differences within a seed."""
    told: dict[str, list[float]] = {"lower": [], "higher": [], "not told apart": []}
    for x in part.places:
        ours, theirs = (part.by_seed(quantity, n, x) for n in (NONE, SPECTRAL_NORM))
        low, high = Spread.of(ours[seed] - theirs[seed] for seed in ours if seed in theirs).interval
        if ours and theirs:
            told["lower" if high < 0 else "higher" if low > 0 else "not told apart"].append(x)
    if not any(told.values()):
        return []
    words = [f"{word} at {joined([*map(part.study.say, xs)])}" for word, xs in told.items() if xs]
    text = (
        f"Without a normalizer the {_name(quantity)} is, against spectral norm's, {', '.join(words)} "
        "(95 % t intervals of the differences within a seed)."
    )
    lower, higher = told["lower"], told["higher"]
    if lower and higher and (max(lower) < min(higher) or max(higher) < min(lower)):
        first, second = (lower, higher) if max(lower) < min(higher) else (higher, lower)
        text += f" They cross between {part.study.say(max(first))} and {part.study.say(min(second))}."
    return [text]


def _lowest(part: Part, quantity: Quantity) -> str:
    """Who has the lowest mean at each place, and its value."""
    found = []
    for x in part.places:
        means = {n: part.spread(quantity, n, x).mean for n in part.normalizers}
        kept = {n: mean for n, mean in means.items() if np.isfinite(mean)}
        if kept:
            best = min(kept, key=kept.__getitem__)
            found.append(f"{looks.label(best)} at {part.study.say(x)} ({kept[best]:.3g})")
    return f"The lowest mean {_name(quantity)} is that of {'; '.join(found)}." if found else ""


def _worse_than_nothing(part: Part) -> str:
    """Whose excess loss is above that of a discriminator that says nothing."""
    found = []
    for x in part.places:
        zero = part.zero(EXCESS, x)
        means = {n: part.spread(EXCESS, n, x).mean for n in part.normalizers}
        if worse := [f"{looks.label(n)} ({mean:.3g})" for n, mean in means.items() if mean > zero]:
            found.append(f"at {part.study.say(x)}, where it has {zero:.3g}, {joined(worse)}")
    said = "; ".join(found) if found else "no normalizer at any place"
    return f"Further from the truth than an f that is 0 everywhere, by mean excess loss: {said}."


def _worse_again(part: Part, quantity: Quantity) -> list[str]:
    """At the place that is followed over updates: the lowest mean over seeds, when, and the last one."""
    name, rows, lost, zero = quantity.logged(part.runs), [], [], part.zero(quantity, part.at)
    for normalizer in part.normalizers:
        curves = [
            dict(zip(*curve, strict=True))
            for run in part.finished(normalizer, part.at)
            if (curve := finite(run, name))
        ]
        if not curves:
            continue
        shared = sorted(set.intersection(*(set(curve) for curve in curves)))
        means = {int(step): float(np.mean([curve[step] for curve in curves])) for step in shared}
        best, last = min(means, key=means.__getitem__), max(means)
        rise = means[last] - means[best]
        rows.append(
            [looks.label(normalizer), f"{means[best]:.3g}", f"{best:,}", f"{means[last]:.3g}", f"{rise:.3g}"]
        )
        lost += [looks.label(normalizer)] if rise > LOST * zero else []
    if not rows:
        return []
    header = ["normalizer", f"lowest {_name(quantity)}", "at update", "at the end", "more than the lowest"]
    return [
        f"Over updates at {part.study.say(part.at)}, means over seeds:",
        table(header, rows),
        f"It ends above its lowest by more than {LOST:.0%} of what f = 0 has under "
        f"{joined(lost) if lost else 'no normalizer'}.",
    ]


def _ends(part: Part, quantity: Quantity) -> list[str]:
    """From the first place to the last, by normalizer."""
    first, last = part.places[0], part.places[-1]
    found = [
        f"{_number(part, quantity, n, first)} to {_number(part, quantity, n, last)} under {looks.label(n)}"
        for n in part.normalizers
        if part.spread(quantity, n, first).n and part.spread(quantity, n, last).n
    ]
    ends = f"From {part.study.say(first)} to {part.study.say(last)}"
    return [f"{ends}, {_name(quantity)}: {'; '.join(found)}."] if found else []


def _known(part: Part, x: float) -> list[str]:
    """The share of what could be known that f knows at a place, by normalizer."""
    shares = [(n, _share(part, n, x)) for n in part.normalizers]
    found = [f"{share:.1%} under {looks.label(n)}" for n, share in shares if np.isfinite(share)]
    return [f"Of what can be known at {part.study.say(x)}, f knows {'; '.join(found)}."] if found else []


def _share(part: Part, normalizer: str, x: float) -> float:
    """1 less the excess loss as a share of that of f = 0; negative where f says worse than nothing."""
    return 1 - part.spread(EXCESS, normalizer, x).mean / part.zero(EXCESS, x)


def _number(part: Part, quantity: Quantity, normalizer: str, x: float) -> str:
    spread = part.spread(quantity, normalizer, x)
    if not spread.n:
        return "no number"
    std = spread.std if spread.std > 1e-12 * abs(spread.mean) else 0.0  # of equal values, but for rounding
    return f"{spread.mean:.3g}" + (f" ± {std:.2g}" if spread.n > 1 else "")


def _name(quantity: Quantity) -> str:
    return quantity.header.partition(" [")[0]


def _of(name: str, say: Callable[[Part], list[str]]) -> Callable[[Sequence[Run]], list[str]]:
    def claim(runs: Sequence[Run]) -> list[str]:
        study = STUDIES[f"density_ratio/{name}"]
        found = []
        for part in study.parts(runs):
            seeds = len({run.seed for run in part.runs})
            found.append(f"{part.title}; means ± standard deviations over {seeds} seed{'s' * (seeds > 1)}:")
            found += [text for text in say(part) if text]
        return found

    return claim


CLAIMS = {say.__name__: _of(say.__name__, say) for say in (dimension, disjoint, modes, samples, cost)}
