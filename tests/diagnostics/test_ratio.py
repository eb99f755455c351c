"""Density ratio measures against closed forms, scikit-learn and scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression

from snlab.core import names
from snlab.diagnostics.ratio import calibration_error, platt, ratio

PLAIN = [
    names.LOG_MASS_FAKE,
    names.LOG_MASS_REAL,
    names.EFFECTIVE_SAMPLE_SIZE,
    names.ACCURACY_TRAIN,
    names.ACCURACY_HELDOUT,
    names.GENERALISATION_GAP,
    names.CALIBRATION_ERROR,
    names.SATURATION,
    names.JS_BOUND,
]


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class Gaussians:
    """q = N(m, I) against p = N(0, I) in ``dim`` dimensions, ‖m‖ = 1: log q - log p = m·x - 1/2."""

    def __init__(self, dim: int, n: int = 4000) -> None:
        mean = torch.full((dim,), dim**-0.5, dtype=torch.float64)

        def log_ratio(x):
            return x @ mean - 0.5

        self.train = log_ratio(normal(n, dim, seed=1) + mean)
        self.heldout = log_ratio(normal(n, dim, seed=2) + mean)
        self.fake = log_ratio(normal(n, dim, seed=3))


def log_mean_and_error(x: torch.Tensor) -> tuple[float, float]:
    """log of the mean of x, and its standard error by the delta method: std(x) / (mean(x) sqrt(n))."""
    return math.log(x.mean()), float(x.std() / x.mean() / math.sqrt(len(x)))


# ---- the exact ratio -------------------------------------------------------------------------------------


@pytest.mark.parametrize("dim", range(1, 11))
def test_the_exact_ratio_of_two_gaussians(dim):
    g = Gaussians(dim)
    values = ratio(g.train, g.heldout, g.fake, true_heldout=g.heldout, true_fake=g.fake)

    expected, error = log_mean_and_error(g.fake.exp())
    assert values["ratio/log_mass_fake"] == pytest.approx(expected, abs=1e-10)
    assert abs(values["ratio/log_mass_fake"]) < 4 * error
    expected, error = log_mean_and_error((-g.heldout).exp())
    assert values["ratio/log_mass_real"] == pytest.approx(expected, abs=1e-10)
    assert abs(values["ratio/log_mass_real"]) < 4 * error

    assert values["ratio/true_rmse"] == 0
    assert values["ratio/true_bias"] == 0
    assert values["ratio/true_correlation"] == pytest.approx(1, abs=1e-12)

    # E_p[r²] = exp(‖m‖²), so the effective sample size tends to exp(-1)
    r2 = (2 * g.fake).exp()
    spread = 4 * float(r2.std() / r2.mean() / math.sqrt(len(r2)))
    assert values["ratio/effective_sample_size"] == pytest.approx(math.exp(-1), rel=2 * spread)

    # the sign of m·x - 1/2 is right with probability Φ(1/2)
    right = 0.5 * (1 + math.erf(0.5 / math.sqrt(2)))
    error = math.sqrt(right * (1 - right) / 8000)
    assert values["ratio/accuracy_heldout"] == pytest.approx(right, abs=4 * error)
    assert values["ratio/accuracy_train"] == pytest.approx(right, abs=4 * error)
    assert abs(values["ratio/generalisation_gap"]) < 4 * math.sqrt(2) * error

    # 15 bins of calibrated probabilities: mean |share - p| of at most sqrt(p (1-p) / points) in each
    assert values["ratio/calibration_error"] < 2 * 0.5 * math.sqrt(15 / 8000)
    # calibration finds nothing to do: slope 1 and intercept 0, up to its own sampling error
    assert values["ratio/calibrated/true_rmse"] < 0.2


def test_a_ratio_off_by_a_constant_has_that_bias():
    g = Gaussians(3)
    values = ratio(g.train + 2, g.heldout + 2, g.fake + 2, true_heldout=g.heldout, true_fake=g.fake)
    assert values["ratio/true_bias"] == pytest.approx(2, abs=1e-12)
    assert values["ratio/true_rmse"] == pytest.approx(2, abs=1e-12)
    assert values["ratio/true_correlation"] == pytest.approx(1, abs=1e-12)
    exact = ratio(g.train, g.heldout, g.fake)
    assert values["ratio/log_mass_fake"] == pytest.approx(exact["ratio/log_mass_fake"] + 2, abs=1e-10)
    assert values["ratio/log_mass_real"] == pytest.approx(exact["ratio/log_mass_real"] - 2, abs=1e-10)
    assert values["ratio/calibration_error"] > 5 * exact["ratio/calibration_error"]


def test_the_js_bound_is_highest_for_the_exact_ratio():
    g = Gaussians(2)
    exact = ratio(g.train, g.heldout, g.fake)["ratio/js_bound"]
    d_real, d_fake = expit(g.heldout.numpy()), expit(g.fake.numpy())
    assert exact == pytest.approx(math.log(2) + (np.log(d_real).mean() + np.log(1 - d_fake).mean()) / 2)
    for change in (lambda f: f + 0.5, lambda f: 2 * f, lambda f: 0 * f):
        assert ratio(change(g.train), change(g.heldout), change(g.fake))["ratio/js_bound"] < exact


def test_equal_distributions_and_a_constant_discriminator():
    zero = torch.zeros(100)
    values = ratio(zero, zero, zero, previous_logits=zero)
    expected = dict.fromkeys(PLAIN, 0.0) | {
        names.EFFECTIVE_SAMPLE_SIZE: 1.0,
        names.ACCURACY_TRAIN: 0.5,
        names.ACCURACY_HELDOUT: 0.5,
        names.DRIFT: 0.0,
    }
    for name, value in expected.items():
        assert values[f"ratio/{name}"] == pytest.approx(value, abs=1e-12)
        assert values[f"ratio/calibrated/{name}"] == pytest.approx(value, abs=1e-9)


# ---- calibration error against scikit-learn ----------------------------------------------------------------


def expected_calibration_error(real: np.ndarray, fake: np.ndarray) -> float:
    """Written out over 15 closed-open bins, the last closed: each bin's share of reals by scikit-learn."""
    probability = expit(np.concatenate([real, fake]))
    label = np.concatenate([np.ones(len(real)), np.zeros(len(fake))])
    share, mean = calibration_curve(label, probability, n_bins=15, strategy="uniform")
    edges = np.linspace(0, 1, 16)
    counts, _ = np.histogram(probability, edges)  # the last bin is closed
    return float((counts[counts > 0] / len(label) * np.abs(share - mean)).sum())


