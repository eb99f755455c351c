"""Handwritten digits taken as what a Gaussian mixture fitted to them is: images whose density is known."""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

from snlab.core.checks import check_positive
from snlab.distributions.distribution import DISTRIBUTIONS, Distribution, chosen

SIDE = 8  # of the images


class DigitsMixture(Distribution):
    """A Gaussian for each digit: the mean and the covariance of its images, and noise of ε in each pixel.

    Of up to four Gaussians a digit, one had the largest held-out likelihood at ε = 0.1.
    """

    shares: Tensor
    means: Tensor
    factors: Tensor

    def __init__(self, epsilon: float) -> None:
        super().__init__()
        self.dim = SIDE**2
        self.latent_dim = self.dim + 1  # the first says which digit
        shares, means, covariances = _moments()
        noise = epsilon**2 * torch.eye(self.dim, dtype=torch.float64)
        self.register_buffer("shares", shares, persistent=False)  # (10,)
        self.register_buffer("means", means, persistent=False)  # (10, 64)
        factors = torch.linalg.cholesky(covariances + noise)
        self.register_buffer("factors", factors, persistent=False)  # (10, 64, 64), lower triangular

    def log_prob(self, x: Tensor) -> Tensor:
        shares, means, factors = (buffer.to(x.device) for buffer in (self.shares, self.means, self.factors))
        away = (x.flatten(1).double() - means[:, None]).transpose(1, 2)  # (10, 64, n)
        white = torch.linalg.solve_triangular(factors, away, upper=False)
        volume = factors.diagonal(dim1=1, dim2=2).log().sum(1) + self.dim / 2 * math.log(2 * math.pi)
        each = (shares.log() - volume)[:, None] - white.square().sum(1) / 2  # (10, n)
        return each.logsumexp(0).to(x.dtype)

    def forward(self, z: Tensor) -> Tensor:
        digit, rest = self.kinds(z), z[:, 1:]
        x = torch.zeros_like(rest)
        for k, (mean, factor) in enumerate(zip(self.means.to(z), self.factors.to(z), strict=True)):
            x = torch.where((digit == k)[:, None], mean + rest @ factor.T, x)  # no factor is copied n times
        return x

    def kinds(self, z: Tensor) -> Tensor:
        return chosen(z[:, 0], self.shares)


@DISTRIBUTIONS.register("digits_mixture")
def digits_mixture(epsilon: float = 0.1) -> DigitsMixture:
    """A Gaussian for each digit of 8 x 8 pixels, with noise of epsilon in each, as vectors of 64.

    Fitted to all 1,797 images of :func:`sklearn.datasets.load_digits`, scaled to [-1, 1].
    """
    check_positive("epsilon", epsilon)
    return DigitsMixture(epsilon)


@cache
def _moments() -> tuple[Tensor, Tensor, Tensor]:
    """Shares (10,), means (10, 64) and covariances (10, 64, 64) of the digits' images, float64."""
    from sklearn.datasets import load_digits  # here: it takes a second, and the others do without

    bunch = load_digits()
    images = torch.from_numpy(bunch.data) / 8 - 1  # (1797, 64), from 0..16
    labels = torch.from_numpy(bunch.target)
    each = [images[labels == digit] for digit in range(10)]
    shares = torch.tensor([len(x) / len(images) for x in each], dtype=torch.float64)
    means = torch.stack([x.mean(0) for x in each])
    return shares, means, torch.stack([torch.cov(x.T, correction=0) for x in each])
