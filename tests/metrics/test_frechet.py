"""The Fréchet distance against torch-fidelity's and scipy's, which take other roads."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import Tensor
from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_features_to_statistics, fid_statistics_to_metric

from snlab.metrics.frechet import Moments, frechet_distance

LARGE = [pytest.param(2048, n, marks=pytest.mark.slow) for n in (2500, 2048, 1024)]
SIZES = [(64, 200), (64, 64), (64, 40), (512, 700), (512, 512), (512, 300), *LARGE]


def features(d: int, n: int, seed: int, shift: float = 0.0) -> Tensor:
    """n rectified features, correlated and of unequal scale, as a network's are."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(d, d, generator=torch.Generator().manual_seed(9)) / d**0.5
    return torch.relu(torch.randn(n, d, generator=generator) @ mixing * (1 + shift) + shift)


def distance(real: Tensor, fake: Tensor) -> float:
    return frechet_distance(Moments.of(real), Moments.of(fake))


def by_torch_fidelity(real: Tensor, fake: Tensor) -> float:
    moments = [fid_features_to_statistics(x) for x in (fake, real)]
    return fid_statistics_to_metric(*moments, verbose=False)[KEY_METRIC_FID]


def by_scipy(real: Tensor, fake: Tensor) -> float:
    """tr (C D)^½ is the sum of the singular values of A Bᵀ, where C = AᵀA and D = BᵀB: singular or not."""
    a, b = real.double().numpy(), fake.double().numpy()
    A, B = ((x - x.mean(0)) / (len(x) - 1) ** 0.5 for x in (a, b))
    root = scipy.linalg.svdvals(A @ B.T).sum()
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + (A**2).sum() + (B**2).sum() - 2 * root)


@pytest.mark.parametrize(("d", "n"), SIZES)
def test_it_is_torch_fidelitys_and_scipys(d, n):
    real, fake = features(d, n, 1), features(d, n, 2, shift=0.1)
    found = distance(real, fake)
    assert found == pytest.approx(by_torch_fidelity(real, fake), rel=1e-6)
    assert found == pytest.approx(by_scipy(real, fake), rel=1e-6)


@pytest.mark.parametrize(
    ("d", "n"), [(64, 200), (64, 64), (64, 40), (64, 2), (512, 700), (512, 300), LARGE[-1]]
)
def test_equal_data_are_at_no_distance(d, n):
    x = features(d, n, 1)
    assert abs(distance(x, x.flip(0))) < 1e-3


@pytest.mark.parametrize("n", [200, 40])
def test_a_generator_that_collapsed(n):
    """To one image, C' = 0: the distance is |m - m'|² + tr C. To a line, tr (C C')^½ is known too."""
    real, point = features(64, n, 1), features(64, 1, 2)
    mean, variance = real.double().mean(0), real.double().var(0)
    expected = float((mean - point).square().sum() + variance.sum())
    assert distance(real, point.expand(50, -1)) == pytest.approx(expected, rel=1e-9)
    direction = torch.linspace(-1, 1, 64, dtype=torch.float64)
    line = point + torch.linspace(-1, 1, 50, dtype=torch.float64)[:, None] * direction
    spread = torch.linspace(-1, 1, 50, dtype=torch.float64).var()  # C' = spread d dᵀ, of rank one
    covariance = torch.from_numpy(np.cov(real.double().numpy(), rowvar=False))
    root = (spread * (direction @ covariance @ direction)).sqrt()  # of C C', which has one eigenvalue
    expected = (mean - point).square().sum() + variance.sum() + spread * direction.square().sum() - 2 * root
    assert distance(real, line) == pytest.approx(float(expected), rel=1e-8)


def test_constant_features_among_others_change_nothing():
    real, fake = features(64, 200, 1), features(64, 200, 2, shift=0.1)
    wider = [torch.cat([x, torch.full((200, 3), 0.5)], 1) for x in (real, fake)]
    assert distance(*wider) == pytest.approx(distance(real, fake), rel=1e-9)
    assert distance(torch.ones(10, 4), torch.zeros(10, 4)) == pytest.approx(4)


def test_it_is_symmetric_and_of_double_precision():
    real, fake = features(64, 200, 1), features(64, 50, 2, shift=0.1)
    assert distance(real, fake) == pytest.approx(distance(fake, real), rel=1e-9)
    moments = Moments.of(real)
    assert moments.covariance.dtype == torch.float64
    np.testing.assert_allclose(moments.covariance, np.cov(real.double().numpy(), rowvar=False), rtol=1e-12)
