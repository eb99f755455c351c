"""f against the true log ratio: closed forms, quadrature, coverage in simulation, a discriminator trained."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache, partial
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import binom, norm
from torch import Tensor

from snlab.core import names
from snlab.data.mixture import GaussianMixture
from snlab.diagnostics.gradient import logit_gradients
from snlab.diagnostics.ratio import ratio
from snlab.diagnostics.truth import gradient_truth, truth
from snlab.networks.mlp import discriminator

C = math.log(99)  # where clipped measures clip


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def floats(values: dict[str, Tensor]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items()}


# ---- the line: q = N(1, 1) against p = N(0, 1), so t = x - 1/2, and everything by quadrature ---------------


def true(x):
    return x - 0.5


def wrong(x):
    """A discriminator that is off in every way: by a factor, a constant, and a wave."""
    return 0.7 * x - 0.1 + 0.4 * np.sin(2 * x)


def mixture(x: float) -> float:
    return (norm.pdf(x, 1) + norm.pdf(x)) / 2


def cumulative(x: float) -> float:
    return (norm.cdf(x, 1) + norm.cdf(x)) / 2


BORDERS = [brentq(lambda x, a=a: cumulative(x) - a, -9, 9) for a in (0.1, 0.9)]  # t is monotone in x


def mean(g: Callable[[float], float], low: float = -9.0, high: float = 10.0) -> float:
    """Over the mixture, given that x is between ``low`` and ``high``."""
    mass = cumulative(high) - cumulative(low)
    parts = np.unique(np.clip([low, -4.095, 0, 1, 5.095, high], low, high))
    return sum(quad(lambda x: g(x) * mixture(x), a, b, epsabs=1e-11)[0] for a, b in pairwise(parts)) / mass


@cache
def by_quadrature(f: Callable[[float], float]) -> dict[str, float]:
    def divergence(x):
        d, e = expit(true(x)), expit(f(x))
        return d * math.log(d / e) + (1 - d) * math.log((1 - d) / (1 - e))

    def error(x):
        return f(x) - true(x)

    def clipped(x):
        return np.clip(f(x), -C, C) - np.clip(true(x), -C, C)

    found = {
        "true_excess_loss": 2 * mean(divergence),
        "true_js": (
            quad(lambda x: norm.pdf(x, 1) * math.log(norm.pdf(x, 1) / mixture(x)), -9, 10)[0]
            + quad(lambda x: norm.pdf(x) * math.log(norm.pdf(x) / mixture(x)), -9, 10)[0]
        )
        / 2,
    }
    regions = {"": (-9.0, 10.0), "_fake_tail": (-9.0, BORDERS[0]), "_real_tail": (BORDERS[1], 10.0)}
    for name, ends in {**regions, "_between": tuple(BORDERS)}.items():
        found[f"true_bias{name}"] = mean(error, *ends)
        found[f"true_rmse{name}"] = math.sqrt(mean(lambda x: error(x) ** 2, *ends))
    found["true_bias_clipped"] = mean(clipped)
    found["true_rmse_clipped"] = math.sqrt(mean(lambda x: clipped(x) ** 2))
    mean_f, mean_t = mean(f), mean(true)
    covariance = mean(lambda x: (f(x) - mean_f) * (true(x) - mean_t))
    var_f, var_t = mean(lambda x: (f(x) - mean_f) ** 2), mean(lambda x: (true(x) - mean_t) ** 2)
    found["true_slope"] = covariance / var_t
    found["true_intercept"] = mean_f - found["true_slope"] * mean_t
    found["true_correlation"] = covariance / math.sqrt(var_f * var_t)
    return found


def line(n: int, seed: int = 0) -> Tensor:
    """n reals and n fakes, (2, n)."""
    return normal(2, n, seed=seed) + torch.tensor([[1.0], [0.0]])


def on_line(n: int, seed: int, f: Callable = wrong) -> dict[str, float]:
    x = line(n, seed)
    return floats(truth(torch.from_numpy(f(x.numpy())), true(x)))


def test_every_measure_equals_quadrature():
    expected, found = by_quadrature(wrong), on_line(200_000, seed=1)
    assert set(found) == set(expected) | {f"{name}_se" for name in expected}
    for name, value in expected.items():
        assert abs(found[name] - value) < 4 * found[f"{name}_se"], name
        assert found[f"{name}_se"] < 0.02, name


def test_standard_errors_cover_at_their_nominal_rate():
    """95 % intervals of 200 samples, of 250 reals and 250 fakes each; what a binomial variable allows."""
    expected, repetitions = by_quadrature(wrong), 200
    found = [on_line(250, seed) for seed in range(repetitions)]
    low, high = binom.ppf([0.001, 0.999], repetitions, 0.95)
    for name, value in expected.items():
        covered = sum(abs(one[name] - value) < 1.96 * one[f"{name}_se"] for one in found)
        assert low <= covered <= high, (name, covered)


def test_errors_of_the_gradient_cover_too():
    """Of f = w (x) against t = m·x - 1/2 in 2-d, with ∇f at fakes from N(0, I)."""
    m, repetitions, n = torch.tensor([1.0, 0.0], dtype=torch.float64), 200, 250
    base = normal(2000, 2, seed=999)

    def gradient(x):
        return torch.stack([0.8 + 0.3 * torch.sin(x[:, 0]), 0.5 * x[:, 1]], dim=1)

    many = normal(4_000_000, 2, seed=998)
    g = gradient(many)
    cosine, error = float((g[:, 0] / g.norm(dim=1)).mean()), float((g - m).square().sum(1).mean().sqrt())
    low, high = binom.ppf([0.001, 0.999], repetitions, 0.95)
    found = [
        floats(gradient_truth(gradient(x), m.expand(n, 2)))
        for x in (normal(n, 2, seed=seed) for seed in range(repetitions))
    ]
    for name, value in (("true_gradient_cosine", cosine), ("true_gradient_error", error)):
        covered = sum(abs(one[name] - value) < 1.96 * one[f"{name}_se"] for one in found)
        assert low <= covered <= high, (name, covered)
    assert floats(gradient_truth(gradient(base), gradient(base)))["true_gradient_error"] == 0


# ---- the optimum -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dim", [1, 2, 32])
def test_with_the_exact_log_ratio_every_error_is_0_and_the_slope_1(dim):
    """q and p a unit apart, whose Jensen-Shannon divergence is that of the line in any dimension."""
    q, p = (GaussianMixture(torch.full((1, dim), m * dim**-0.5).double(), 1.0) for m in (1.0, 0.0))
    generator = torch.Generator().manual_seed(dim)
    train, heldout, fake = (one.sample(4000, generator)[0].double() for one in (q, q, p))

    def f(x: Tensor) -> Tensor:
        return q.log_prob(x) - p.log_prob(x)

    x = fake.requires_grad_()
    (gradient,) = torch.autograd.grad(f(x).sum(), x)
    values = ratio(
        *(f(part).detach() for part in (train, heldout, fake)),
        None,
        f(heldout),
        f(fake).detach(),
        gradient,
        gradient,
    )
    plain = {name: values[f"ratio/{name}"] for name in names.TRUE_RATIOS}
    ones = {"true_slope", "true_correlation", "true_gradient_cosine"}
    for name in names.TRUE_RATIOS:
        if name != "true_js" and name != "true_js_se":
            assert plain[name] == pytest.approx(float(name in ones), abs=1e-12), name
    exact = by_quadrature(true)["true_js"]
    assert abs(plain["true_js"] - exact) < 4 * plain["true_js_se"] < 0.02
    # The logistic fit is off by its own sampling error, 2 parameters: its excess loss is about 2 / (2 n).
    assert values["ratio/calibrated/true_excess_loss"] < 10 / 4000
    assert values["ratio/calibrated/true_slope"] == pytest.approx(1, abs=0.2)


def test_the_divergence_of_two_gaussians_far_and_near():
    """log 2 where the supports are apart, and d²/8 to the leading order where they all but meet."""
    for distance in (0.02, 40.0):
        x = normal(2, 4000) + torch.tensor([[distance], [0.0]])
        found = floats(truth(x, distance * x - distance**2 / 2))
        expected = distance**2 / 8 if distance < 1 else math.log(2)
        assert found["true_js"] == pytest.approx(expected, rel=0.01)


def test_a_constant_logit_of_0_loses_twice_the_divergence():
    x = line(500)
    found = floats(truth(torch.zeros_like(x), true(x)))
    assert found["true_excess_loss"] == pytest.approx(2 * found["true_js"], rel=1e-12)
    assert found["true_slope"] == 0
    assert found["true_intercept"] == 0


def test_the_excess_is_that_of_the_standard_loss():
    from snlab.losses import standard_discriminator

    x = line(200_000, seed=3)
    f, t = torch.from_numpy(wrong(x.numpy())), true(x)
    plain = standard_discriminator(f[0], f[1]) - standard_discriminator(t[0], t[1])
    terms = torch.stack([F.softplus(-f[0]) - F.softplus(-t[0]), F.softplus(f[1]) - F.softplus(t[1])])
    error = math.sqrt(float(terms.var(1).sum()) / x.shape[1])
    found = floats(truth(f, t))
    assert abs(found["true_excess_loss"] - float(plain)) < 4 * error
    assert found["true_excess_loss_se"] < error  # for which the label is averaged out


# ---- regions ---------------------------------------------------------------------------------------------


def test_an_error_shows_in_its_region_alone():
    t = torch.linspace(-10, 10, 200, dtype=torch.float64).view(2, 100)
    high = t.flatten().sort().values[-20]
    found = floats(truth(t + 3.0 * (t >= high), t))
    assert found["true_rmse_real_tail"] == pytest.approx(3)
    assert found["true_bias_real_tail"] == pytest.approx(3)
    for region in ("between", "fake_tail"):
        assert found[f"true_rmse_{region}"] == found[f"true_bias_{region}"] == 0
    assert found["true_rmse"] == pytest.approx(3 * math.sqrt(0.1))
    assert found["true_rmse_clipped"] == 0  # all of it beyond what is certain


def test_a_mode_that_is_missed_leaves_every_number_finite():
    q = GaussianMixture(torch.tensor([[0.0, 0.0], [100.0, 0.0]]).double(), 0.1)
    p = GaussianMixture(torch.zeros(1, 2).double(), 0.1)
    generator = torch.Generator().manual_seed(0)
    x = torch.stack([one.sample(256, generator)[0].double() for one in (q, p)])
    t = q.log_prob(x.view(-1, 2)).view(2, -1) - p.log_prob(x.view(-1, 2)).view(2, -1)
    assert t.max() > 1e5
    found = floats(truth(t.clamp(-5, 5), t))
    assert all(math.isfinite(value) for value in found.values())
    assert found["true_rmse_real_tail"] > 1e5
    assert found["true_excess_loss"] < 0.01  # a probability of 0.993 where it is 1
    assert found["true_rmse_clipped"] == 0
    assert found["true_rmse_fake_tail"] == 0


@pytest.mark.parametrize("far", [math.inf, 1e30])
def test_a_truth_without_bound_leaves_what_has_bounds(far):
    x = line(100)
    t = true(x)
    t[0, :30] = far  # more than all of the reals' tail
    found = floats(truth(true(x), t))
    for name in ("excess_loss", "js", "rmse_clipped", "bias_clipped", "rmse_fake_tail"):
        assert math.isfinite(found[f"true_{name}"]), name
        assert math.isfinite(found[f"true_{name}_se"]), name


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("far", [1000.0, 1e30])
def test_logits_far_out_overflow_nothing(dtype, far):
    x = line(128).to(dtype)
    f = x.sign() * far
    gradient = torch.ones(128, 2, dtype=dtype)
    values = ratio(f[0], f[0], f[1], f[0], true(x)[0], true(x)[1], gradient, 1000 * gradient)
    assert all(math.isfinite(value) for value in values.values())
    assert 0 < values["ratio/true_js"] < math.log(2)
    wrong_side = (x.double() * true(x).double() < 0).double().mean()
    assert values["ratio/true_excess_loss"] > 0.1 * far * float(wrong_side)
    assert values["ratio/true_rmse_clipped"] < 2 * C


@pytest.mark.parametrize("n", [2, 4, 5])
def test_the_smallest_probes(n):
    x = line(n)
    values = ratio(x[0], x[0], x[1], None, true(x)[0], true(x)[1])
    assert all(math.isfinite(values[f"ratio/{name}"]) for name in names.TRUE_RATIOS if "gradient" not in name)


def test_where_both_are_the_same_a_slope_is_not_a_number():
    zero = torch.zeros(2, 50, dtype=torch.float64)
    found = floats(truth(normal(2, 50), zero))
    assert math.isnan(found["true_slope"])
    assert found["true_js"] == 0
    assert math.isfinite(found["true_rmse_real_tail"])


# ---- the gradient ----------------------------------------------------------------------------------------


def test_the_gradient_by_hand():
    t = torch.tensor([[2.0, 0.0], [0.0, 1.0], [0.0, 0.0]], dtype=torch.float64)
    f = torch.tensor([[3.0, 0.0], [1.0, 1.0], [0.0, 5.0]], dtype=torch.float64)
    found = floats(gradient_truth(f, t))
    assert found["true_gradient_cosine"] == pytest.approx((1 + 0.5**0.5) / 2)
    assert found["true_gradient_error"] == pytest.approx(math.sqrt((1 + 1 + 25) / 5))


def test_a_gradient_of_the_wrong_sign_scale_or_none():
    t = normal(100, 3, 2)
    expected = {1.0: (1, 0), -2.0: (-1, 3), 0.5: (1, 0.5), 0.0: (0, 1)}
    for scale, (cosine, error) in expected.items():
        found = floats(gradient_truth(scale * t, t))
        assert found["true_gradient_cosine"] == pytest.approx(cosine, abs=1e-12)
        assert found["true_gradient_error"] == pytest.approx(error, abs=1e-12)


def test_calibration_scales_the_gradient_back():
    x = line(4000)
    f, t = 5 * true(x) + 3, true(x)
    one = torch.ones(4000, 1, dtype=torch.float64)
    values = ratio(f[0], f[0], f[1], None, t[0], t[1], 5 * one, one)
    assert values["ratio/true_gradient_error"] == pytest.approx(4)
    assert values["ratio/calibrated/true_gradient_error"] < 0.1
    assert values["ratio/calibrated/true_excess_loss"] < 0.01 < values["ratio/true_excess_loss"]


# ---- trained ---------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_trained_on_two_gaussians_until_converged_a_discriminator_finds_the_ratio():
    torch.manual_seed(0)
    q, p = (GaussianMixture(torch.tensor([[m, 0.0]]), 1.0) for m in (1.0, 0.0))
    f, stream = discriminator(2, 128, 3), torch.Generator().manual_seed(1)
    updates = 400
    optimizer = torch.optim.Adam(f.parameters(), 3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, updates)
    for _ in range(updates):
        real, fake = (one.sample(256, stream)[0] for one in (q, p))
        optimizer.zero_grad()
        (F.softplus(-f(real)).mean() + F.softplus(f(fake)).mean()).backward()
        optimizer.step()
        schedule.step()

    def log_ratio(x: Tensor) -> Tensor:
        return q.log_prob(x.double()) - p.log_prob(x.double())

    train, heldout, fake = (one.sample(5000, stream)[0] for one in (q, q, p))
    logits = partial(logit_gradients, f)
    x = fake.double().requires_grad_()
    (exact,) = torch.autograd.grad(log_ratio(x).sum(), x)
    found = ratio(
        *(logits(part)[0] for part in (train, heldout, fake)), None,
        log_ratio(heldout), log_ratio(fake), logits(fake)[1], exact,
    )  # fmt: skip
    assert found["ratio/true_rmse"] < 0.15
    assert found["ratio/true_excess_loss"] < 0.005
    assert found["ratio/true_slope"] == pytest.approx(1, abs=0.05)
    assert found["ratio/true_gradient_cosine"] > 0.95
