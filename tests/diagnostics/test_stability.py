"""Stability against scipy and an analysis of variance written out."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
import torch
from scipy.stats import f_oneway, spearmanr
from torch import Tensor

from snlab.diagnostics.stability import stability


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def noisy(k: int, n: int, noise: float, seed: int = 0) -> Tensor:
    """n points that differ with variance 1, measured k times with ``noise`` as standard deviation, (k, n)."""
    return normal(n, seed=seed) + noise * normal(k, n, seed=seed + 1)


@pytest.mark.parametrize(("k", "n"), [(2, 2), (2, 50), (7, 33)])
@pytest.mark.parametrize("ties", [False, True])
def test_rank_correlation_is_scipys_over_all_pairs(k, n, ties):
    history = noisy(k, n, 1.0)
    history = (2 * history).round() if ties and n > 2 else history
    expected = np.mean([spearmanr(a, b).statistic for a, b in combinations(history.numpy(), 2)])
    assert stability(history)["ratio/rank_correlation"] == pytest.approx(expected, abs=1e-12)


def test_variance_is_numpys():
    history = noisy(5, 40, 0.3)
    expected = history.numpy().var(axis=0, ddof=1).mean()
    assert stability(history)["ratio/variance"] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("noise", [0.1, 1.0, 3.0])
def test_instability_is_that_of_an_analysis_of_variance(noise):
    """With F = B / W: 1 - ICC(1) = k / (F + k - 1) (Shrout & Fleiss 1979); its share in the population."""
    k, history = 6, noisy(6, 4000, noise)
    found = stability(history)["ratio/instability"]
    assert found == pytest.approx(k / (f_oneway(*history.T.numpy()).statistic + k - 1), rel=1e-9)
    assert found == pytest.approx(noise**2 / (1 + noise**2), rel=0.1)


def test_instability_does_not_depend_on_the_scale_of_f():
    history = noisy(4, 100, 0.5)
    one, other = stability(history), stability(1000 * history - 7000)
    for name in ("instability", "rank_correlation"):
        assert one[f"ratio/{name}"] == pytest.approx(other[f"ratio/{name}"], rel=1e-9)
    assert other["ratio/variance"] == pytest.approx(1e6 * one["ratio/variance"], rel=1e-9)


def test_what_stands_still_and_what_forgets():
    still = stability(normal(50).expand(10, 50))
    assert still == pytest.approx(
        {"ratio/variance": 0, "ratio/rank_correlation": 1, "ratio/sign_flips": 0, "ratio/instability": 0},
        abs=1e-12,
    )
    forgets = stability(normal(10, 4000))
    assert forgets["ratio/instability"] == pytest.approx(1, abs=0.05)
    assert forgets["ratio/rank_correlation"] == pytest.approx(0, abs=0.05)
    assert forgets["ratio/sign_flips"] == pytest.approx(1 - 2 * 0.5**10, abs=0.01)


def test_a_shift_of_all_points_leaves_their_order():
    shifts = torch.tensor([0.0, 5.0, -5.0], dtype=torch.float64)[:, None]
    found = stability(normal(100) + shifts)
    assert found["ratio/rank_correlation"] == pytest.approx(1)
    assert found["ratio/variance"] == pytest.approx(25)
    assert found["ratio/instability"] > 0.9


def test_sign_flips_by_hand():
    history = torch.tensor([[1.0, -1.0, 2.0, 0.0], [2.0, 1.0, 3.0, -1.0], [1.0, -1.0, 9.0, -2.0]])
    assert stability(history)["ratio/sign_flips"] == 0.25  # f at 0 is no real, as for the accuracy


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_logits_far_out(dtype):
    history = (1000 * noisy(5, 60, 0.1).sign()).to(dtype)
    assert all(math.isfinite(value) for value in stability(history).values())


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_logits_that_are_not_finite_give_not_a_number(value):
    history = normal(3, 20)
    history[1, 4] = value
    assert all(math.isnan(found) for found in stability(history).values())


def test_one_measurement_is_refused():
    with pytest.raises(ValueError, match="at least 2"):
        stability(normal(1, 20))
