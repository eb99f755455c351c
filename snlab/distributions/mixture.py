"""Gaussian mixtures."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from snlab.core.checks import check_positive, check_whole
from snlab.core.errors import nearest
from snlab.distributions.distribution import DISTRIBUTIONS, Distribution, chosen

LARGEST_DIM = 512


class GaussianMixture(Distribution):
    """Gaussians of one standard deviation, round and equally likely: q(x) = mean over k of N(x; m_k, std² I).

    >>> q = GaussianMixture(torch.zeros(1, 2), std=1.0)
    >>> q.log_prob(torch.zeros(1, 2)).exp()  # 1 / (2 pi)
    tensor([0.1592])
    """

    modes: Tensor

    def __init__(self, modes: Tensor, std: float) -> None:
        """``modes`` holds the centres, (K, d)."""
        super().__init__()
        self.register_buffer("modes", modes, persistent=False)
        self.std = std
        self.dim = modes.shape[1]
        self.latent_dim = self.dim + (len(modes) > 1)  # the first says which mode

    def log_prob(self, x: Tensor) -> Tensor:
        """Log density (nats) at each row of x, (n, d) -> (n,), in the dtype and on the device of x."""
        modes = self.modes.to(x)
        count, dim = modes.shape
        squared = (x.unsqueeze(1) - modes).square().sum(2)  # (n, K)
        scaled = torch.logsumexp(-squared / (2 * self.std**2), dim=1)  # (n,)
        return scaled - math.log(count) - dim / 2 * math.log(2 * math.pi * self.std**2)

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """n samples (n, d) and the component that each comes from (n,)."""
        component = torch.randint(len(self.modes), (n,), generator=generator)
        noise = torch.randn(n, self.modes.shape[1], generator=generator)
        return self.modes[component] + self.std * noise, component

    def forward(self, z: Tensor) -> Tensor:
        return self.modes.to(z)[self.kinds(z)] + self.std * z[:, -self.dim :]

    def kinds(self, z: Tensor) -> Tensor:
        count = len(self.modes)
        if count == 1:
            return torch.zeros(len(z), dtype=torch.int64, device=z.device)
        return chosen(z[:, 0], z.new_full((count,), 1 / count))


@DISTRIBUTIONS.register("gaussian")
def gaussian(dim: int = 2, std: float = 1.0) -> GaussianMixture:
    """A round Gaussian about the origin."""
    check_whole("dim", dim, least=1)
    check_positive("std", std)
    return GaussianMixture(torch.zeros(1, dim), float(std))


# ---- where the modes lie --------------------------------------------------------------------------------


class Defaults(NamedTuple):
    modes: int
    std: float
    scale: float


KINDS = {
    "ring": Defaults(modes=8, std=0.2, scale=2.0),
    "grid": Defaults(modes=25, std=0.1, scale=2.0),
    "random": Defaults(modes=8, std=0.2, scale=1.0),
}


@DISTRIBUTIONS.register("mixture")
def gaussian_mixture(
    kind: str = "ring",
    modes: int | None = None,
    dim: int = 2,
    std: float | None = None,
    scale: float | None = None,
    seed: int = 0,
) -> GaussianMixture:
    """A Gaussian mixture: modes on a ring, on a grid, or anywhere in d dimensions.

    None takes the kind's own value: a ring of 8 (std 0.2, radius 2), a grid of 25 (std 0.1, from -2 to 2),
    8 random modes (std 0.2, scale 1).

    Args:
        kind: "ring", "grid" or "random".
        modes: how many; on a grid a square number.
        dim: 2 to 512; ring and grid lie in 2.
        std: standard deviation about each centre.
        scale: the ring's radius, half the grid's width, or the standard deviation of random centres.
        seed: of random centres.

    Raises:
        ValueError: for an unknown kind, or a value out of its range.
    """
    check_whole("seed", seed, least=0)
    return drawn_mixture(kind, modes, dim, std, scale, torch.Generator().manual_seed(seed))


def drawn_mixture(
    kind: str,
    modes: int | None,
    dim: int,
    std: float | None,
    scale: float | None,
    generator: torch.Generator,
) -> GaussianMixture:
    """``gaussian_mixture`` whose random centres are drawn from ``generator``."""
    if kind not in KINDS:
        raise ValueError(f"unknown kind {kind!r}; {nearest(str(kind), KINDS)}")
    default = KINDS[kind]
    modes = default.modes if modes is None else modes
    std = default.std if std is None else std
    scale = default.scale if scale is None else scale
    check_whole("modes", modes, least=1)
    check_whole("dim", dim, least=2, most=LARGEST_DIM)
    if dim != 2 and kind != "random":
        raise ValueError(f"a {kind} lies in dim=2, got dim={dim}; kind=random takes any dim")
    check_positive("std", std)
    check_positive("scale", scale)
    return GaussianMixture(_centres(kind, modes, dim, scale, generator), float(std))


def _centres(kind: str, modes: int, dim: int, scale: float, generator: torch.Generator) -> Tensor:
    if kind == "ring":
        angle = torch.arange(modes) * (2 * math.pi / modes)
        return scale * torch.stack([angle.cos(), angle.sin()], dim=1)
    if kind == "grid":
        side = math.isqrt(modes)
        if side**2 != modes:
            raise ValueError(f"a grid wants a square number of modes, got {modes}; {side**2} would do")
        along = torch.linspace(-scale, scale, side) if side > 1 else torch.zeros(1)
        return torch.cartesian_prod(along, along)
    return scale * torch.randn(modes, dim, generator=generator)
