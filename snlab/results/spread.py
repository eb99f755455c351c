"""The mean of a few seeds, and how far it can be trusted."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Spread:
    """``n`` finite values: their mean, and their sample standard deviation (ddof 1; NaN for fewer than 2)."""

    mean: float
    std: float
    n: int

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """NaN, which stands for "not measured", is left out and lowers ``n``.

        >>> Spread.of([1.0, 3.0, float("nan")])
        Spread(mean=2.0, std=1.4142135623730951, n=2)
        """
        kept = np.array([value for value in values if math.isfinite(value)], dtype=float)
        mean = float(kept.mean()) if kept.size else math.nan
        return cls(mean, float(kept.std(ddof=1)) if kept.size > 1 else math.nan, int(kept.size))

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % t interval of the mean; for fewer than 2 values it is unbounded."""
        if self.n < 2:
            return -math.inf, math.inf
        from scipy import stats  # takes a second to import

        half = float(stats.t.ppf(0.975, self.n - 1)) * self.std / math.sqrt(self.n)
        return self.mean - half, self.mean + half

    def overlaps(self, other: Spread) -> bool:
        """Whether the two 95 % intervals share a point."""
        (low, high), (other_low, other_high) = self.interval, other.interval
        return low <= other_high and other_low <= high
