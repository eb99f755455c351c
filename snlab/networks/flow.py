"""A generator that knows its density, so that log q - log p_G is exact: a RealNVP (Dinh et al. 2017)."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn

from snlab.core.checks import check_whole
from snlab.networks.mlp import dense, vector
from snlab.networks.network import NETWORKS, Network, opponent, unfit

# Of one coupling, either way. It keeps the inverse as exact as the forward pass, and log p_G of a point that
# the flow hardly reaches a number of tens: with 2.0 it was one of ten thousands, which drowned all others.
LARGEST_LOG_SCALE = 0.5


@NETWORKS.register("flow")
class Flow(Network):
    """A RealNVP, whose density is exact; for vectors (Dinh et al. 2017).

    Args:
        width: units of each of a coupling's two hidden layers.
        couplings: how many affine couplings.
        latent_dim: size of the latent, which in a flow is that of the data.
        discriminator: the network whose discriminator it is trained against, with its options.

    Raises:
        ValueError: for a number that is not whole, or too small, or a discriminator that wants labels.
    """

    def __init__(
        self, width: int = 64, couplings: int = 8, latent_dim: int = 2, *, discriminator: str = "mlp"
    ) -> None:
        check_whole("width", width, least=1)
        check_whole("couplings", couplings, least=2)  # one would leave half of the latent as it is
        check_whole("latent_dim", latent_dim, least=2)
        self.width = width
        self.couplings = couplings
        self.latent_dim = latent_dim
        self.other = opponent("flow", discriminator)

    def generator(self, sample_shape: tuple[int, ...]) -> RealNVP:
        """A new flow, latents (B, d) -> (B, d)."""
        if vector("flow", sample_shape) != self.latent_dim:
            takes = f"{self.latent_dim}, its latent_dim: write flow(latent_dim={sample_shape[0]})"
            raise unfit("flow", sample_shape, takes)
        return RealNVP(self.latent_dim, self.width, self.couplings)

    def discriminator(self, sample_shape: tuple[int, ...]) -> nn.Module:
        """A new discriminator, (B, d) -> logits (B,)."""
        return self.other.discriminator(sample_shape)


class RealNVP(nn.Module):
    """A map of R^d onto itself with an exact inverse and log density; it starts as the identity.

    >>> flow = RealNVP(dim=2, width=8, couplings=2)
    >>> flow.log_density(torch.zeros(1, 2)).exp()  # a standard normal, 1 / (2 pi)
    tensor([0.1592], grad_fn=<ExpBackward0>)
    """

    def __init__(self, dim: int, width: int, couplings: int) -> None:
        super().__init__()
        # Coupling i moves the entries whose index has bit i // 2 set, the next the others: every two
        # entries differ in some bit, so with enough couplings each one is moved given each other.
        bits = (dim - 1).bit_length()
        index = torch.arange(dim)
        moves = [(index >> (i // 2 % bits)) % 2 == 1 - i % 2 for i in range(couplings)]
        self.couplings = nn.ModuleList(Coupling(move, width) for move in moves)

    def forward(self, z: Tensor) -> Tensor:
        """x = G(z), (B, d) -> (B, d)."""
        for coupling in self.couplings:
            z = coupling(z)
        return z

    def inverse(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """z with G(z) = x, (B, d), and log |det dz/dx|, (B,)."""
        log_det = x.new_zeros(len(x))
        for coupling in reversed(self.couplings):
            x, change = cast(Coupling, coupling).inverse(x)
            log_det = log_det + change
        return x, log_det

    def log_density(self, x: Tensor) -> Tensor:
        """log p_G(x) = log N(z; 0, I) + log |det dz/dx| in nats, (B, d) -> (B,)."""
        z, log_det = self.inverse(x)
        return log_det - z.square().sum(1) / 2 - z.shape[1] / 2 * math.log(2 * math.pi)


class Coupling(nn.Module):
    """Affine coupling: x = z * exp(s) + t on the moved entries, where s and t read only the others."""

    move: Tensor

    def __init__(self, move: Tensor, width: int) -> None:
        """``move`` marks the entries that are moved, bool (d,)."""
        super().__init__()
        self.register_buffer("move", move.float(), persistent=False)
        self.net = nn.Sequential(dense(len(move), width, width, 2 * len(move), activation=nn.ReLU))
        nn.init.zeros_(self.net[-1].weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.net[-1].bias)  # type: ignore[arg-type]

    def forward(self, z: Tensor) -> Tensor:
        s, t = self.affine(z)
        return z * s.exp() + t

    def inverse(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """z, (B, d), and log |det dz/dx|, (B,)."""
        s, t = self.affine(x)  # the entries that s and t read are the same in x and z
        return (x - t) * (-s).exp(), -s.sum(1)

    def affine(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """s and t, each (B, d), 0 where nothing is moved."""
        s, t = self.net(x * (1 - self.move)).chunk(2, dim=1)
        return self.move * LARGEST_LOG_SCALE * torch.tanh(s), self.move * t
