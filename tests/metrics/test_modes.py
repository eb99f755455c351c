from __future__ import annotations

import math

import pytest
import torch
from scipy import stats
from torch import Tensor

from snlab.core import names
from snlab.metrics.modes import high_quality_radius, modes

CENTRES = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]])


def numbers(samples: Tensor, centres: Tensor = CENTRES, std: float = 1.0) -> tuple[float, float, float]:
    found = modes(samples, centres, std)
    assert set(found) == {names.MODES_COVERED, names.MODES_HIGH_QUALITY, names.MODES_KL}
    return found[names.MODES_COVERED], found[names.MODES_HIGH_QUALITY], found[names.MODES_KL]


def test_one_sample_on_every_centre() -> None:
    assert numbers(CENTRES) == (4, 1, 0)


def test_collapse_to_one_mode_is_log_k_from_uniform() -> None:
    covered, good, kl = numbers(CENTRES[:1].repeat(7, 1))
    assert (covered, good) == (1, 1)
    assert kl == pytest.approx(math.log(4), abs=1e-12)


def test_kl_of_a_known_histogram() -> None:
    # 3 samples at one centre, 1 at another, none at the rest: shares 3/4 and 1/4 of 4 modes.
    _, _, kl = numbers(CENTRES[[0, 0, 0, 1]])
    assert kl == pytest.approx(0.75 * math.log(3) + 0.25 * math.log(1), abs=1e-12)


def test_three_standard_deviations_is_the_border_in_two_dimensions() -> None:
    inside, outside = [[2.999, 0.0], [10.0, 2.999]], [[3.001, 0.0], [5.0, 5.0]]
    covered, good, _ = numbers(torch.tensor(inside + outside))
    assert (covered, good) == (2, 0.5)
    assert numbers(torch.tensor(outside))[0] == 0


@pytest.mark.parametrize("dimension", [1, 2, 3, 16, 512])
def test_the_radius_holds_the_same_mass_in_every_dimension(dimension: int) -> None:
    radius = high_quality_radius(dimension, std=0.3)
    assert stats.chi(dimension).cdf(radius / 0.3) == pytest.approx(1 - math.exp(-4.5), rel=1e-10)


@pytest.mark.parametrize("dimension", [2, 32])
def test_the_mixture_itself_scores_what_it_should(dimension: int) -> None:
    generator = torch.Generator().manual_seed(0)
    centres = 20 * torch.randn(8, dimension, generator=generator)
    n, share = 20_000, 1 - math.exp(-4.5)
    which = torch.randint(8, (n,), generator=generator)
    samples = centres[which] + 0.5 * torch.randn(n, dimension, generator=generator)
    covered, good, kl = numbers(samples, centres, std=0.5)
    assert covered == 8
    assert abs(good - share) < 4 * math.sqrt(share * (1 - share) / n)  # four standard errors
    assert kl < stats.chi2(7).ppf(0.9999) / (2 * n * share)  # 2 n KL is chi squared with K - 1 degrees


def test_nothing_of_high_quality() -> None:
    covered, good, kl = numbers(torch.full((5, 2), 1e3))
    assert (covered, good) == (0, 0)
    assert math.isnan(kl)


def test_samples_that_are_not_finite_count_as_bad_ones() -> None:
    samples = torch.tensor([[0.0, 0.0], [math.nan, 0.0], [math.inf, 0.0], [10.0, 0.0]])
    assert numbers(samples)[:2] == (2, 0.5)


@pytest.mark.parametrize(
    ("samples", "std", "message"),
    [
        (torch.zeros(3, 5), 1.0, r"not \(3, 5\) and \(4, 2\)"),
        (torch.zeros(0, 2), 1.0, r"not \(0, 2\)"),
        (torch.zeros(3, 2), 0.0, "std must be positive, not 0.0"),
    ],
)
def test_bad_arguments(samples: Tensor, std: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        modes(samples, CENTRES, std)
