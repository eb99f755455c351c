from __future__ import annotations

import math

import pytest
import torch
from scipy import stats
from torch import Tensor

from snlab.core import names
from snlab.distributions import DISTRIBUTIONS, GaussianMixture
from snlab.metrics.modes import dropped_mass, high_quality_radius, modes

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


# ---- more modes than a ring or a grid has by default ----------------------------------------------------


@pytest.mark.parametrize("mixture", ["kind=ring, modes=100, std=0.02", "kind=grid, modes=100, std=0.05"])
def test_a_hundred_modes_are_told_apart(mixture: str) -> None:
    density = DISTRIBUTIONS.build(f"mixture({mixture})")
    assert isinstance(density, GaussianMixture)
    samples, kinds = density.sample(5000, torch.Generator().manual_seed(0))
    covered, good, kl = numbers(samples, density.modes, density.std)
    assert covered == 100
    assert good > 0.98
    assert kl < stats.chi2(99).ppf(0.9999) / (2 * 5000 * good)
    ninety, _, _ = numbers(samples[kinds < 90], density.modes, density.std)
    assert ninety == 90


# ---- dropped mass ---------------------------------------------------------------------------------------


def dropped(log_q: Tensor, log_p: Tensor) -> tuple[float, float]:
    found = dropped_mass(log_q, log_p)
    assert set(found) == {names.MODES_DROPPED_MASS, f"{names.MODES_DROPPED_MASS}_{names.STANDARD_ERROR}"}
    return found[names.MODES_DROPPED_MASS], found[f"{names.MODES_DROPPED_MASS}_{names.STANDARD_ERROR}"]


def test_a_hundredth_is_the_border() -> None:
    log_q = torch.zeros(4)
    log_p = torch.tensor([0.0, -math.log(100) + 1e-3, -math.log(100) - 1e-3, -1e4])
    assert dropped(log_q, log_p)[0] == 0.5


def test_a_narrower_gaussian_drops_the_tails() -> None:
    """log q - log p of N(0, 1) to N(0, s²) is log s + x² (1/s² - 1) / 2: above log 100 beyond some |x|."""
    s, n = 0.4, 20_000
    q = DISTRIBUTIONS.build("gaussian(dim=1)")
    p = DISTRIBUTIONS.build(f"gaussian(dim=1, std={s})")
    x = q.sample(n, torch.Generator().manual_seed(0))[0].double()
    border = math.sqrt(2 * (math.log(100) - math.log(s)) / (1 / s**2 - 1))
    expected = 2 * stats.norm.sf(border)
    share, error = dropped(q.log_prob(x), p.log_prob(x))
    assert expected > 0.1
    assert abs(share - expected) < 4 * error
    assert error == pytest.approx(math.sqrt(expected * (1 - expected) / n), rel=0.05)


def test_a_mode_left_out_is_its_share() -> None:
    ring = DISTRIBUTIONS.build("mixture(kind=ring)")
    five = GaussianMixture(ring.modes[:5], ring.std)
    x = ring.sample(8000, torch.Generator().manual_seed(0))[0].double()
    share, error = dropped(ring.log_prob(x), five.log_prob(x))
    assert abs(share - 3 / 8) < 4 * error
    assert dropped(ring.log_prob(x), ring.log_prob(x))[0] == 0


@pytest.mark.parametrize("share", [0.01, 0.4])
def test_its_standard_error_covers_at_its_rate(share: float) -> None:
    generator = torch.Generator().manual_seed(0)
    inside = 0
    for _ in range(200):
        log_p = torch.where(torch.rand(2500, generator=generator) < share, -10.0, 0.0)
        found, error = dropped(torch.zeros(2500), log_p)
        inside += abs(found - share) < 1.96 * error
    assert 1e-3 < stats.binom(200, 0.95).cdf(inside) < 1 - 1e-3


def test_none_and_all_have_an_error_too() -> None:
    for log_p, share in ((torch.zeros(98), 0.0), (torch.full((98,), -math.inf), 1.0)):
        found, error = dropped(torch.zeros(98), log_p)
        assert found == share
        assert error == pytest.approx(math.sqrt(0.01 * 0.99 / 98))


def test_what_is_no_number_is_told_so() -> None:
    share, error = dropped(torch.zeros(3), torch.tensor([0.0, math.nan, 0.0]))
    assert math.isnan(share)
    assert math.isnan(error)


@pytest.mark.parametrize(("n", "m"), [(3, 4), (0, 0)])
def test_log_densities_of_other_samples_are_refused(n: int, m: int) -> None:
    with pytest.raises(ValueError, match=rf"\({n},\) and \({m},\)"):
        dropped_mass(torch.zeros(n), torch.zeros(m))
