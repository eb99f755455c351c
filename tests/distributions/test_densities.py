"""Every density against what a density is: it integrates to 1, and is that of the samples."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import integrate, special, stats
from torch import Tensor

from snlab.distributions import DISTRIBUTIONS, Distribution, Moved
from snlab.distributions.distribution import chosen
from snlab.distributions.manifold import log_normal_cdf

EACH = [
    *("gaussian(dim=1)", "gaussian(dim=7, std=0.3)", "mixture(kind=ring)", "mixture(kind=grid, modes=100)"),
    *("mixture(kind=random, dim=64)", "mixture(kind=random, dim=512, std=1)"),
    *("line(dim=1)", "line(dim=2, epsilon=0.001)", "line(dim=512, epsilon=0.3, length=5)"),
    *("sphere(dim=2, intrinsic=1)", "sphere(dim=3, epsilon=0.01)", "sphere(dim=64, epsilon=0.5, radius=2)"),
    *("swiss_roll", "swiss_roll(epsilon=0.001)", "swiss_roll(dim=100, epsilon=0.2)"),
    *("digits_mixture", "digits_mixture(epsilon=0.5)"),
]


def value(density: Distribution, *point: float) -> float:
    return density.log_prob(torch.tensor([point], dtype=torch.float64)).exp().item()


# ---- they integrate to 1 --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["gaussian(dim=1)", "line(dim=1)", "line(dim=1, epsilon=0.01, length=0.3)"])
def test_in_one_dimension_they_integrate_to_1(name: str) -> None:
    density = DISTRIBUTIONS.build(name)
    mass, error = integrate.quad(lambda x: value(density, x), -9, 9, points=[-1, 0, 1], limit=500)
    assert error < 1e-6
    assert mass == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(
    "name",
    [
        *("gaussian(std=0.7)", "mixture(kind=ring)", "mixture(kind=ring, modes=100, std=0.05)"),
        *("mixture(kind=grid)", "line(epsilon=0.1)", "sphere(dim=2, intrinsic=1)"),
        "sphere(dim=2, intrinsic=1, epsilon=0.5, radius=0.3)",
    ],
)
def test_in_two_dimensions_they_integrate_to_1(name: str) -> None:
    density = Moved(DISTRIBUTIONS.build(name), shift=0.5, scale=1.5)
    axis = torch.linspace(-7, 7, 281, dtype=torch.float64)  # 0.05 apart, of what is at least 0.075 wide
    mass = density.log_prob(torch.cartesian_prod(axis, axis)).exp().sum() * 0.05**2
    assert mass.item() == pytest.approx(1, abs=1e-6)  # the trapezoidal rule is as exact as that for Gaussians


def test_the_roll_integrates_to_1() -> None:
    density = DISTRIBUTIONS.build("swiss_roll(epsilon=0.1)")
    x, z = torch.cartesian_prod(*[torch.linspace(-1.6, 1.6, 65, dtype=torch.float64)] * 2).unbind(1)
    middle = torch.stack((x, z, torch.zeros_like(x)), 1)
    mass = density.log_prob(middle).exp().sum() * 0.05**2
    across, _ = integrate.quad(lambda y: value(density, 0.0, 0.3, y), -2, 2, points=[-1, 1])
    middle_value = value(density, 0.0, 0.3, 0.0)  # of a product of two
    assert mass.item() * across / middle_value == pytest.approx(1, abs=1e-6)


# ---- against outside references -------------------------------------------------------------------------


@pytest.mark.parametrize("epsilon", [1e-3, 0.1, 3.0])
def test_a_line_is_the_integral_along_it(epsilon: float) -> None:
    density = DISTRIBUTIONS.build(f"line(dim=2, epsilon={epsilon}, length=1.5)")
    for x, y in [(0.0, 0.0), (0.75, 0.5 * epsilon), (0.75 + 2 * epsilon, -epsilon), (-0.3, 2 * epsilon)]:
        near = [t for t in (x - 8 * epsilon, x, x + 8 * epsilon) if -0.75 < t < 0.75]
        along, _ = integrate.quad(
            stats.norm(x, epsilon).pdf, -0.75, 0.75, points=near or None, epsabs=0, epsrel=1e-10
        )
        expected = along / 1.5 * stats.norm(0, epsilon).pdf(y)
        assert value(density, x, y) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("epsilon", [0.02, 0.3, 3.0])
def test_a_circle_is_the_integral_around_it(epsilon: float) -> None:
    density = DISTRIBUTIONS.build(f"sphere(dim=2, intrinsic=1, epsilon={epsilon}, radius=1.3)")
    for x, y in [(0.0, 0.0), (1.3, 0.0), (0.9, -0.9), (0.1, 0.2), (1.5, 0.3)]:
        angle = math.atan2(y, x)

        def around(t: float, x: float = x, y: float = y) -> float:
            away = (x - 1.3 * math.cos(t)) ** 2 + (y - 1.3 * math.sin(t)) ** 2
            return math.exp(-away / (2 * epsilon**2)) / (2 * math.pi * epsilon**2) / (2 * math.pi)

        expected, _ = integrate.quad(
            around, angle - math.pi, angle + math.pi, points=[angle], epsabs=0, epsrel=1e-10, limit=500
        )
        if expected > 1e-290:
            assert value(density, x, y) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("epsilon", [0.05, 0.3, 30.0])
def test_a_sphere_is_the_integral_over_it(epsilon: float) -> None:
    density = DISTRIBUTIONS.build(f"sphere(dim=4, epsilon={epsilon}, radius=0.8)")
    for norm in (0.0, 1e-6, 0.4, 0.8, 1.1):

        def over(cos: float, norm: float = norm) -> float:  # by Archimedes, the cosine is uniform
            return math.exp(-(norm**2 + 0.64 - 1.6 * norm * cos) / (2 * epsilon**2)) / 2

        integral, _ = integrate.quad(over, -1, 1, points=[0.9], epsabs=0, epsrel=1e-10)
        expected = integral / (2 * math.pi * epsilon**2) ** 1.5 * stats.norm(0, epsilon).pdf(0.1)
        direction = np.array([2.0, -1.0, 2.0]) / 3
        assert value(density, *(norm * direction), 0.1) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("epsilon", [0.02, 0.1, 1.0])
def test_a_roll_is_the_integral_over_it(epsilon: float) -> None:
    density = DISTRIBUTIONS.build(f"swiss_roll(dim=3, epsilon={epsilon})")
    # The spiral itself, not its chords, with many nodes: by arc length, r = 1 / 3 to 1.
    angle = np.linspace(1.5 * math.pi, 4.5 * math.pi, 400_001)
    curve = np.stack([angle * np.cos(angle), angle * np.sin(angle)], 1) / (4.5 * math.pi)
    speed = np.sqrt(1 + angle**2)
    for x, y, z in [(0.2, 0.1, 0.3), (0.0, 1.0, 1.0), (-0.6, -0.5, 0.3), (0.0, 0.0, 0.0)]:
        away = ((curve - [x, z]) ** 2).sum(1)
        nearest = away.min()
        kernel = np.exp((nearest - away) / (2 * epsilon**2)) * speed
        spiral = integrate.simpson(kernel, x=angle) / integrate.simpson(speed, x=angle)
        expected = math.log(spiral) - nearest / (2 * epsilon**2) - math.log(2 * math.pi * epsilon**2)
        width = stats.norm(y, epsilon).cdf(1) - stats.norm(y, epsilon).cdf(-1)
        expected += math.log(width / 2)
        found = density.log_prob(torch.tensor([[x, z, y]], dtype=torch.float64)).item()
        moved = 2 * math.sqrt(nearest) * 3e-4 / (2 * epsilon**2)  # by as much as a chord is beside its arc
        assert abs(found - expected) < 1e-4 + moved


def test_the_roll_is_the_sum_of_its_chords_by_quadrature() -> None:
    density = DISTRIBUTIONS.build("swiss_roll(epsilon=0.05)")
    lengths = density.chords.norm(dim=1)
    nodes, weights = special.roots_legendre(12)
    parts = torch.from_numpy((nodes + 1) / 2)
    places = density.starts[:, None] + parts[:, None] * density.chords[:, None]  # (M, 12, 2)
    share = (lengths / lengths.sum())[:, None] * torch.from_numpy(weights / 2)
    for x, z in [(0.2, 0.3), (0.9, 0.2), (-0.5, 0.0)]:
        away = (places - torch.tensor([x, z], dtype=torch.float64)).square().sum(2)
        spiral = (share * (-away / (2 * 0.05**2)).exp()).sum() / (2 * math.pi * 0.05**2)
        width = stats.norm(0.95, 0.05).cdf(1) - stats.norm(0.95, 0.05).cdf(-1)
        assert value(density, x, z, 0.95) == pytest.approx(spiral.item() * width / 2, rel=1e-6)


def test_the_digits_are_scipys_mixture_of_their_moments() -> None:
    from sklearn.datasets import load_digits

    density = DISTRIBUTIONS.build("digits_mixture(epsilon=0.2)")
    images, labels = load_digits(return_X_y=True)
    images = images / 8 - 1
    x = np.concatenate([images[:20], np.zeros((1, 64)), 3 * np.ones((1, 64))])
    each = []
    for digit in range(10):
        own = images[labels == digit]
        covariance = np.cov(own.T, bias=True) + 0.04 * np.eye(64)
        normal = stats.multivariate_normal(own.mean(0), covariance)
        each.append(normal.logpdf(x) + math.log(len(own) / len(images)))
    expected = special.logsumexp(each, axis=0)
    np.testing.assert_allclose(density.log_prob(torch.from_numpy(x)).numpy(), expected, rtol=1e-10)


# ---- of all ---------------------------------------------------------------------------------------------


@pytest.fixture(params=EACH)
def density(request: pytest.FixtureRequest) -> Distribution:
    return DISTRIBUTIONS.build(request.param)


def test_samples_of_latents_are_those_of_the_density(density: Distribution) -> None:
    """Of samples x of q, the mean of q(x - step) / q(x) is 1: of those of another density it is not."""
    generator = torch.Generator().manual_seed(1)
    z = torch.randn(4000, density.latent_dim, generator=generator, dtype=torch.float64)
    x = density(z)
    assert x.shape == (4000, density.dim)
    again, _ = density.sample(4000, torch.Generator().manual_seed(2))
    p = stats.ks_2samp(density.log_prob(x).numpy(), density.log_prob(again.double()).numpy()).pvalue
    assert p > 1e-4
    step = 0.3 * getattr(density, "epsilon", getattr(density, "std", 0.3)) / density.dim**0.5
    moved = (density.log_prob(x - step) - density.log_prob(x)).exp()
    error = moved.std() / len(x) ** 0.5
    assert abs(moved.mean() - 1) < 5 * error
    assert error < 0.02


def test_it_has_a_gradient(density: Distribution) -> None:
    generator = torch.Generator().manual_seed(3)
    x = density.sample(3, generator)[0].double()
    x = (x + 0.1 * torch.randn(x.shape, generator=generator, dtype=torch.float64)).requires_grad_()
    (gradient,) = torch.autograd.grad(density.log_prob(x).sum(), x)
    step = 1e-6 * torch.randn(x.shape, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        difference = (density.log_prob(x + step) - density.log_prob(x - step)) / 2
    torch.testing.assert_close((gradient * step).sum(1), difference, rtol=1e-4, atol=1e-8)


def test_far_out_it_is_finite_and_so_is_its_gradient(density: Distribution) -> None:
    for size in (1e2, 1e5, 1e30):  # and about as far as float32 goes
        direction = torch.randn(4, density.dim, generator=torch.Generator().manual_seed(4)).double()
        x = torch.cat((size * direction, torch.zeros(1, density.dim).double())).requires_grad_()
        log_density = density.log_prob(x)
        (gradient,) = torch.autograd.grad(log_density.sum(), x)
        assert log_density.isfinite().all()
        assert gradient.isfinite().all()
        assert (log_density[:4] < -1e2).all()
        assert ((gradient * x)[:4].sum(1) < 0).all()  # it points back


def test_float32_is_that_of_float64(density: Distribution) -> None:
    x, _ = density.sample(50, torch.Generator().manual_seed(5))
    single, double = density.log_prob(x), density.log_prob(x.double())
    assert (single.dtype, double.dtype) == (torch.float32, torch.float64)
    torch.testing.assert_close(single.double(), double, rtol=1e-4, atol=1e-4)


def test_a_seed_decides_the_samples(density: Distribution) -> None:
    first, same, other = (density.sample(6, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first[0], same[0])
    assert not torch.equal(first[0], other[0])
    assert first[0].dtype == torch.float32


# ---- moved, and chosen ----------------------------------------------------------------------------------


def test_moved_is_the_change_of_variables() -> None:
    inner = DISTRIBUTIONS.build("mixture(kind=random, dim=4)")
    moved = Moved(inner, shift=2.0, scale=0.5)
    x = torch.randn(9, 4).double()
    expected = inner.log_prob((x - 1.0) / 0.5) - 4 * math.log(0.5)  # 2 along the diagonal of R^4 is 1 in each
    torch.testing.assert_close(moved.log_prob(x), expected, rtol=1e-12, atol=1e-12)
    z = torch.randn(9, moved.latent_dim)
    torch.testing.assert_close(moved(z), 0.5 * inner(z) + 1.0)


def test_a_unit_apart_is_a_unit() -> None:
    for dim in (2, 512):
        moved = Moved(DISTRIBUTIONS.build(f"gaussian(dim={dim})"), shift=1.0)
        assert moved(torch.zeros(1, dim)).norm().item() == pytest.approx(1)


def test_kinds_have_their_shares() -> None:
    shares = torch.tensor([0.2, 0.0, 0.5, 0.3])
    n = 100_000
    kinds: Tensor = chosen(torch.randn(n, generator=torch.Generator().manual_seed(0)), shares)
    found = torch.bincount(kinds, minlength=4) / n
    assert (found - shares).abs().max() < 5 * (0.25 / n) ** 0.5
    extremes = torch.tensor([-math.inf, -40.0, 40.0, math.inf])
    assert chosen(extremes, shares).tolist() == [0, 0, 3, 3]


def test_the_roll_s_chords_are_close_to_its_arcs() -> None:
    density = DISTRIBUTIONS.build("swiss_roll")
    middles = density.starts + density.chords / 2
    angle = torch.linspace(1.5 * math.pi, 4.5 * math.pi, 480_001, dtype=torch.float64)
    curve = torch.stack([angle * angle.cos(), angle * angle.sin()], 1) / (4.5 * math.pi)
    for i, middle in enumerate(middles):  # 2,000 points of the curve a chord
        near = curve[2000 * i + 900 : 2000 * i + 1100]
        assert (near - middle).norm(dim=1).min() < 2e-4


def test_the_normal_distribution_function_s_slope_is_right_far_out() -> None:
    u = torch.tensor([-1e30, -1e8, -1e4, -300.0, -5.0, -0.3, 0.0, 2.0, 50.0], dtype=torch.float64)
    u.requires_grad_()
    value = log_normal_cdf(u)
    (slope,) = torch.autograd.grad(value.sum(), u)
    np.testing.assert_allclose(value.detach().numpy(), special.log_ndtr(u.detach().numpy()), rtol=1e-12)
    x = u.detach().numpy()
    far, near = x[:4], x[4:]
    np.testing.assert_allclose(slope[:4].numpy(), -far - 1 / far, rtol=1e-8)  # and 2 / u³ less
    np.testing.assert_allclose(slope[4:].numpy(), stats.norm.pdf(near) / stats.norm.cdf(near), rtol=1e-10)
