"""The standard CNN of Miyato et al. 2018, Table 3, for any image whose sides 8 divides."""

from __future__ import annotations

import math
from collections import OrderedDict

from torch import nn

from snlab.core.checks import check_positive, check_whole
from snlab.networks.network import NETWORKS, Network, unfit

SLOPE = 0.1  # of LeakyReLU, throughout the discriminator
CONVOLUTIONS = (  # the discriminator's: channels, kernel, stride
    (64, 3, 1),
    (64, 4, 2),
    (128, 3, 1),
    (128, 4, 2),
    (256, 3, 1),
    (256, 4, 2),
    (512, 3, 1),
)
DECONVOLUTIONS = (256, 128, 64)  # the generator's, each 4 x 4 of stride 2: channels
WIDEST = 512  # channels before the generator's first deconvolution


@NETWORKS.register("standard_cnn")
class StandardCNN(Network):
    """The paper's CNN (Table 3): seven convolutions and a dense layer against three deconvolutions.

    Weights start as torch starts them. Activations work in place, which autograd allows (twice, too):
    a convolution's gradient needs its input and not its output.

    Args:
        width: multiplies the channels of every layer but the images' own.
        latent_dim: size of the generator's input.

    Raises:
        ValueError: for a width or a latent_dim that is not positive.
    """

    def __init__(self, width: float = 1.0, latent_dim: int = 128) -> None:
        check_positive("width", width)
        check_whole("latent_dim", latent_dim, least=1)
        self.width = width
        self.latent_dim = latent_dim

    def generator(self, sample_shape: tuple[int, ...]) -> nn.Module:
        """A new generator, latents (B, latent_dim) -> images (B, C, H, W) in [-1, 1]."""
        channels, height, width = _image(sample_shape)
        inner = self._channels(WIDEST)
        first = (inner, height // 8, width // 8)
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        layers["dense"] = nn.Linear(self.latent_dim, math.prod(first))
        layers["image"] = nn.Unflatten(1, first)
        for i, outer in enumerate(map(self._channels, DECONVOLUTIONS), start=1):
            layers[f"deconv{i}"] = nn.ConvTranspose2d(inner, outer, 4, stride=2, padding=1)
            layers[f"batch_norm{i}"] = nn.BatchNorm2d(outer)
            layers[f"relu{i}"] = nn.ReLU(inplace=True)
            inner = outer
        layers["conv"] = nn.Conv2d(inner, channels, 3, padding=1)
        layers["tanh"] = nn.Tanh()
        return nn.Sequential(layers)

    def discriminator(self, sample_shape: tuple[int, ...]) -> nn.Module:
        """A new discriminator, images (B, C, H, W) -> logits (B,)."""
        inner, height, width = _image(sample_shape)
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        for i, (wide, kernel, stride) in enumerate(CONVOLUTIONS, start=1):
            outer = self._channels(wide)
            layers[f"conv{i}"] = nn.Conv2d(inner, outer, kernel, stride=stride, padding=1)
            layers[f"leaky_relu{i}"] = nn.LeakyReLU(SLOPE, inplace=True)
            inner = outer
        layers["flatten"] = nn.Flatten()
        layers["dense"] = nn.Linear(inner * (height // 8) * (width // 8), 1)
        layers["logit"] = nn.Flatten(0)  # (B, 1) -> (B,)
        return nn.Sequential(layers)

    def _channels(self, channels: int) -> int:
        return max(1, round(self.width * channels))


def _image(sample_shape: tuple[int, ...]) -> tuple[int, int, int]:
    if len(sample_shape) != 3 or sample_shape[1] % 8 or sample_shape[2] % 8:
        raise unfit("standard_cnn", sample_shape, "images, C x H x W, with H and W divisible by 8")
    channels, height, width = sample_shape
    return channels, height, width
