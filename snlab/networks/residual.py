"""The residual blocks and networks of GANs (Gulrajani et al. 2017; Miyato et al. 2018, Figure 8).

They start as in the code that Miyato et al. released: Glorot's uniform distribution, times sqrt(2) in the
convolutions of the residual branch, biases at 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import cast

from torch import Tensor, nn

from snlab.nn.conditional import ConditionalBatchNorm2d, given
from snlab.nn.resampling import PooledConv2d, UpsampledConv2d

POOLING_NORM = 0.5  # of a 2 x 2 mean, as a linear map: the mean of four entries is at most half their norm
CONCATENATED_AFTER = 3  # blocks of the discriminator, in Miyato et al. 2018, Table 6


def glorot(layer: nn.Conv2d | nn.Linear, gain: float = 1.0) -> None:
    """Glorot's uniform weights times ``gain``, and no bias."""
    nn.init.xavier_uniform_(layer.weight, gain)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


class GeneratorBlock(nn.Module):
    """Twice the size: BN, ReLU, upsampling, 3 x 3, BN, ReLU, 3 x 3, and a 1 x 1 shortcut.

    Maps (B, inner, H, W), and labels (B,) where its normalization takes them, to (B, outer, 2H, 2W).

    Args:
        inner, outer: channels.
        norm: makes the normalization of so many channels.
        fused: resampling and convolution as one operation (``nn.resampling``).
    """

    def __init__(self, inner: int, outer: int, norm: Callable[[int], nn.Module], fused: bool) -> None:
        super().__init__()
        self.norm1 = norm(inner)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv1 = UpsampledConv2d(inner, outer, 3, fused)
        self.norm2 = norm(outer)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outer, outer, 3, padding=1)
        self.shortcut = UpsampledConv2d(inner, outer, 1, fused)
        glorot(self.conv1, math.sqrt(2))
        glorot(self.conv2, math.sqrt(2))
        glorot(self.shortcut)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        h = self.conv1(self.relu1(given(self.norm1, x, labels)))  # (B, outer, 2H, 2W)
        h = self.conv2(self.relu2(given(self.norm2, h, labels)))
        return h + self.shortcut(x)


class DiscriminatorBlock(nn.Module):
    """ReLU, 3 x 3, ReLU, 3 x 3 and, where it pools, a 2 x 2 mean; a 1 x 1 shortcut where anything changes.

    Maps (B, inner, H, W) to (B, outer, H, W), or to half of both sides where it pools. The first block of a
    discriminator has no activation on the image, and is as wide inside as it is after; later ones are as wide
    inside as before.

    Args:
        inner, outer: channels.
        pools: whether it halves the sides.
        first: whether it is given the image.
        fused: resampling and convolution as one operation (``nn.resampling``).
    """

    def __init__(self, inner: int, outer: int, *, pools: bool, first: bool, fused: bool) -> None:
        super().__init__()
        hidden = outer if first else inner
        self.pools = pools
        self.relu1 = nn.Identity() if first else nn.ReLU()  # not in place: the shortcut is given x, too
        self.conv1 = nn.Conv2d(inner, hidden, 3, padding=1)
        self.relu2 = nn.ReLU(inplace=True)
        glorot(self.conv1, math.sqrt(2))
        if pools:
            self.conv2: nn.Conv2d = PooledConv2d(hidden, outer, 3, fused)
            # Written out, the first shortcut pools and then convolves, the later ones the other way round.
            self.shortcut: nn.Module = PooledConv2d(inner, outer, 1, fused or first)
        else:
            self.conv2 = nn.Conv2d(hidden, outer, 3, padding=1)
            self.shortcut = nn.Identity() if inner == outer else nn.Conv2d(inner, outer, 1)
        glorot(self.conv2, math.sqrt(2))
        if isinstance(self.shortcut, nn.Conv2d):
            glorot(self.shortcut)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2(self.relu2(self.conv1(self.relu1(x)))) + self.shortcut(x)

    def lipschitz_bound(self, norms: Mapping[str, float]) -> float:
        """A Lipschitz constant from those of its convolutions, by name: branch and shortcut add up."""
        shortcut = norms["shortcut"] if isinstance(self.shortcut, nn.Conv2d) else 1.0
        return (POOLING_NORM if self.pools else 1.0) * (norms["conv1"] * norms["conv2"] + shortcut)


# ---- the networks ---------------------------------------------------------------------------------------


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


class ResNetGenerator(nn.Module):
    """A dense layer, blocks ``block1`` ... that double the sides, a convolution: (B, latent_dim) -> images.

    Given labels, int64 (B,), beside the latents, its blocks have conditional batch norm; the last one, before
    the convolution, is the same for all classes, as in both releases.

    Args:
        sample_shape: (C, H, W) of the images.
        latent_dim: size of a latent.
        rows: its architecture.
        width: multiplies the channels.
        fused: resampling and convolution as one operation.
        classes: how many classes the labels tell apart; 0 where it is given none.
    """

    def __init__(
        self,
        sample_shape: tuple[int, ...],
        latent_dim: int,
        rows: Architecture,
        width: float,
        *,
        fused: bool,
        classes: int = 0,
    ) -> None:
        super().__init__()
        norm = partial(ConditionalBatchNorm2d, classes=classes) if classes else nn.BatchNorm2d
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

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        h = self.map(self.dense(z))  # (B, C, H / 2^blocks, W / 2^blocks)
        for block in blocks(self):
            h = block(h, labels)
        return cast(Tensor, self.tanh(self.conv(self.relu(self.norm(h)))))


class ResNetDiscriminator(nn.Module):
    """Blocks ``block1`` ..., ReLU, global pooling and a dense layer: images (B, C, H, W) -> logits (B,).

    Args:
        sample_shape: (C, H, W) of the images.
        rows: its architecture.
        width: multiplies the channels.
        fused: resampling and convolution as one operation.
        beside: channels that the block after the third is given beside those of the third.
    """

    def __init__(
        self, sample_shape: tuple[int, ...], rows: Architecture, width: float, *, fused: bool, beside: int = 0
    ) -> None:
        super().__init__()
        inner, *sides = sample_shape
        self.depth = len(rows.down) + len(rows.level)
        for i, row in enumerate((*rows.down, *rows.level), start=1):
            outer, pools = scaled(row, width), i <= len(rows.down)
            block = DiscriminatorBlock(inner, outer, pools=pools, first=i == 1, fused=fused)
            self.add_module(f"block{i}", block)
            inner = outer + (beside if i == CONCATENATED_AFTER else 0)
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
        return self.pooled(x)

    def pooled(self, x: Tensor) -> Tensor:
        """The last block's map (B, C, H, W) -> (B, C)."""
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
