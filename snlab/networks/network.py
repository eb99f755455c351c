"""What a pair of networks is, and the names that pairs go by."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import nn

from snlab.core.errors import UserError
from snlab.core.registry import Registry


class Network(ABC):
    """Makes a generator and a discriminator for samples of a given shape, (C, H, W) or (d,)."""

    latent_dim: int
    """Size of the generator's input, standard normal; known at the latest when a generator is made."""

    conditional: bool = False
    """Whether both networks take labels beside their input, int64 (B,) from 0 to ``classes`` - 1."""

    classes: int = 0
    """How many classes there are: set before a conditional network makes anything."""

    class_weights: tuple[float, float] = (1.0, 1.0)
    """By what the cross entropy of an auxiliary classifier, if there is one, counts in the discriminator's
    loss, of real samples, and in the generator's, of generated ones."""

    @abstractmethod
    def generator(self, sample_shape: tuple[int, ...]) -> nn.Module:
        """A new generator, latents (B, latent_dim) -> (B, *sample_shape), images in [-1, 1].

        Raises:
            UserError: where the network has no generator for ``sample_shape``.
        """

    @abstractmethod
    def discriminator(self, sample_shape: tuple[int, ...]) -> nn.Module:
        """A new discriminator, (B, *sample_shape) -> logits (B,).

        Raises:
            UserError: where the network has no discriminator for ``sample_shape``.
        """


NETWORKS: Registry[Network] = Registry("network", Network)


def opponent(network: str, discriminator: str) -> Network:
    """The network, by name, whose discriminator a generator of known density is trained against.

    Raises:
        ValueError: for one that wants labels, which such a generator is not given.
    """
    found = NETWORKS.build(discriminator)
    if found.conditional:
        raise ValueError(
            f"discriminator={discriminator} wants labels, and the generator of {network} has none"
        )
    return found


def unfit(network: str, sample_shape: tuple[int, ...], takes: str) -> UserError:
    """The error of a network that has nothing for samples of a shape.

    >>> unfit("mlp", (1, 16, 16), "vectors")
    UserError('network mlp has nothing for samples of 1 x 16 x 16; it takes vectors')
    """
    return UserError(
        f"network {network} has nothing for samples of {' x '.join(map(str, sample_shape))}; it takes {takes}"
    )