@pytest.mark.parametrize("size", [0.1, 1, 5, 30, 40, 100, 1000])
@pytest.mark.parametrize("shift", [0.0, 2.0])
def test_calibration_error_at_every_size(size, shift):
    real, fake = (normal(200, seed=0) + shift) * size, (normal(200, seed=1) - shift) * size
    expected = expected_calibration_error(real.numpy(), fake.numpy())
    assert calibration_error(real, fake).item() == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("large", [36.0, 38.0, 1000.0])
def test_what_rounds_to_probability_1_shares_the_last_bin(large):
    """20 reals at probability 0.95 and a fake at nearly 1, or at 1 itself: 20/21 are real, as is said."""
    real = torch.full((20,), math.log(0.95 / 0.05), dtype=torch.float64)
    fake = torch.tensor([large], dtype=torch.float64)
    assert calibration_error(real, fake).item() == pytest.approx(0, abs=1e-12)


# ---- direction -------------------------------------------------------------------------------------------


def test_separated_supports_saturate():
    far = [
        ratio(*(normal(1000, seed=s) + sign * f for s, sign in ((0, 1), (1, 1), (2, -1)))) for f in (1, 5, 20)
    ]
    saturation = [values["ratio/saturation"] for values in far]
    assert saturation[0] < saturation[1] < saturation[2] == 1
    assert far[2]["ratio/accuracy_heldout"] == 1
    assert far[2]["ratio/js_bound"] == pytest.approx(math.log(2), abs=1e-6)
    assert far[0]["ratio/js_bound"] < far[1]["ratio/js_bound"] <= math.log(2)


def test_saturation_on_the_wrong_side_does_not_count():
    values = ratio(torch.full((10,), -9.0), torch.full((10,), -9.0), torch.full((10,), 9.0))
    assert values["ratio/saturation"] == 0
    assert values["ratio/accuracy_heldout"] == 0


def test_memorised_training_reals_open_the_gap():
    real, fake = normal(1000, seed=0), normal(1000, seed=1)
    values = ratio(normal(1000, seed=2).abs() + 1, real, fake)
    assert values["ratio/generalisation_gap"] == pytest.approx((1 - (real > 0).double().mean()) / 2)
    assert values["ratio/generalisation_gap"] > 0.2
    assert abs(ratio(normal(1000, seed=2), real, fake)["ratio/generalisation_gap"]) < 0.04


def test_training_reals_count_in_two_measures_alone():
    real, fake = normal(100, seed=0), normal(100, seed=1)
    one, other = ratio(real, real, fake), ratio(real + 1, real, fake)
    changed = {name.rsplit("/")[-1] for name in one if one[name] != other[name]}
    assert changed == {names.ACCURACY_TRAIN, names.GENERALISATION_GAP}


