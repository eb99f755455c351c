"""The Fréchet distance between Gaussians (Dowson & Landau 1982; Heusel et al. 2017), on any device."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Moments(NamedTuple):
    """Of n features: the mean (d,) and the unbiased covariance (d, d), float64."""

    mean: Tensor
    covariance: Tensor
    n: int

    @classmethod
    def of(cls, features: Tensor) -> Moments:
        """Moments of ``features`` (n, d), of any float dtype, on their device; n is at least 2."""
        x = features.double()
        mean = x.mean(0)
        centred = x - mean
        return cls(mean, centred.mT @ centred / (len(x) - 1), len(x))


def frechet_distance(real: Moments, fake: Moments) -> float:
    """|m - m'|² + tr C + tr C' - 2 tr (C C')^½; near 0, of either sign, for equal moments.

    The last trace is that of the square root of the symmetric Lᵀ C' L, where C = L Lᵀ by Cholesky: its
    eigenvalues are those of C C'. Where a covariance has not full rank (too few samples, constant features,
    a generator that collapsed) it is the sum of the singular values of S'ᵀ S instead: S, with S Sᵀ = C, has
    as many columns as C has eigenvalues above rounding, of which no square root is taken.

    Args:
        real: of one side.
        fake: of the other, of as many dimensions.

    Raises:
        torch.linalg.LinAlgError: a moment is not finite, or an eigenvalue solver does not converge.
    """
    difference = (real.mean - fake.mean).square().sum()
    traces = real.covariance.trace() + fake.covariance.trace()
    return float(difference + traces - 2 * _trace_of_root(real, fake))


def _trace_of_root(real: Moments, fake: Moments) -> Tensor:
    """tr (C C')^½."""
    for one, other in ((real, fake), (fake, real)):
        if min(one.n, other.n) <= len(one.mean):
            break  # of a covariance without full rank, Cholesky's last pivots are rounding
        factor, failed = torch.linalg.cholesky_ex(one.covariance)
        if not failed:
            products = factor.mT @ other.covariance @ factor
            return torch.linalg.eigvalsh(products).clamp(min=0).sqrt().sum()
    return torch.linalg.svdvals(_root(fake.covariance).mT @ _root(real.covariance)).sum()


def _root(covariance: Tensor) -> Tensor:
    """S (d, r) with S Sᵀ = ``covariance`` (d, d), of rank r but for rounding."""
    values, vectors = torch.linalg.eigh(covariance)
    rounding = values.abs().max() * len(values) * torch.finfo(values.dtype).eps
    kept = values > rounding
    return vectors[:, kept] * values[kept].sqrt()
