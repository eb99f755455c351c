"""Spectra of the layers through training, for the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from snlab.core import names
from snlab.results.groups import Group
from snlab.results.page.series import packed
from snlab.tracking.run_folder import Run

BUDGET = 300_000  # numbers in all spectra of a page: 1.6 MB as they are written
VALUES = 64  # of one spectrum: a longer one is given at as many places, evenly, both ends included
MOST_STEPS = 40


def spectra(comparisons: Sequence[Sequence[Group]], number: dict[int, int]) -> dict[str, Any]:
    """Of each comparison and layer the squared singular values over the largest, at several updates.

    Every finished run's where there is room, else that of each group's first seed. A run's spectra are
    ``{run, steps, places, values}``: the values at ``places`` (counted from 1), update after update.
    """
    everyone = [[run for g in groups for run in g.finished_or_whole] for groups in comparisons]
    first = [[run for g in groups for run in g.finished_or_whole[:1]] for groups in comparisons]
    one_update = sum(map(_values_at_once, (run for runs in everyone for run in runs)))
    notes = []
    if one_update * 8 > BUDGET:
        everyone, one_update = first, sum(map(_values_at_once, (run for runs in first for run in runs)))
        notes.append("spectra are of the first seed of each normalizer, for want of room")
    steps = int(np.clip(BUDGET // max(one_update, 1), 2, MOST_STEPS))
    found = [{layer: _runs(runs, layer, steps, number) for layer in _layers(runs)} for runs in everyone]
    longest = max((_updates(run) for runs in everyone for run in runs), default=0)
    if longest > steps:
        notes.append(f"spectra at {steps} of {longest} updates")
    return {"comparisons": found, "notes": notes}


def _updates(run: Run) -> int:
    """At how many updates spectra were logged."""
    return max((len(run.series(name)[0]) for name in run.names(f"{names.SPECTRUM}/")), default=0)


def _values_at_once(run: Run) -> int:
    """How many numbers the spectra of one update take."""
    sizes = (_size(run, name) for name in run.names(f"{names.SPECTRUM}/"))
    return sum(min(size, VALUES) for size in sizes)


def _size(run: Run, name: str) -> int:
    return max((len(value) for value in run.series(name)[1] if isinstance(value, list)), default=0)


def _layers(runs: Sequence[Run]) -> list[str]:
    """The layers to show: those with more than one singular value, or all where none has."""
    prefix = f"{names.SPECTRUM}/"
    found = dict.fromkeys(name for run in runs for name in run.names(prefix))
    several = [name for name in found if any(_size(run, name) > 1 for run in runs)]
    return [name.removeprefix(prefix) for name in several or found]


def _runs(runs: Sequence[Run], layer: str, most: int, number: dict[int, int]) -> list[dict[str, Any]]:
    found = []
    for run in runs:
        steps, values = run.series(f"{names.SPECTRUM}/{layer}")
        curves = [
            (step, curve) for step, value in zip(steps, values, strict=True) if (curve := _whole(value))
        ]
        curves = [pair for pair in curves if len(pair[1]) == len(curves[-1][1])]
        if not curves:
            continue
        kept = [curves[i] for i in _evenly(len(curves), most)]
        places = _evenly(len(kept[0][1]), VALUES)
        table = np.array([curve for _, curve in kept])[:, places]
        found.append({
            "run": number[id(run)], "steps": [step for step, _ in kept],
            "places": [int(place) + 1 for place in places], "values": packed(table),
        })  # fmt: skip
    return found


def _whole(value: Any) -> list[float]:
    """A spectrum, largest first; empty where it is none, or not finite."""
    if not isinstance(value, list) or not all(isinstance(v, int | float) for v in value):
        return []
    curve = sorted(map(float, value), reverse=True)
    return curve if np.isfinite(curve).all() else []


def _evenly(count: int, most: int) -> np.ndarray:
    """At most so many of ``count`` places, from the first to the last.

    >>> _evenly(3, 5), _evenly(10, 4)
    (array([0, 1, 2]), array([0, 3, 6, 9]))
    """
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int))