def test_effective_sample_size_by_hand():
    fake = torch.log(torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64))
    values = ratio(fake, fake, fake)
    assert values["ratio/effective_sample_size"] == pytest.approx(10**2 / (4 * 30), rel=1e-12)


def test_drift_by_hand():
    f = torch.zeros(4)
    values = ratio(f, f + 1, f, previous_logits=torch.tensor([1.0, 1.0, 1.0, 3.0]))
    assert values["ratio/drift"] == pytest.approx(1.0)
    assert "ratio/drift" not in ratio(f, f, f)


def test_the_longer_probe_is_cut_to_the_shorter():
    real, fake = normal(60, seed=0), normal(100, seed=1)
    assert ratio(real, real, fake) == ratio(real, real, fake[:60])


# ---- calibration -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (0.01, 3.0), (50.0, -200.0), (-2.0, 0.0)])
def test_platt_equals_scipys_minimum_and_scikit_learns(scale, shift):
    n_real, n_fake = 300, 200
    f = torch.cat([normal(n_real, seed=0) + 1, normal(n_fake, seed=1)]) * scale + shift
    labels = torch.cat([torch.ones(n_real), torch.zeros(n_fake)])
    slope, intercept = platt(f, labels)

    target = np.where(labels.numpy() > 0, (n_real + 1) / (n_real + 2), 1 / (n_fake + 2))
    z = (f.numpy() - shift) / scale  # the optimum in well-scaled units, then put back

    def loss(parameters):
        logit = parameters[0] * z + parameters[1]
        return (np.logaddexp(0, logit) - target * logit).sum()

    def gradient(parameters):
        error = expit(parameters[0] * z + parameters[1]) - target
        return np.array([error @ z, error.sum()])

    found = minimize(loss, np.zeros(2), jac=gradient, method="BFGS", options={"gtol": 1e-9}).x
    assert slope * scale == pytest.approx(found[0], rel=1e-6)
    assert intercept + slope * shift == pytest.approx(found[1], rel=1e-6, abs=1e-7)

    # A smoothed target is a sample seen twice, weighted, once with each label.
    twice, both = np.concatenate([z, z])[:, None], np.repeat([1, 0], len(z))
    weights = np.concatenate([target, 1 - target])
    model = LogisticRegression(C=np.inf, tol=1e-12, max_iter=1000).fit(twice, both, sample_weight=weights)
    assert slope * scale == pytest.approx(model.coef_[0, 0], rel=1e-5)
    assert intercept + slope * shift == pytest.approx(model.intercept_[0], rel=1e-5, abs=1e-5)


def test_platt_of_separable_logits_hits_the_smoothed_targets():
    f = torch.tensor([-1.0] * 8 + [1.0] * 8)
    slope, intercept = platt(f, (f > 0).float())
    assert expit(slope + intercept) == pytest.approx(9 / 10, abs=1e-9)
    assert expit(-slope + intercept) == pytest.approx(1 / 10, abs=1e-9)


def test_scaled_logits_are_calibrated_back():
    g = Gaussians(3, n=20000)
    slope, intercept = platt(
        torch.cat([g.heldout, g.fake]) * 5 + 3, torch.cat([torch.ones(20000), torch.zeros(20000)])
    )
    # The logistic fit's own standard error, from its Fisher information at the truth.
    design = torch.stack([torch.cat([g.heldout, g.fake]), torch.ones(40000)], dim=1)
    p = design[:, 0].sigmoid()
    error = torch.linalg.inv(design.T @ (design * (p * (1 - p))[:, None])).diagonal().sqrt()
    assert slope * 5 == pytest.approx(1, abs=4 * float(error[0]))
    assert intercept + slope * 3 == pytest.approx(0, abs=4 * float(error[1]))

    values = ratio(
        *(f * 5 + 3 for f in (g.train, g.heldout, g.fake)),
        previous_logits=g.heldout * 5 + 8,
        true_heldout=g.heldout,
        true_fake=g.fake,
    )
    assert values["ratio/true_rmse"] > 3
    assert values["ratio/calibrated/true_rmse"] < 0.1
    assert values["ratio/calibrated/calibration_error"] < 0.1 * values["ratio/calibration_error"]
    assert abs(values["ratio/calibrated/log_mass_fake"]) < 0.1 < values["ratio/log_mass_fake"]
    assert values["ratio/drift"] == pytest.approx(5, rel=1e-9)
    assert values["ratio/calibrated/drift"] == pytest.approx(1, abs=0.1)


