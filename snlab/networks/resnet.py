"""The ResNets of Miyato et al. 2018 and of Gulrajani et al. 2017, each a table of rows.

What the tables leave open is as in the code released with them (sngan_projection, and gan_cifar_resnet.py of
improved_wgan_training).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import cast

from torch import Tensor, nn

from snlab.core.checks import check_flag, check_positive, check_whole
from snlab.core.errors import nearest
from snlab.networks.network import NETWORKS, Network, unfit
from snlab.networks.residual import DiscriminatorBlock, GeneratorBlock, glorot
from snlab.nn.conditional import Concatenation, ConditionalBatchNorm2d, Projection

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


CONCATENATED_AFTER = 3  # blocks of the discriminator (Table 6, as the text says)
EMBEDDING = 128  # dimensions of the label's vector there
CLASS_WEIGHTS = (1.0, 0.1)  # Gulrajani et al. 2017: in the discriminator's loss, in the generator's


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
        conditional: how the discriminator is given labels, ``projection`` (Miyato & Koyama 2018),
            ``concatenation`` after the third block (Miyato et al. 2018, Table 6) or ``auxiliary_classifier``
            (Odena et al. 2017; Table 8), with conditional batch norm in the generator; none for no labels.
        class_weight_d: of the auxiliary classifier's cross entropy on real images, in the discriminator's
            loss.
        class_weight_g: of that on generated images, in the generator's.

    Raises:
        ValueError: for an unknown architecture or kind of conditional, a width or latent_dim that is not
            positive, a weight below 0, or one without an auxiliary classifier.
    """

    def __init__(
        self,
        architecture: str = "cifar10",
        width: float = 1.0,
        width_d: float = 1.0,
        latent_dim: int = 128,
        fused: bool = True,
        *,
        conditional: str | None = None,
        class_weight_d: float = CLASS_WEIGHTS[0],
        class_weight_g: float = CLASS_WEIGHTS[1],
    ) -> None:
        if architecture not in ARCHITECTURES:
            raise ValueError(
                f"unknown architecture {architecture!r}; {nearest(str(architecture), ARCHITECTURES)}"
            )
        check_positive("width", width)
        check_positive("width_d", width_d)
        check_whole("latent_dim", latent_dim, least=1)
        check_flag("fused", fused)
        if conditional is not None and conditional not in DISCRIMINATORS:
            raise ValueError(f"conditional is {conditional!r}; {nearest(str(conditional), DISCRIMINATORS)}")
        check_positive("class_weight_d", class_weight_d, or_zero=True)
        check_positive("class_weight_g", class_weight_g, or_zero=True)
        weights = (class_weight_d, class_weight_g)
        if conditional != "auxiliary_classifier" and weights != CLASS_WEIGHTS:
            raise ValueError("class_weight_d and class_weight_g want conditional=auxiliary_classifier")
        self.kind = conditional
        self.conditional = conditional is not None
        self.class_weights = weights
        self.architecture = architecture
        self.width = width
        self.width_d = width_d
        self.latent_dim = latent_dim
        self.fused = fused

    def generator(self, sample_shape: tuple[int, ...]) -> ResNetGenerator:
        """A new generator, latents (B, latent_dim) -> images (B, C, H, W) in [-1, 1]."""
        self._check(sample_shape)
        return ResNetGenerator(
            sample_shape,
            self.latent_dim,
            ARCHITECTURES[self.architecture],
            self.width,
            fused=self.fused,
            classes=self.classes if self.conditional else 0,
        )

    def discriminator(self, sample_shape: tuple[int, ...]) -> ResNetDiscriminator:
        """A new discriminator, images (B, C, H, W) -> logits (B,)."""
        self._check(sample_shape)
        rows, width = ARCHITECTURES[self.architecture], self.width * self.width_d
        if self.kind is None:
            return ResNetDiscriminator(sample_shape, rows, width, fused=self.fused)
        return DISCRIMINATORS[self.kind](sample_shape, rows, width, self.classes, fused=self.fused)

    def _check(self, sample_shape: tuple[int, ...]) -> None:
        multiple = ARCHITECTURES[self.architecture].multiple
        if len(sample_shape) != 3 or sample_shape[1] % multiple or sample_shape[2] % multiple:
            takes = f"images, C x H x W, with H and W divisible by {multiple}"
            raise unfit(f"resnet(architecture={self.architecture})", sample_shape, takes)


# ---- the networks ---------------------------------------------------------------------------------------


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


class ProjectionDiscriminator(ResNetDiscriminator):
    """Adds the features' inner product with the label's vector: images, labels (B,) -> logits (B,).

    Args:
        sample_shape, rows, width, fused: as of ``ResNetDiscriminator``.
        classes: how many classes the labels tell apart.
    """

    def __init__(
        self, sample_shape: tuple[int, ...], rows: Architecture, width: float, classes: int, *, fused: bool
    ) -> None:
        super().__init__(sample_shape, rows, width, fused=fused)
        self.projection = Projection(classes, self.dense.in_features)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:  # type: ignore[override]
        h = self.features(x)
        return self.dense(h).flatten() + cast(Tensor, self.projection(h, labels))

    def lipschitz_bound(self, norms: Mapping[str, float]) -> float:
        """As of ``ResNetDiscriminator``; the dense layer's vector and the label's add up."""
        return super().lipschitz_bound({**norms, "dense": norms["dense"] + norms["projection"]})


class ConcatenationDiscriminator(ResNetDiscriminator):
    """Gives the fourth block the label's vector beside the third's map: images, labels (B,) -> logits (B,).

    Args:
        sample_shape, rows, width, fused: as of ``ResNetDiscriminator``; the width multiplies the vector's
            dimension, too.
        classes: how many classes the labels tell apart.
    """

    def __init__(
        self, sample_shape: tuple[int, ...], rows: Architecture, width: float, classes: int, *, fused: bool
    ) -> None:
        dim = scaled(EMBEDDING, width)
        super().__init__(sample_shape, rows, width, fused=fused, beside=dim)
        self.concatenation = Concatenation(classes, dim)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:  # type: ignore[override]
        for i, block in enumerate(blocks(self), start=1):
            x = block(x)
            if i == CONCATENATED_AFTER:
                x = self.concatenation(x, labels)
        return self.dense(self.pooled(x)).flatten()


class AuxiliaryClassifier(ResNetDiscriminator):
    """Says of which class an image is, too: images -> logits (B,), class logits (B, classes).

    Args:
        sample_shape, rows, width, fused: as of ``ResNetDiscriminator``.
        classes: how many classes it tells apart.
    """

    def __init__(
        self, sample_shape: tuple[int, ...], rows: Architecture, width: float, classes: int, *, fused: bool
    ) -> None:
        super().__init__(sample_shape, rows, width, fused=fused)
        self.classifier = nn.Linear(self.dense.in_features, classes)
        glorot(self.classifier)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """``labels`` are for the loss alone: every conditional discriminator is called with them."""
        h = self.features(x)
        return self.dense(h).flatten(), self.classifier(h)


DISCRIMINATORS = {
    "projection": ProjectionDiscriminator,
    "concatenation": ConcatenationDiscriminator,
    "auxiliary_classifier": AuxiliaryClassifier,
}


def blocks(network: ResNetGenerator | ResNetDiscriminator) -> Iterator[nn.Module]:
    """Its residual blocks, from the first to the last."""
    return (network.get_submodule(f"block{i}") for i in range(1, network.depth + 1))


def scaled(channels: int, width: float) -> int:
    return max(1, round(width * channels))
