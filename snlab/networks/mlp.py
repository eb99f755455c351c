"""Dense networks for vectors."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from itertools import pairwise

from torch import nn

from snlab.core.checks import check_whole
from snlab.networks.network import NETWORKS, Network, unfit

SLOPE = 0.1  # of LeakyReLU, as in the standard CNN


@NETWORKS.register("mlp")
class MLP(Network):
    """Dense layers for vectors: ReLU in the generator, LeakyReLU in the discriminator.

    Args:
        width: units of each hidden layer.
        depth: how many hidden layers.
        latent_dim: size of the generator's input.

    Raises:
        ValueError: for one that is not a positive whole number.
    """

    def __init__(self, width: int = 128, depth: int = 3, latent_dim: int = 2) -> None:
        check_whole("width", width, least=1)
        check_whole("depth", depth, least=1)
        check_whole("latent_dim", latent_dim, least=1)
        self.width = width
        self.depth = depth
        self.latent_dim = latent_dim

    def generator(self, sample_shape: tuple[int, ...]) -> nn.Module:
        """A new generator, latents (B, latent_dim) -> (B, d)."""
        hidden = [self.width] * self.depth
        return nn.Sequential(dense(self.latent_dim, *hidden, vector("mlp", sample_shape), activation=nn.ReLU))

    def discriminator(self, sample_shape: tuple[int, ...]) -> nn.Module:
        """A new discriminator, (B, d) -> logits (B,)."""
        return discriminator(vector("mlp", sample_shape), self.width, self.depth)


def discriminator(dim: int, width: int, depth: int) -> nn.Module:
    """LeakyReLU layers ``dense1`` to ``dense{depth + 1}``, (B, dim) -> logits (B,)."""
    layers = dense(dim, *[width] * depth, 1, activation=lambda: nn.LeakyReLU(SLOPE))
    layers["logit"] = nn.Flatten(0)  # (B, 1) -> (B,)
    return nn.Sequential(layers)


def dense(*sizes: int, activation: Callable[[], nn.Module]) -> OrderedDict[str, nn.Module]:
    """Dense layers from the first size to the last, ``activation`` between each two.

    >>> list(dense(2, 8, 1, activation=nn.ReLU))
    ['dense1', 'activation1', 'dense2']
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for i, (inner, outer) in enumerate(pairwise(sizes), start=1):
        if i > 1:
            layers[f"activation{i - 1}"] = activation()
        layers[f"dense{i}"] = nn.Linear(inner, outer)
    return layers


def vector(network: str, sample_shape: tuple[int, ...]) -> int:
    """d of the sample shape (d,); UserError, in the name of ``network``, for another."""
    if len(sample_shape) != 1:
        raise unfit(network, sample_shape, "vectors")
    return sample_shape[0]
