"""How normalizers look and are called in every table, figure and report: decided here, once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

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
# The rest of theirs, then from Tol's muted scheme, for every other normalizer.
OTHERS = ("#D55E00", "#CC79A7", "#56B4E9", "#882255", "#332288", "#999933", "#AA4499", "#661100", "#DDCC77")


def colour(spec: str) -> str:
    """The colour of one normalizer, as ``#RRGGBB``: the same in every process.

    >>> colour("spectral_norm"), colour("layer_norm") == colour("layer_norm")
    ('#0072B2', True)
    """
    return FIXED.get(spec.strip()) or OTHERS[_preferred(spec)]


def palette(specs: Iterable[str]) -> dict[str, str]:
    """The colours of several, distinct while the palette lasts: who comes later by name yields.

    A variant takes its normalizer's own colour where the plain one is not among them.

    >>> palette(["none", "weight_norm(gain=true)"])
    {'none': '#666666', 'weight_norm(gain=true)': '#E69F00'}
    """
    chosen: dict[str, str] = {}
    wanted = sorted(set(specs))
    for spec in wanted:
        start = _preferred(spec)
        turns = [OTHERS[(start + turn) % len(OTHERS)] for turn in range(len(OTHERS))]
        name = _name(spec)
        if name in FIXED and (spec == name or name not in wanted):
            turns.insert(0, FIXED[name])
        chosen[spec] = next((c for c in turns if c not in chosen.values()), colour(spec))
    return chosen


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
    return str(term).replace("(", " (", 1).replace("_", " ")


def order(spec: str) -> tuple[int, str]:
    """Sort key: the main comparison first, in its order and with its variants, then the others by label.

    >>> sorted(["spectral_norm", "layer_norm", "none"], key=order)
    ['none', 'spectral_norm', 'layer_norm']
    """
    name = _name(spec)
    return (ORDER.index(name) if name in ORDER else len(ORDER), label(spec))
