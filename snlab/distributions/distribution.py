"""What a distribution of known density is, and the names that distributions go by."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from snlab.core.registry import Registry


class Distribution(nn.Module, ABC):
    """A distribution on R^dim whose density is known, as a map of standard normal latents.

    Its tensors are buffers and follow a module that holds it to its device; nothing in it is trained.
    """

    dim: int
    """Of a sample."""
    latent_dim: int
    """Of the standard normal latents that a sample is made of."""

    @abstractmethod
    def log_prob(self, x: Tensor) -> Tensor:
        """Log density (nats) at each row of x, (n, dim) -> (n,), differentiable, in the dtype of x."""

    @abstractmethod
    def forward(self, z: Tensor) -> Tensor:
        """Samples (n, dim) of standard normal latents (n, latent_dim), the same of the same."""

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
        """n samples, float32 (n, dim), and what kind each is of, int64 (n,), where there are kinds."""
        z = torch.randn(n, self.latent_dim, generator=generator, dtype=torch.float64)
        return self(z).float(), self.kinds(z)

    def kinds(self, z: Tensor) -> Tensor | None:
        """What kind the sample of each latent is of, (n, latent_dim) -> int64 (n,), where there are kinds."""
        return None


DISTRIBUTIONS: Registry[Distribution] = Registry("distribution", Distribution)


class Moved(Distribution):
    """Another distribution, stretched about the origin and moved along the diagonal.

    A sample is scale * x + shift * (1, ..., 1) / sqrt(dim), for samples x of the other.

    Args:
        of: the other.
        shift: how far it is moved, in Euclidean distance.
        scale: what it is multiplied by.
    """

    def __init__(self, of: Distribution, shift: float = 0.0, scale: float = 1.0) -> None:
        super().__init__()
        self.of = of
        self.dim = of.dim
        self.latent_dim = of.latent_dim
        self.scale = scale
        self.step = shift / math.sqrt(of.dim)  # in each direction

    def log_prob(self, x: Tensor) -> Tensor:
        return self.of.log_prob((x - self.step) / self.scale) - self.dim * math.log(self.scale)

    def forward(self, z: Tensor) -> Tensor:
        moved: Tensor = self.scale * self.of(z) + self.step
        return moved

    def kinds(self, z: Tensor) -> Tensor | None:
        return self.of.kinds(z)


def uniform(z: Tensor) -> Tensor:
    """Uniform numbers in [0, 1] of standard normal ones, one by one: their distribution function."""
    return torch.special.ndtr(z)


def chosen(z: Tensor, shares: Tensor) -> Tensor:
    """Indices with the given shares, (K,) of sum 1, of standard normal numbers (n,): int64 (n,)."""
    edges = shares.to(z).cumsum(0)[:-1].contiguous()  # K - 1: what is above the last is of the last kind
    return torch.searchsorted(edges, uniform(z).contiguous(), right=True)
