from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from snlab.results.spread import Spread


@pytest.mark.parametrize("n", [2, 5, 40])
def test_mean_std_and_interval_agree_with_numpy_and_scipy(n: int) -> None:
    values = np.random.default_rng(0).normal(30, 2, size=n)
    spread = Spread.of(values)
    assert spread.mean == pytest.approx(values.mean())
    assert spread.std == pytest.approx(values.std(ddof=1))
    wanted = stats.t.interval(0.95, n - 1, values.mean(), values.std(ddof=1) / math.sqrt(n))
    assert spread.interval == pytest.approx(wanted, rel=1e-12)


def test_missing_values_lower_n() -> None:
    assert Spread.of([1.0, math.nan, 3.0]) == Spread(2.0, pytest.approx(math.sqrt(2)), 2)
    assert math.isnan(Spread.of([1.0]).std)
    assert Spread.of([]).n == 0


def test_one_seed_overlaps_everything_and_tight_seeds_do_not() -> None:
    one, low, high = Spread.of([1e9]), Spread.of([1.0, 1.1, 0.9]), Spread.of([5.0, 5.1, 4.9])
    assert one.overlaps(low)
    assert not low.overlaps(high)
    assert not high.overlaps(low)
    assert Spread.of([1.0, 1.5]).overlaps(Spread.of([2.0, 2.5]))  # two seeds say little: 12.7 standard errors
