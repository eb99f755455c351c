"""Lines, spheres and a Swiss roll with Gaussian noise about them: supports all but disjoint as it goes to 0.

A sample is a uniform point of the manifold and noise of standard deviation ε in every one of the d
directions. The density is that of their sum, in closed form: of intervals by the normal distribution
function, of spheres by Bessel functions. The logarithm is taken before anything can underflow, in float64.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from snlab.core.checks import check_positive, check_whole
from snlab.distributions.distribution import DISTRIBUTIONS, Distribution, uniform
from snlab.distributions.mixture import LARGEST_DIM


class Manifold(Distribution):
    """A uniform point of a manifold in the first ``inner`` directions, and noise in all of them.

    Args:
        inner: dimension of the space that the manifold itself lies in.
        dim: of a sample.
        epsilon: the noise's standard deviation.
        latents: how many latents say which point of the manifold.
    """

    def __init__(self, inner: int, dim: int, epsilon: float, latents: int) -> None:
        super().__init__()
        check_whole("dim", dim, least=inner, most=LARGEST_DIM)
        check_positive("epsilon", epsilon)
        self.inner = inner
        self.dim = dim
        self.epsilon = float(epsilon)
        self.latent_dim = latents + dim

    @abstractmethod
    def point(self, z: Tensor) -> Tensor:
        """Points of the manifold, (n, inner), of as many latents as it takes, (n, latents)."""

    @abstractmethod
    def inner_log_prob(self, y: Tensor) -> Tensor:
        """Log density of points with noise, (n, inner) -> (n,), float64."""

    def forward(self, z: Tensor) -> Tensor:
        point = self.point(z[:, : self.latent_dim - self.dim])
        rest = z.new_zeros(len(z), self.dim - self.inner)
        return torch.cat((point, rest), 1) + self.epsilon * z[:, -self.dim :]

    def log_prob(self, x: Tensor) -> Tensor:
        y, rest = x.double().split((self.inner, self.dim - self.inner), dim=1)
        return (self.inner_log_prob(y) + log_normal(rest, self.epsilon)).to(x.dtype)


class Line(Manifold):
    """A segment from -length / 2 to length / 2 on the first axis."""

    def __init__(self, dim: int, epsilon: float, length: float) -> None:
        super().__init__(1, dim, epsilon, latents=1)
        self.length = length

    def point(self, z: Tensor) -> Tensor:
        return self.length * (uniform(z) - 0.5)

    def inner_log_prob(self, y: Tensor) -> Tensor:
        return log_interval(y[:, 0], self.length, self.epsilon)


class Sphere(Manifold):
    """The circle or the sphere about the origin, in the first two or three directions."""

    def __init__(self, dim: int, epsilon: float, radius: float, intrinsic: int) -> None:
        super().__init__(intrinsic + 1, dim, epsilon, latents=intrinsic + 1)
        self.radius = radius

    def point(self, z: Tensor) -> Tensor:
        return self.radius * z / z.norm(dim=1, keepdim=True)

    def inner_log_prob(self, y: Tensor) -> Tensor:
        """That of noise at the sphere's nearest point, times exp(-κ) and the mean of exp(κ cos) over it.

        κ = ‖y‖ radius / ε². The mean is I_0(κ) on a circle and sinh(κ) / κ on a sphere: the normalising
        constants of the von Mises and the Fisher distribution (Mardia and Jupp 2000, sections 3.5 and 9.3).
        """
        norm = y.norm(dim=1)
        kappa = norm * self.radius / self.epsilon**2
        log_mean = torch.special.i0e(kappa).log() if self.inner == 2 else log_sinhc_scaled(kappa)
        scale = self.inner / 2 * math.log(2 * math.pi * self.epsilon**2)
        return log_mean - (norm - self.radius).square() / (2 * self.epsilon**2) - scale


TURNS = (0.75, 2.25)  # of the roll's spiral, from the inside out: 1.5 π to 4.5 π, as is usual
CHORDS = 240  # that the spiral is made of; none is further than 2e-4 from the arc that it stands for


class SwissRoll(Manifold):
    """A spiral of outer radius 1 in the first two directions, -1 to 1 wide in the third.

    The spiral is a chain of ``CHORDS`` straight chords, so that the density is exact for any noise, near and
    far; a sample is as likely on one piece of it as on any other of the same area.
    """

    starts: Tensor
    chords: Tensor

    def __init__(self, dim: int, epsilon: float) -> None:
        super().__init__(3, dim, epsilon, latents=2)
        turns = torch.linspace(*TURNS, CHORDS + 1, dtype=torch.float64)
        angle = 2 * math.pi * turns
        corners = torch.stack((turns * angle.cos(), turns * angle.sin()), 1) / TURNS[1]  # (CHORDS + 1, 2)
        self.register_buffer("starts", corners[:-1], persistent=False)
        self.register_buffer("chords", corners.diff(dim=0), persistent=False)

    def point(self, z: Tensor) -> Tensor:
        along, across = uniform(z).unbind(1)
        lengths = self.chords.norm(dim=1).to(z)
        ends = lengths.cumsum(0)
        place = along * ends[-1]
        chord = torch.searchsorted(ends[:-1].contiguous(), place.contiguous(), right=True)
        part = 1 - (ends[chord] - place) / lengths[chord]
        spiral = self.starts.to(z)[chord] + part[:, None] * self.chords.to(z)[chord]
        return torch.cat((spiral, 2 * across[:, None] - 1), 1)

    def inner_log_prob(self, y: Tensor) -> Tensor:
        starts, chords = self.starts.to(y), self.chords.to(y)  # (M, 2)
        lengths = chords.norm(dim=1)
        along = chords / lengths[:, None]
        across = torch.stack((-along[:, 1], along[:, 0]), 1)
        from_start = y[:, None, :2] - starts  # (n, M, 2)
        on = (from_start * along).sum(2) - lengths / 2  # (n, M), from the chord's middle
        off = (from_start * across).sum(2)
        each = log_interval(on, lengths, self.epsilon) + log_normal(off[..., None], self.epsilon)
        spiral = (each + (lengths / lengths.sum()).log()).logsumexp(1)
        return spiral + log_interval(y[:, 2], 2.0, self.epsilon)


# ---- their names ----------------------------------------------------------------------------------------


@DISTRIBUTIONS.register("line")
def line(dim: int = 2, epsilon: float = 0.1, length: float = 2.0) -> Line:
    """A segment of a line with noise about it."""
    check_positive("length", length)
    return Line(dim, epsilon, length)


@DISTRIBUTIONS.register("sphere")
def sphere(dim: int = 3, epsilon: float = 0.1, radius: float = 1.0, intrinsic: int = 2) -> Sphere:
    """A sphere, or with intrinsic=1 a circle, with noise about it."""
    check_positive("radius", radius)
    check_whole("intrinsic", intrinsic, least=1, most=2)
    return Sphere(dim, epsilon, radius, intrinsic)


@DISTRIBUTIONS.register("swiss_roll")
def swiss_roll(dim: int = 3, epsilon: float = 0.05) -> SwissRoll:
    """A Swiss roll with noise about it."""
    return SwissRoll(dim, epsilon)


# ---- logarithms that neither overflow nor underflow -----------------------------------------------------


def log_normal(x: Tensor, std: float) -> Tensor:
    """Log density of N(0, std² I) at the last dimension of x, (..., k) -> (...); 0 where k is 0."""
    return -x.square().sum(-1) / (2 * std**2) - x.shape[-1] / 2 * math.log(2 * math.pi * std**2)


def log_interval(x: Tensor, length: Tensor | float, std: float) -> Tensor:
    """Log density at x of a uniform number in ±length / 2 and normal noise of ``std``; in the shape of x."""
    far = x.abs()  # the density is even; from this side both terms are small, and neither is lost
    upper, lower = (length / 2 - far) / std, (-length / 2 - far) / std
    log_upper = log_normal_cdf(upper)
    share = log_normal_cdf(lower) - log_upper  # log of what is beyond, as a share
    # φ / Φ is above -u everywhere, so the share is below this; far out rounding leaves no other trace of it.
    share = torch.minimum(share, -(length / std) * (-upper).clamp(min=0))
    log_length = length.log() if isinstance(length, Tensor) else math.log(length)
    return log_upper + (-torch.expm1(share)).log() - log_length


class LogNormalCDF(torch.autograd.Function):
    """log Φ(u), whose gradient φ / Φ torch's own ``log_ndtr`` loses below some -10^3: it becomes infinite."""

    @staticmethod
    def forward(ctx: Any, u: Tensor) -> Tensor:
        ctx.save_for_backward(u)
        return torch.special.log_ndtr(u)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (u,) = ctx.saved_tensors
        return gradient * math.sqrt(2 / math.pi) / torch.special.erfcx(-u / math.sqrt(2))


def log_normal_cdf(u: Tensor) -> Tensor:
    """Log of the standard normal distribution function, in the shape of u; once differentiable."""
    return cast(Tensor, LogNormalCDF.apply(u))


def log_sinhc_scaled(kappa: Tensor) -> Tensor:
    """log(exp(-κ) sinh(κ) / κ) for κ of at least 0, in the shape of κ; 0 at 0."""
    small = kappa < 1e-3
    safe = torch.where(small, torch.ones_like(kappa), kappa)  # no gradient comes from what is not taken
    series = kappa.square() / 6 - kappa  # less 1e-14
    return torch.where(small, series, (-torch.expm1(-2 * safe)).log() - (2 * safe).log())
