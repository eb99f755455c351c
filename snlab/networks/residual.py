"""The residual blocks of a GAN's ResNets (Gulrajani et al. 2017; Miyato et al. 2018, Figure 8).

They start as in the code that Miyato et al. released: Glorot's uniform distribution, times sqrt(2) in the
convolutions of the residual branch, biases at 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from torch import Tensor, nn

from snlab.nn.conditional import given
from snlab.nn.resampling import PooledConv2d, UpsampledConv2d

POOLING_NORM = 0.5  # of a 2 x 2 mean, as a linear map: the mean of four entries is at most half their norm


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
