"""Curves for the page: what was logged, thinned to what a screen can show without losing an extreme."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from snlab.core import names
from snlab.results.figures.style import finite
from snlab.results.spread import Spread
from snlab.tracking.run_folder import Run

BUDGET = 1_400_000  # numbers in all curves of a page: 7.5 MB as they are written
FEWEST, MOST = 16, 1_000  # points of one curve
CLOCK_POINTS = 200


class Curves:
    """The curves of several runs, and the few different lists of updates that they share.

    A curve of at most ``points`` measurements is given whole. A longer one is cut into buckets of equally
    many updates, the same for every run; of each stay its last measurement, at its own update, and the lowest
    and the highest value.
    """

    def __init__(self, points: int, updates: int) -> None:
        """``updates`` is the length of the longest run."""
        self.points = points
        self.updates = updates
        self.grids: list[list[int]] = []
        self.longest = 0  # the most measurements that any one curve had
        self.thinned = False
        self._known: dict[bytes, int] = {}

    def curve(self, run: Run, name: str) -> dict[str, Any] | None:
        """One logged scalar as ``{grid, last}``, with ``low`` and ``high`` where it was thinned.

        Values are float32, little-endian, in base64. None where nothing finite was logged.
        """
        found = finite(run, name)
        if found is None:
            return None
        steps, values = found
        self.longest = max(self.longest, len(steps))
        if len(steps) <= self.points:
            return {"grid": self._grid(steps), "last": packed(values)}
        self.thinned = True
        ends = bucket_ends(steps, -(-max(self.updates, int(steps[-1])) // self.points))
        starts = np.concatenate([[0], ends[:-1] + 1])
        return {
            "grid": self._grid(steps[ends]),
            "last": packed(values[ends]),
            "low": packed(np.minimum.reduceat(values, starts)),
            "high": packed(np.maximum.reduceat(values, starts)),
        }

    def _grid(self, steps: np.ndarray) -> int:
        key = np.ascontiguousarray(steps, dtype=np.int64).tobytes()
        if key not in self._known:
            self._known[key] = len(self.grids)
            self.grids.append([int(step) for step in steps])
        return self._known[key]


def bucket_ends(steps: np.ndarray, width: int) -> np.ndarray:
    """Where in ascending ``steps`` each bucket of ``width`` updates ends; (0, width] is the first.

    >>> bucket_ends(np.array([0, 1, 2, 3, 4, 5, 9]), 2)
    array([0, 2, 4, 5, 6])
    """
    buckets = -(-steps // width)
    return np.flatnonzero(np.append(np.diff(buckets) > 0, True))


def points_for(curves: int) -> int:
    """How many points each of so many curves may have: three numbers each, where it is thinned."""
    return int(np.clip(BUDGET // (3 * max(curves, 1)), FEWEST, MOST))


def packed(values: Any) -> str:
    """Numbers as float32, little-endian, in base64."""
    return base64.b64encode(np.asarray(values, dtype="<f4").tobytes()).decode("ascii")


def scalars(run: Run) -> list[str]:
    """The names under which a run logged numbers, in order of first appearance."""
    return [name for name in run.names() if not name.startswith(f"{names.SPECTRUM}/")]


def clock(run: Run) -> dict[str, list[float]] | None:
    """Updates and the seconds of wall time at which each was measured, from the logged speed.

    The speed leaves measurements out, and their share of wall time stands beside it: wall time is training
    time over one less that share. None where the speed was not logged.
    """
    speed, share = (finite(run, name) for name in (names.GENERATOR_STEPS_PER_SECOND, names.DIAGNOSTICS_SHARE))
    if speed is None or share is None or not np.array_equal(speed[0], share[0]) or (speed[1] <= 0).any():
        return None
    steps, rates = speed
    training = np.cumsum(np.diff(steps, prepend=0) / rates)
    seconds = np.maximum.accumulate(training / np.clip(1 - share[1], 1e-9, 1))
    ends = bucket_ends(steps, max(1, int(steps[-1]) // CLOCK_POINTS))
    return {
        "steps": [0, *map(int, steps[ends])],
        "seconds": [0.0, *(round(float(second), 3) for second in seconds[ends])],
    }


def t_factors(most: int) -> list[float | None]:
    """What the standard deviation of n values is multiplied by for half their mean's 95 % interval, by n."""
    factors: list[float | None] = [None, None]
    for n in range(2, most + 1):
        unit = Spread(0.0, 1.0, n)
        factors.append(unit.interval[1])
    return factors
