"""A data set, a network, a loss and a normalizer of one's own."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from snlab.data import DATASETS, DataSet
from snlab.losses import LOSSES, Loss
from snlab.networks import NETWORKS, Network
from snlab.normalizers import NORMALIZERS, Batch, Normalizer


@DATASETS.register("spiral")
def spiral(turns: float = 2.0, size: int = 256) -> DataSet:
    """Points on a spiral, a quarter of them held out."""
    draw = torch.Generator().manual_seed(0)
    angle = torch.rand(size, generator=draw) * turns * 2 * torch.pi
    points = torch.stack([angle.cos(), angle.sin()], dim=1) * angle[:, None] / 10
    return DataSet("spiral", train=points[size // 4 :], heldout=points[: size // 4])


def layers(first: int, width: int, last: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(first, width), nn.ReLU(), nn.Linear(width, last))


@NETWORKS.register("tiny")
class Tiny(Network):
    """Two layers each way."""

    def __init__(self, width: int = 16, latent_dim: int = 4) -> None:
        self.width, self.latent_dim = width, latent_dim

    def generator(self, sample_shape: tuple[int, ...]) -> nn.Module:
        return nn.Sequential(
            nn.Linear(self.latent_dim, self.width), nn.ReLU(), nn.Linear(self.width, *sample_shape)
        )

    def discriminator(self, sample_shape: tuple[int, ...]) -> nn.Module:
        return nn.Sequential(
            nn.Linear(*sample_shape, self.width), nn.ReLU(), nn.Linear(self.width, 1), nn.Flatten(0)
        )


@LOSSES.register("soft_hinge")
def soft_hinge(margin: float = 1.0) -> Loss:
    """The hinge loss with its corner rounded."""

    def discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return F.softplus(margin - real_logits).mean() + F.softplus(margin + fake_logits).mean()

    return Loss(discriminator, lambda fake_logits, real_logits: -fake_logits.mean())


@NORMALIZERS.register("small_logits")
class SmallLogits(Normalizer):
    """The mean square of the logits of real samples."""

    group = "penalties"

    def __init__(self, weight: float = 0.1) -> None:
        self.weight = weight

    def penalty(self, discriminator: nn.Module, batch: Batch) -> Tensor:
        return self.weight * batch.logits(discriminator)[0].square().mean()
