"""A generator that stands still, of known density: the discriminator alone is trained."""

from __future__ import annotations

import inspect
import math

import torch
from torch import Tensor, nn

from snlab.core.checks import check_number, check_positive
from snlab.core.errors import UserError
from snlab.core.registry import Spec, parse
from snlab.distributions import DISTRIBUTIONS, Distribution, Moved
from snlab.networks.network import NETWORKS, Network, opponent, unfit


@NETWORKS.register("fixed")
class Fixed(Network):
    """A generator that stays as it is, so that only the discriminator learns (Sugiyama et al. 2012).

    What is left of the GAN is density-ratio estimation by its discriminator's loss: log q_data - log p_G is
    known, and is the same from the first update to the last.

    Args:
        distribution: p_G, with its options: ``gaussian``, ``mixture``, ``line``, ``sphere``, ``swiss_roll``,
            ``digits_mixture``; ``snlab list distributions`` has them. Its ``dim`` is the data's.
        shift: how far it is moved along the diagonal, in Euclidean distance.
        scale: what its samples are multiplied by before.
        discriminator: the network whose discriminator is trained, with its options.

    Raises:
        ValueError: for a number out of its range, or a discriminator that wants labels.
    """

    def __init__(
        self,
        distribution: str = "gaussian",
        shift: float = 0.0,
        scale: float = 1.0,
        discriminator: str = "mlp",
    ) -> None:
        check_number("shift", shift)
        check_positive("scale", scale)
        self.distribution = distribution
        self.shift = float(shift)
        self.scale = float(scale)
        self.other = opponent("fixed", discriminator)
        _spec(distribution)  # a misspelt one is told before the data is known

    def generator(self, sample_shape: tuple[int, ...]) -> FixedGenerator:
        """The generator for samples of this shape; ``latent_dim`` is known from here on."""
        dim = math.prod(sample_shape)
        spec = _spec(self.distribution)
        if "dim" in _options(spec):
            given = spec.options.setdefault("dim", dim)
            if given != dim:
                raise unfit("fixed", sample_shape, f"dim={given}, as its distribution says")
        found = DISTRIBUTIONS.build(str(spec))
        if found.dim != dim:
            raise unfit("fixed", sample_shape, f"samples of {found.dim} entries, as {spec.name} has")
        self.latent_dim = found.latent_dim
        return FixedGenerator(Moved(found, self.shift, self.scale), sample_shape)

    def discriminator(self, sample_shape: tuple[int, ...]) -> nn.Module:
        """A new discriminator of the other network, (B, *sample_shape) -> logits (B,)."""
        return self.other.discriminator(sample_shape)


class FixedGenerator(nn.Module):
    """A distribution as a generator: latents (B, latent_dim) -> (B, *sample_shape); it has no parameters."""

    def __init__(self, distribution: Distribution, sample_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.distribution = distribution
        self.sample_shape = sample_shape

    def forward(self, z: Tensor) -> Tensor:
        with torch.autocast(z.device.type, enabled=False):  # its density is that of samples in full precision
            samples: Tensor = self.distribution(z)
        return samples.view(-1, *self.sample_shape)

    def log_density(self, x: Tensor) -> Tensor:
        """log p_G(x) in nats, (B, *sample_shape) -> (B,), float64."""
        return self.distribution.log_prob(x.flatten(1).double())


def _spec(distribution: str) -> Spec:
    """The one distribution that is named; UserError for none of that name, or an option that it has not."""
    terms = parse(distribution, DISTRIBUTIONS.kind)
    if len(terms) > 1:
        raise UserError(f"fixed takes one distribution, not the {len(terms)} of {distribution!r}")
    DISTRIBUTIONS.canonical(distribution)
    return terms[0]


def _options(spec: Spec) -> set[str]:
    ((_, factory),) = DISTRIBUTIONS.factories(spec.name)
    return set(inspect.signature(factory).parameters)
