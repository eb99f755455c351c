"""Settings by their path, and as mappings in one another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any


def nested(items: Iterable[tuple[Sequence[str], Any]]) -> dict[str, Any]:
    """Each value in mappings by the words of its path; of one path the last value stands.

    >>> nested([(("model", "adam", "lr"), 0.1), (("model", "n_dis"), 5), (("seed",), 0)])
    {'model': {'adam': {'lr': 0.1}, 'n_dis': 5}, 'seed': 0}
    """
    tree: dict[str, Any] = {}
    for (*groups, last), value in items:
        place = tree
        for group in groups:
            place = place.setdefault(group, {})
        place[last] = value
    return tree
