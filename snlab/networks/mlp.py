"""Dense networks for vectors."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import cast

from torch import Tensor, nn

from snlab.core.checks import check_flag, check_whole
from snlab.networks.network import NETWORKS, Network, unfit
from snlab.nn.conditional import Concatenation, Projection

SLOPE = 0.1  # of LeakyReLU, as in the standard CNN


@NETWORKS.register("mlp")
class MLP(Network):
    """Dense layers for vectors: ReLU in the generator, LeakyReLU in the discriminator.

    Args:
        width: units of each hidden layer.
        depth: how many hidden layers.
        latent_dim: size of the generator's input.
        conditional: whether both are given labels: in the generator a vector of ``width`` entries for each
            class beside the latent, in the discriminator a projection (Miyato & Koyama 2018).

    Raises:
        ValueError: for one that is not a positive whole number, or no flag.
    """

    def __init__(
        self, width: int = 128, depth: int = 3, latent_dim: int = 2, *, conditional: bool = False
    ) -> None:
        check_whole("width", width, least=1)
        check_whole("depth", depth, least=1)
        check_whole("latent_dim", latent_dim, least=1)
        check_flag("conditional", conditional)
        self.conditional = conditional
        self.width = width
        self.depth = depth
        self.latent_dim = latent_dim

    def generator(self, sample_shape: tuple[int, ...]) -> nn.Module:
        """A new generator, latents (B, latent_dim) -> (B, d)."""
        hidden = [self.width] * self.depth
        if self.conditional:
            sizes = (self.latent_dim + self.width, *hidden, vector("mlp", sample_shape))
            return ConditionalGenerator(dense(*sizes, activation=nn.ReLU), self.classes, self.width)
        return nn.Sequential(dense(self.latent_dim, *hidden, vector("mlp", sample_shape), activation=nn.ReLU))

    def discriminator(self, sample_shape: tuple[int, ...]) -> nn.Module:
        """A new discriminator, (B, d) -> logits (B,)."""
        if self.conditional:
            dim = vector("mlp", sample_shape)
            return ProjectionDiscriminator(dim, self.width, self.depth, self.classes)
        return discriminator(vector("mlp", sample_shape), self.width, self.depth)


class ConditionalGenerator(nn.Module):
    """Dense layers that are given the label's vector beside the latent: (B, latent_dim), (B,) -> (B, d).

    Args:
        layers: the dense layers; the first takes latent_dim + dim entries.
        classes: how many classes the labels tell apart.
        dim: entries of a label's vector.
    """

    def __init__(self, layers: OrderedDict[str, nn.Module], classes: int, dim: int) -> None:
        super().__init__()
        self.label = Concatenation(classes, dim)
        self.layers = nn.Sequential(layers)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        return cast(Tensor, self.layers(self.label(z, labels)))


class ProjectionDiscriminator(nn.Module):
    """The last hidden layer's dense map and its inner product with the label's vector: (B, d), (B,) -> (B,).

    Args:
        dim: d.
        width: units of each hidden layer.
        depth: how many hidden layers.
        classes: how many classes the labels tell apart.
    """

    def __init__(self, dim: int, width: int, depth: int, classes: int) -> None:
        super().__init__()
        layers = dense(dim, *[width] * depth, activation=lambda: nn.LeakyReLU(SLOPE))
        layers[f"activation{depth}"] = nn.LeakyReLU(SLOPE)
        self.features = nn.Sequential(layers)
        self.dense = nn.Linear(width, 1)
        self.projection = Projection(classes, width)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        h = self.features(x)
        return self.dense(h).flatten() + cast(Tensor, self.projection(h, labels))

    def lipschitz_bound(self, norms: Mapping[str, float]) -> float:
        """A Lipschitz constant from its layers' operator norms: the last two vectors add up."""
        hidden = [norm for name, norm in norms.items() if name.startswith("features.")]
        return math.prod(hidden) * (norms["dense"] + norms["projection"])


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