def test_calibration_is_measured_on_points_that_it_was_not_fitted_to():
    real, fake = normal(50, seed=0) + 1, normal(50, seed=1)
    labels = torch.cat([torch.ones(25), torch.zeros(25)])
    slope, intercept = platt(torch.cat([real[::2], fake[::2]]), labels)
    expected = ratio(real, real[1::2] * slope + intercept, fake[1::2] * slope + intercept)
    values = ratio(real, real, fake)
    for name in (names.LOG_MASS_FAKE, names.LOG_MASS_REAL, names.JS_BOUND, names.CALIBRATION_ERROR):
        assert values[f"ratio/calibrated/{name}"] == pytest.approx(expected[f"ratio/{name}"], rel=1e-12)


def test_calibrated_measures_do_not_depend_on_the_logits_scale():
    g = Gaussians(2, n=500)
    one = ratio(g.train, g.heldout, g.fake)
    other = ratio(g.train * 7 - 3, g.heldout * 7 - 3, g.fake * 7 - 3)
    for name in PLAIN:
        key = f"ratio/calibrated/{name}"
        assert one[key] == pytest.approx(other[key], rel=1e-6, abs=1e-8)


# ---- logits of any size ----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1e2, 1e4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_huge_logits_stay_finite(size, dtype):
    real, fake = (normal(64, seed=0) + 1).to(dtype) * size, (normal(64, seed=1) - 1).to(dtype) * size
    values = ratio(real, real, fake, previous_logits=-real, true_heldout=real, true_fake=fake)
    assert all(math.isfinite(value) for value in values.values())
    # log mean exp is at most the maximum, and at least the maximum less log n
    assert float(fake.max()) - math.log(64) <= values["ratio/log_mass_fake"] <= float(fake.max())
    d_real, d_fake = -np.logaddexp(0, -real.double().numpy()), -np.logaddexp(0, fake.double().numpy())
    expected = math.log(2) + (d_real.mean() + d_fake.mean()) / 2
    assert values["ratio/js_bound"] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_logits_that_are_not_finite_give_not_a_number(value):
    real, fake = normal(64, seed=0), normal(64, seed=1)
    names_expected = set(ratio(real, real, fake, previous_logits=real))
    broken = fake.clone()
    broken[3] = value
    values = ratio(real, real, broken, previous_logits=real)
    assert set(values) == names_expected
    assert all(math.isnan(v) for v in values.values())


def test_every_value_is_a_plain_float():
    real, fake = normal(64, seed=0), normal(64, seed=1)
    values = ratio(real, real, fake, real, real, fake)
    assert {*PLAIN, "drift"} == set(names.RATIOS)
    assert all(type(value) is float for value in values.values())
    of_gradients = {name for name in names.TRUE_RATIOS if "gradient" in name}
    plain = {f"ratio/{name}" for name in {*names.RATIOS, *names.TRUE_RATIOS} - of_gradients}
    assert set(values) == plain | {name.replace("ratio/", "ratio/calibrated/") for name in plain}


@pytest.mark.parametrize(
    "arguments",
    [
        {"previous_logits": torch.zeros(5)},
        {"true_heldout": torch.zeros(4)},
        {"true_heldout": torch.zeros(4), "true_fake": torch.zeros(5)},
        {"fake_gradient": torch.zeros(4, 2)},
        {"fake_gradient": torch.zeros(4, 2), "true_fake_gradient": torch.zeros(5, 2)},
    ],
)
def test_numbers_that_do_not_belong_together_are_refused(arguments):
    f = torch.zeros(4)
    with pytest.raises(ValueError, match=r"go together|of the same samples"):
        ratio(f, f, f, **arguments)


def test_too_few_samples_are_refused():
    with pytest.raises(ValueError, match="at least 2"):
        ratio(torch.zeros(4), torch.zeros(1), torch.zeros(4))


def test_how_true_measures_behave_near_the_optimum():
    """What docs/metrics.md says of them: the correlation falls to 0, and a few points rule the error."""
    noise = 0.1 * normal(4000, seed=1)

    def measured(truth, f):
        half = len(truth) // 2
        found = ratio(f[:half], f[:half], f[half:], None, truth[:half], truth[half:])
        return found["ratio/true_rmse"], found["ratio/true_correlation"]

    truth = normal(4000, seed=2)
    far, near = (measured(scale * truth, scale * truth + noise) for scale in (1.0, 1e-3))
    assert far == (pytest.approx(0.1, rel=0.05), pytest.approx(1, abs=0.01))
    assert near == (pytest.approx(0.1, rel=0.05), pytest.approx(0, abs=0.05))  # as good an f
    truth[:20] = 100.0  # reals that the generator hardly reaches
    error, _ = measured(truth, torch.cat([torch.zeros(20, dtype=torch.float64), truth[20:]]))
    assert error == pytest.approx(100 * (20 / 4000) ** 0.5, rel=1e-6)  # all from one point in 200
