"""How normalizers look and are called in every table, figure and report: decided here, once."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import NamedTuple

from snlab.core.errors import UserError
from snlab.core.registry import Spec, parse

ORDER = ("none", "weight_norm", "gradient_penalty", "spectral_norm")  # the main comparison, in reading order

# Okabe and Ito's palette (2008), distinct under the common colour vision deficiencies.
FIXED = {
    "none": "#666666",
    "weight_norm": "#E69F00",
    "gradient_penalty": "#009E73",
    "spectral_norm": "#0072B2",
}
# The rest of the palette is handed out in this order: those of one table have the most distinct of it.
NAMED = (
    *("layer_norm", "batch_norm", "weight_clipping", "orthonormal", "frobenius_norm"),  # of the paper
    *("r1", "gradient_normalization", "lecam", "dragan", "consistency", "r2", "spectral_regularization"),
)
# The rest of theirs, then from Tol's muted scheme, for every other normalizer.
OTHERS = ("#D55E00", "#CC79A7", "#56B4E9", "#882255", "#332288", "#999933", "#AA4499", "#661100", "#DDCC77")
# What tells lines apart where colours cannot, in grey print or when they are used up: a dash and a marker.
Line = str | tuple[int, tuple[float, ...]]
LINES: tuple[Line, ...] = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)))
MARKERS = ("o", "s", "^", "D")


class Look(NamedTuple):
    """How one normalizer is drawn, in every panel of a figure."""

    colour: str  # #RRGGBB
    line: Line = LINES[0]  # matplotlib's linestyle
    marker: str = MARKERS[0]


def colour(spec: str) -> str:
    """The colour that one normalizer is drawn in where it has the choice: the same in every process.

    >>> colour("spectral_norm"), colour("layer_norm") == colour("layer_norm")
    ('#0072B2', True)
    """
    known = KNOWN.get(spec.strip())
    return known.colour if known else OTHERS[_preferred(spec)]


DARK = "#16191c"  # what a dark page's figures are drawn on
CONTRAST = 3.0  # of graphics to their background, at least (WCAG 2.1, 1.4.11)


def on_dark(colour: str) -> str:
    """The colour's twin for a dark page: mixed with as little white as gives it the contrast.

    >>> on_dark("#E69F00"), on_dark("#332288")
    ('#E69F00', '#685BA7')
    """
    own = _channels(colour)
    mixed = own
    for white in range(101):
        mixed = [round(c + (255 - c) * white / 100) for c in own]
        if (_luminance(mixed) + 0.05) / (_luminance(_channels(DARK)) + 0.05) >= CONTRAST:
            break
    return "#" + "".join(f"{c:02X}" for c in mixed)


def _channels(colour: str) -> list[int]:
    return [int(colour[i : i + 2], 16) for i in (1, 3, 5)]


def _luminance(channels: Iterable[int]) -> float:
    """Relative luminance (WCAG 2.1) of red, green and blue in 0 to 255."""
    shares = [c / 255 for c in channels]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in shares]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def dash(line: Line) -> list[float]:
    """Lengths of dashes and gaps in turn, in line widths; none for a solid line.

    >>> dash("-"), dash((0, (5, 2)))
    ([], [5, 2])
    """
    return [] if isinstance(line, str) else list(line[1])


def palette(specs: Iterable[str]) -> dict[str, Look]:
    """The looks of several normalizers, no two alike for up to 52 of them.

    A normalizer of the package has the same look everywhere, and so has a variant where the plain one is not
    among them. Among others, who comes later by name yields. The main comparison is solid; the less distinct
    colours are dashed as well.

    >>> [look.colour for look in palette(["none", "weight_norm(gain=true)"]).values()]
    ['#666666', '#E69F00']
    """
    chosen: dict[str, Look] = {}
    wanted = sorted(set(specs), key=order)
    own = {spec: _own(spec, wanted) for spec in wanted}
    reserved = {look for look in own.values() if look}
    for spec in wanted:
        start = _preferred(spec)
        turns = [
            _other((start + turn) % len(OTHERS), again) for again in range(4) for turn in range(len(OTHERS))
        ]
        turns += [Look(c, LINES[again], MARKERS[again]) for again in (1, 2, 3) for c in FIXED.values()]
        free = (look for look in turns if look not in chosen.values() and look not in reserved)
        mine = own[spec]
        chosen[spec] = mine if mine and mine not in chosen.values() else next(free, turns[0])
    return chosen


def _own(spec: str, wanted: list[str]) -> Look | None:
    """The look of a normalizer of the package, and of a variant where the plain normalizer is not there."""
    name = _name(spec)
    return KNOWN.get(name) if spec == name or name not in wanted else None


def _other(index: int, again: int) -> Look:
    """One of OTHERS; three of them are solid, three dashed, three dotted, and when used again the next."""
    kind = (index // 3 + again) % 4
    return Look(OTHERS[index], LINES[kind], MARKERS[kind])


KNOWN = {
    **{name: Look(colour) for name, colour in FIXED.items()},
    **{name: _other(place % len(OTHERS), place // len(OTHERS)) for place, name in enumerate(NAMED)},
}


def _name(spec: str) -> str:
    """The normalizer's name without its options; of a composition, the whole."""
    try:
        terms = parse(spec)
    except UserError:
        return spec
    return terms[0].name if len(terms) == 1 else spec


def _preferred(spec: str) -> int:
    return hashlib.sha256(spec.strip().encode()).digest()[0] % len(OTHERS)


def label(spec: str) -> str:
    """A normalizer's or a data set's name as people write it; text that is no spec is given back as it is.

    >>> label("spectral_norm+gradient_penalty(weight=1, kind=one_sided)")
    'spectral norm + gradient penalty (kind=one sided, weight=1)'
    """
    try:
        return " + ".join(_words(term) for term in parse(spec))
    except UserError:
        return spec


def _words(term: Spec) -> str:
    # A class, and what is named with dots, keeps the spelling of its code.
    ours = term.name.islower() and "." not in term.name
    return str(term).replace("(", " (", 1).replace("_", " ") if ours else str(term)


def order(spec: str) -> tuple[int, list[tuple[str, float]]]:
    """Sort key: the main comparison first, in its order and with its variants, then the others by label.

    >>> sorted(["spectral_norm", "layer_norm(eps=10)", "none", "layer_norm(eps=2)"], key=order)
    ['none', 'spectral_norm', 'layer_norm(eps=2)', 'layer_norm(eps=10)']
    """
    name = _name(spec)
    return (ORDER.index(name) if name in ORDER else len(ORDER), natural(label(spec)))


def natural(text: str) -> list[tuple[str, float]]:
    """Sort key of text with numbers in it: they sort by value.

    >>> sorted(["lr=0.001, n=10", "lr=0.001, n=5", "lr=1e-05, n=5"], key=natural)
    ['lr=1e-05, n=5', 'lr=0.001, n=5', 'lr=0.001, n=10']
    """
    parts = re.split(r"(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)", text)
    numbers = [float(number) for number in parts[1::2]]
    return [*zip(parts[0::2], [*numbers, 0.0], strict=True)]
