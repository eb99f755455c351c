"""The standard CNN of Miyato et al. 2018, Table 3, and the one released, for images whose sides 8 divides."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from snlab.core.checks import check_positive, check_whole
from snlab.core.errors import nearest
from snlab.networks.network import NETWORKS, Network, unfit

CONVOLUTIONS = ((3, 1), (4, 2), (3, 1), (4, 2), (3, 1), (4, 2), (3, 1))  # the discriminator's: kernel, stride
DECONVOLUTIONS = (256, 128, 64)  # the generator's, each 4 x 4 of stride 2: channels
WIDEST = 512  # channels before the generator's first deconvolution


@dataclass(frozen=True)
class Variant:
    """In what the paper and the code released with it differ.

    Attributes:
        channels: of the discriminator's convolutions.
        slope: of LeakyReLU, throughout the discriminator.
        dense_norm: whether batch norm and ReLU come after the generator's dense layer, too.
        uniform_latents: whether the generator is given latents from uniform(-1, 1).
        std: of the normal distribution that weights start from, biases at 0; torch's own start if None.
    """

    channels: tuple[int, ...]
    slope: float
    dense_norm: bool = False
    uniform_latents: bool = False
    std: float | None = None


VARIANTS = {
    "paper": Variant((64, 64, 128, 128, 256, 256, 512), slope=0.1),
    # chainer-gan-lib, by the authors' group
    "released": Variant(
        (64, 128, 128, 256, 256, 512, 512), slope=0.2, dense_norm=True, uniform_latents=True, std=0.02
    ),
}


@NETWORKS.register("standard_cnn")
class StandardCNN(Network):
    """Seven convolutions and a dense layer against three deconvolutions (Miyato et al. 2018, Table 3).

    The paper's weights start as torch starts them. Activations work in place, which autograd allows (twice,
    too): a convolution's gradient needs its input and not its output.

    Args:
        width: multiplies the channels of every layer but the images' own.
        latent_dim: size of the generator's input.
        variant: ``paper``, or ``released``, the network in the code that the authors' group released: it has
            a slope of 0.2 for 0.1, widens in the discriminator's 4 x 4 convolutions, has batch norm and ReLU
            after the generator's dense layer, latents from uniform(-1, 1), and weights that start from
            N(0, 0.02²).
        last_width: multiplies once more the channels into and out of the discriminator's last convolution,
            whose output is the last feature map (Figure 4).

    Raises:
        ValueError: for an unknown variant, or a width or a latent_dim that is not positive.
    """

    def __init__(
        self,
        width: float = 1.0,
        latent_dim: int = 128,
        *,
        variant: str = "paper",
        last_width: float = 1.0,
    ) -> None:
        check_positive("width", width)
        check_positive("last_width", last_width)
        check_whole("latent_dim", latent_dim, least=1)
        if variant not in VARIANTS:
            raise ValueError(f"unknown variant {variant!r}; {nearest(str(variant), VARIANTS)}")
        self.width = width
        self.latent_dim = latent_dim
        self.variant = variant
        self.last_width = last_width

    def generator(self, sample_shape: tuple[int, ...]) -> nn.Module:
        """A new generator, latents (B, latent_dim) -> images (B, C, H, W) in [-1, 1]."""
        channels, height, width = _image(sample_shape)
        inner = self._channels(WIDEST)
        first = (inner, height // 8, width // 8)
        variant = VARIANTS[self.variant]
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        if variant.uniform_latents:
            layers["uniform"] = NormalToUniform()
        layers["dense"] = nn.Linear(self.latent_dim, math.prod(first))
        if variant.dense_norm:
            layers["batch_norm"] = nn.BatchNorm1d(math.prod(first))
            layers["relu"] = nn.ReLU(inplace=True)
        layers["image"] = nn.Unflatten(1, first)
        for i, outer in enumerate(map(self._channels, DECONVOLUTIONS), start=1):
            layers[f"deconv{i}"] = nn.ConvTranspose2d(inner, outer, 4, stride=2, padding=1)
            layers[f"batch_norm{i}"] = nn.BatchNorm2d(outer)
            layers[f"relu{i}"] = nn.ReLU(inplace=True)
            inner = outer
        layers["conv"] = nn.Conv2d(inner, channels, 3, padding=1)
        layers["tanh"] = nn.Tanh()
        return _started(nn.Sequential(layers), variant.std)

    def discriminator(self, sample_shape: tuple[int, ...]) -> nn.Module:
        """A new discriminator, images (B, C, H, W) -> logits (B,)."""
        inner, height, width = _image(sample_shape)
        variant = VARIANTS[self.variant]
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        rows = zip(variant.channels, CONVOLUTIONS, strict=True)
        for i, (wide, (kernel, stride)) in enumerate(rows, start=1):
            last = i >= len(CONVOLUTIONS) - 1  # the two whose output goes into or comes out of the last one
            outer = self._channels(wide * self.last_width if last else wide)
            layers[f"conv{i}"] = nn.Conv2d(inner, outer, kernel, stride=stride, padding=1)
            layers[f"leaky_relu{i}"] = nn.LeakyReLU(variant.slope, inplace=True)
            inner = outer
        layers["flatten"] = nn.Flatten()
        layers["dense"] = nn.Linear(inner * (height // 8) * (width // 8), 1)
        layers["logit"] = nn.Flatten(0)  # (B, 1) -> (B,)
        return _started(nn.Sequential(layers), variant.std)

    def _channels(self, channels: float) -> int:
        return max(1, round(self.width * channels))


class NormalToUniform(nn.Module):
    """Standard normal latents to uniform(-1, 1) ones of the same shape, by their distribution function."""

    def forward(self, z: Tensor) -> Tensor:
        return torch.erf(z / math.sqrt(2))


def _started(network: nn.Sequential, std: float | None) -> nn.Sequential:
    """``network`` with weights from N(0, std²) and biases at 0; as it is if None."""
    for layer in network:
        if std is not None and isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, std=std)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return network


def _image(sample_shape: tuple[int, ...]) -> tuple[int, int, int]:
    if len(sample_shape) != 3 or sample_shape[1] % 8 or sample_shape[2] % 8:
        raise unfit("standard_cnn", sample_shape, "images, C x H x W, with H and W divisible by 8")
    channels, height, width = sample_shape
    return channels, height, width
