from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from snlab.core.errors import UserError
from snlab.data import DATASETS, DataSet, mixture

KINDS = [
    "mixture(kind=ring)",
    "mixture(kind=ring, modes=5, std=0.5, scale=1)",
    "mixture(kind=grid)",
    "mixture(kind=grid, modes=9)",
    "mixture(kind=random, dim=2)",
    "mixture(kind=random, dim=64, modes=3)",
    "mixture(kind=random, dim=512)",
]


@pytest.fixture(scope="module", params=KINDS)
def data(request: pytest.FixtureRequest) -> DataSet:
    return DATASETS.build(request.param)


def test_log_prob_is_scipys(data: DataSet) -> None:
    density = data.density
    x = torch.cat([data.heldout[:20], 3 * torch.randn(20, *data.sample_shape)]).double()
    each = [
        multivariate_normal(mean, density.std**2).logpdf(x.numpy()) for mean in density.modes.double().numpy()
    ]
    expected = logsumexp(each, axis=0) - math.log(len(each))
    ours = density.log_prob(x)
    assert ours.dtype == torch.float64
    np.testing.assert_allclose(ours.numpy(), expected, rtol=1e-12, atol=1e-10)


def test_log_prob_of_float32_is_float32_and_agrees(data: DataSet) -> None:
    x = data.heldout[:50]
    single = data.density.log_prob(x)
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), data.density.log_prob(x.double()), rtol=1e-4, atol=1e-4)


def test_the_density_has_a_gradient() -> None:
    x = mixture().heldout[:3].double().requires_grad_()
    assert torch.autograd.gradcheck(mixture().density.log_prob, x)


def test_samples_have_the_components_moments(data: DataSet) -> None:
    for k in range(data.classes):
        own = data.train[data.train_labels == k].double()
        n, std = len(own), data.density.std
        error = own.mean(0) - data.density.modes[k]
        assert error.abs().max() < 5.5 * std / n**0.5  # of up to 8 * 512 normal deviates
        spread = (own - data.density.modes[k]).square().mean()  # n * d draws of variance 2 std^4
        assert abs(spread / std**2 - 1) < 5 * (2 / own.numel()) ** 0.5


def test_components_are_equally_likely(data: DataSet) -> None:
    p, n = 1 / data.classes, len(data.train)
    assert (torch.bincount(data.train_labels) / n - p).abs().max() < 5 * (p * (1 - p) / n) ** 0.5


def test_the_ring() -> None:
    modes = mixture(kind="ring", scale=1.5).density.modes
    assert modes.shape == (8, 2)
    expected = [(1.5 * math.cos(2 * math.pi * k / 8), 1.5 * math.sin(2 * math.pi * k / 8)) for k in range(8)]
    np.testing.assert_allclose(modes.numpy(), expected, atol=1e-6)


def test_the_grid() -> None:
    modes = mixture(kind="grid").density.modes
    assert {tuple(m) for m in modes.tolist()} == {(x, y) for x in range(-2, 3) for y in range(-2, 3)}
    assert mixture(kind="grid", modes=1).density.modes.tolist() == [[0, 0]]


@pytest.mark.parametrize("kind", ["ring", "grid"])
def test_by_default_the_modes_stand_apart(kind: str) -> None:
    density = mixture(kind=kind).density
    nearest = torch.pdist(density.modes).min()
    assert nearest > 6 * density.std  # discs of 3 std about each centre do not meet


def test_the_seed_decides_centres_and_samples() -> None:
    first, same, other = (mixture(kind="random", dim=3, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first.train, same.train)
    assert torch.equal(first.density.modes, same.density.modes)
    assert not torch.equal(first.density.modes, other.density.modes)
    assert not torch.equal(mixture(seed=1).train, mixture(seed=2).train)


def test_size_leaves_the_distribution_alone() -> None:
    small, large = mixture(kind="random", size=40), mixture(kind="random", size=80)
    assert torch.equal(small.density.modes, large.density.modes)
    assert (len(small.train), len(small.heldout)) == (40, 10)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("kind=rnig", "unknown kind 'rnig'; did you mean 'ring'"),
        ("kind=3", "unknown kind 3; known: grid, random, ring"),
        ("kind=random, dim=1", "dim wants a whole number from 2 to 512, got 1"),
        ("kind=random, dim=513", "dim wants a whole number from 2 to 512, got 513"),
        ("kind=grid, dim=3", "a grid lies in dim=2, got dim=3; kind=random takes any dim"),
        ("kind=grid, modes=8", "a grid wants a square number of modes, got 8; 4 would do"),
        ("modes=0", "modes wants a whole number of at least 1, got 0"),
        ("modes=2.5", "modes wants a whole number of at least 1, got 2.5"),
        ("std=0", "std wants a finite number above 0, got 0"),
        ("std=wide", "std wants a finite number above 0, got 'wide'"),
        ("scale=-1", "scale wants a finite number above 0, got -1"),
        ("size=3", "size wants a whole number of at least 4, got 3"),
        ("seed=-1", "seed wants a whole number of at least 0, got -1"),
        ("mode=8", "has no option 'mode'; did you mean 'modes'"),
    ],
)
def test_a_bad_option_is_told_in_one_line(options: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        DATASETS.build(f"mixture({options})")
    assert message in str(error.value)
    assert "\n" not in str(error.value)
