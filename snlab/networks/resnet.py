"""The ResNets of Miyato et al. 2018 and of Gulrajani et al. 2017, each a table of rows.

What the tables leave open is as in the code released with them (sngan_projection, and gan_cifar_resnet.py of
improved_wgan_training).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import cast

from torch import Tensor, nn

from snlab.core.checks import check_flag, check_positive, check_whole
from snlab.core.errors import nearest
from snlab.networks.network import NETWORKS, Network, unfit
from snlab.networks.residual import DiscriminatorBlock, GeneratorBlock, glorot

# ---- the tables -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Architecture:
    """The rows of one table.

    Attributes:
        dense: channels of the map that the generator's dense layer makes.
        up: channels of each block of the generator; every one doubles the sides.
        down: channels of the discriminator's blocks that halve the sides.
        level: channels of the blocks after those, which keep them.
        pooling: what becomes of the last map's sides, ``sum`` or ``mean``.
        bias: whether the discriminator's dense layer has one.
    """

    dense: int
    up: tuple[int, ...]
    down: tuple[int, ...]
    level: tuple[int, ...]
    pooling: str = "sum"
    bias: bool = True

    @property
    def multiple(self) -> int:
        """What the sides of an image are multiples of."""
        return int(2 ** max(len(self.up), len(self.down)))


ARCHITECTURES = {
    # Miyato et al. 2018, Table 4; the released discriminator's dense layer has no bias.
    "cifar10": Architecture(dense=256, up=(256,) * 3, down=(128,) * 2, level=(128,) * 2, bias=False),
    # Table 5. No code was released for it; the bias is that of Table 6, whose doubling widths it shares.
    "stl10": Architecture(dense=512, up=(256, 128, 64), down=(64, 128, 256, 512), level=(1024,)),
    # Table 6
    "imagenet": Architecture(
        dense=1024, up=(1024, 512, 256, 128, 64), down=(64, 128, 256, 512, 1024), level=(1024,)
    ),
    # Gulrajani et al. 2017, the ResNet for CIFAR-10: that of Miyato et al. 2018, Tables 7 and 8.
    "wgan_gp": Architecture(dense=128, up=(128,) * 3, down=(128,) * 2, level=(128,) * 2, pooling="mean"),
}


@NETWORKS.register("resnet")
class ResNet(Network):
    """Residual networks: cifar10, stl10, imagenet, wgan_gp (Miyato et al. 2018, Tables 4 to 8).

    Args:
        architecture: the table: cifar10 (Table 4), stl10 (Table 5), imagenet (Table 6) or wgan_gp, the
            network of Gulrajani et al. 2017 that Tables 7 and 8 train. Any image will do whose sides are
            multiples of 8 (stl10: 16, imagenet: 32).
        width: multiplies the channels of every layer but the images' own.
        width_d: multiplies the discriminator's once more.
        latent_dim: size of the generator's input.
        fused: resampling and convolution as one operation, which is the same function in two thirds of the
            arithmetic; false computes them one after the other.

    Raises:
        ValueError: for an unknown architecture, or a width or latent_dim that is not positive.
    """

    def __init__(
        self,
        architecture: str = "cifar10",
        width: float = 1.0,
        width_d: float = 1.0,
        latent_dim: int = 128,
        fused: bool = True,
    ) -> None:
        if architecture not in ARCHITECTURES:
            raise ValueError(
                f"unknown architecture {architecture!r}; {nearest(str(architecture), ARCHITECTURES)}"
            )
        check_positive("width", width)
        check_positive("width_d", width_d)
        check_whole("latent_dim", latent_dim, least=1)
        check_flag("fused", fused)
        self.architecture = architecture
        self.width = width
        self.width_d = width_d
        self.latent_dim = latent_dim
        self.fused = fused

    def generator(self, sample_shape: tuple[int, ...]) -> ResNetGenerator:
        """A new generator, latents (B, latent_dim) -> images (B, C, H, W) in [-1, 1]."""
        self._check(sample_shape)
        return ResNetGenerator(
            sample_shape, self.latent_dim, ARCHITECTURES[self.architecture], self.width, fused=self.fused
        )

    def discriminator(self, sample_shape: tuple[int, ...]) -> ResNetDiscriminator:
        """A new discriminator, images (B, C, H, W) -> logits (B,)."""
        self._check(sample_shape)
        rows, width = ARCHITECTURES[self.architecture], self.width * self.width_d
        return ResNetDiscriminator(sample_shape, rows, width, fused=self.fused)

    def _check(self, sample_shape: tuple[int, ...]) -> None:
        multiple = ARCHITECTURES[self.architecture].multiple
        if len(sample_shape) != 3 or sample_shape[1] % multiple or sample_shape[2] % multiple:
            takes = f"images, C x H x W, with H and W divisible by {multiple}"
            raise unfit(f"resnet(architecture={self.architecture})", sample_shape, takes)


# ---- the networks ---------------------------------------------------------------------------------------


class ResNetGenerator(nn.Module):
    """A dense layer, blocks ``block1`` ... that double the sides, a convolution: (B, latent_dim) -> images.

    Args:
        sample_shape: (C, H, W) of the images.
        latent_dim: size of a latent.
        rows: its architecture.
        width: multiplies the channels.
        fused: resampling and convolution as one operation.
        norm: makes the blocks' normalization of so many channels.
    """

    def __init__(
        self,
        sample_shape: tuple[int, ...],
        latent_dim: int,
        rows: Architecture,
        width: float,
        *,
        fused: bool,
        norm: Callable[[int], nn.Module] = nn.BatchNorm2d,
    ) -> None:
        super().__init__()
        channels, *sides = sample_shape
        inner = scaled(rows.dense, width)
        first = (inner, *(side // 2 ** len(rows.up) for side in sides))
        self.dense = nn.Linear(latent_dim, math.prod(first))
        self.map = nn.Unflatten(1, first)
        self.depth = len(rows.up)
        for i, outer in enumerate((scaled(row, width) for row in rows.up), start=1):
            self.add_module(f"block{i}", GeneratorBlock(inner, outer, norm, fused))
            inner = outer
        self.norm = nn.BatchNorm2d(inner)
        self.relu = nn.ReLU(inplace=True)
        self.conv = nn.Conv2d(inner, channels, 3, padding=1)
        self.tanh = nn.Tanh()
        glorot(self.dense)
        glorot(self.conv)

    def forward(self, z: Tensor) -> Tensor:
        h = self.map(self.dense(z))  # (B, C, H / 2^blocks, W / 2^blocks)
        for block in blocks(self):
            h = block(h)
        return cast(Tensor, self.tanh(self.conv(self.relu(self.norm(h)))))


class ResNetDiscriminator(nn.Module):
    """Blocks ``block1`` ..., ReLU, global pooling and a dense layer: images (B, C, H, W) -> logits (B,).

    Args:
        sample_shape: (C, H, W) of the images.
        rows: its architecture.
        width: multiplies the channels.
        fused: resampling and convolution as one operation.
    """

    def __init__(
        self, sample_shape: tuple[int, ...], rows: Architecture, width: float, *, fused: bool
    ) -> None:
        super().__init__()
        inner, *sides = sample_shape
        self.depth = len(rows.down) + len(rows.level)
        for i, row in enumerate((*rows.down, *rows.level), start=1):
            outer, pools = scaled(row, width), i <= len(rows.down)
            block = DiscriminatorBlock(inner, outer, pools=pools, first=i == 1, fused=fused)
            self.add_module(f"block{i}", block)
            inner = outer
        self.relu = nn.ReLU(inplace=True)
        self.dense = nn.Linear(inner, 1, bias=rows.bias)
        glorot(self.dense)
        self.pooling = rows.pooling
        self.positions = math.prod(side // 2 ** len(rows.down) for side in sides)

    def forward(self, x: Tensor) -> Tensor:
        return self.dense(self.features(x)).flatten()

    def features(self, x: Tensor) -> Tensor:
        """What the dense layer is given: images (B, C, H, W) -> (B, channels of the last block)."""
        for block in blocks(self):
            x = block(x)
        x = self.relu(x)
        return x.sum((2, 3)) if self.pooling == "sum" else x.mean((2, 3))

    def lipschitz_bound(self, norms: Mapping[str, float]) -> float:
        """A Lipschitz constant from its layers' operator norms by name, for images of its own size.

        The blocks' bounds and the dense layer's norm, multiplied, and the pooling's norm: the sum of n
        entries is at most sqrt(n) times their norm, the mean 1 / sqrt(n).
        """
        bound = norms["dense"] * math.sqrt(self.positions) ** (1 if self.pooling == "sum" else -1)
        for i, block in enumerate(blocks(self), start=1):
            prefix = f"block{i}."
            own = {name.removeprefix(prefix): n for name, n in norms.items() if name.startswith(prefix)}
            bound *= cast(DiscriminatorBlock, block).lipschitz_bound(own)
        return bound


def blocks(network: ResNetGenerator | ResNetDiscriminator) -> Iterator[nn.Module]:
    """Its residual blocks, from the first to the last."""
    return (network.get_submodule(f"block{i}") for i in range(1, network.depth + 1))


def scaled(channels: int, width: float) -> int:
    return max(1, round(width * channels))
