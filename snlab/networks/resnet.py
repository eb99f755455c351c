"""The ResNets of Miyato et al. 2018 and of Gulrajani et al. 2017, each a table of rows.

What the tables leave open is as in the code released with them (sngan_projection, and gan_cifar_resnet.py of
improved_wgan_training).
"""

from __future__ import annotations

from snlab.core.checks import check_flag, check_positive, check_whole
from snlab.core.errors import nearest
from snlab.networks.conditional_resnet import DISCRIMINATORS
from snlab.networks.network import NETWORKS, Network, unfit
from snlab.networks.residual import Architecture, ResNetDiscriminator, ResNetGenerator

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
