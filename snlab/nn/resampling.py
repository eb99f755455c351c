"""A convolution and the resampling beside it as one operation: the same function with less arithmetic.

Nearest upsampling repeats every entry, and a 3 x 3 convolution of it multiplies equal entries by different
weights: adding those weights first gives a 4 x 4 transposed convolution of stride 2 on the small image. In
the same way a 3 x 3 convolution and a 2 x 2 mean are one 4 x 4 convolution of stride 2. A 1 x 1 convolution
commutes with both and is done on the small image.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ResampledConv2d(nn.Conv2d):
    """A convolution of kernel 1 or 3 that keeps the size of what it is given, next to a change of size.

    ``weight`` and ``bias`` are the convolution's own, whichever way the output is computed: what normalizes
    or measures them sees an ordinary convolution.

    Args:
        in_channels, out_channels: as of every convolution.
        kernel_size: 1 or 3.
        fused: compute both as one operation; else one after the other, as they are written. The two differ
            by rounding alone.

    Raises:
        ValueError: for another kernel_size.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, fused: bool = True) -> None:
        if kernel_size not in (1, 3):
            raise ValueError(f"kernel_size is 1 or 3, got {kernel_size}")
        super().__init__(in_channels, out_channels, kernel_size, padding=kernel_size // 2)
        self.fused = fused

    def convolve(self, x: Tensor) -> Tensor:
        """The convolution by itself, (B, C_in, H, W) -> (B, C_out, H, W)."""
        return super().forward(x)


class UpsampledConv2d(ResampledConv2d):
    """Nearest upsampling by 2, then a convolution: (B, C_in, H, W) -> (B, C_out, 2H, 2W).

    >>> layer = UpsampledConv2d(2, 3, kernel_size=3)
    >>> layer(torch.zeros(1, 2, 4, 4)).shape, layer.weight.shape
    (torch.Size([1, 3, 8, 8]), torch.Size([3, 2, 3, 3]))
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.fused:
            return self.convolve(self.upsample(x))
        if self.kernel_size == (1, 1):
            return self.upsample(self.convolve(x))
        # A transposed convolution walks its kernel the other way, and names the inputs first.
        weight = self.weight  # (C_out, C_in, 3, 3)
        last = weight.is_contiguous(memory_format=torch.channels_last)
        layout = torch.channels_last if last else torch.contiguous_format
        kernel = weight.flip(2, 3).transpose(0, 1).contiguous(memory_format=layout)  # (C_in, C_out, 3, 3)
        return F.conv_transpose2d(x, _sums_of_neighbours(kernel), self.bias, stride=2, padding=1)

    def upsample(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, 2H, 2W)."""
        return F.interpolate(x, scale_factor=2, mode="nearest")


class PooledConv2d(ResampledConv2d):
    """A convolution, then the mean of every 2 x 2: (B, C_in, H, W) -> (B, C_out, H // 2, W // 2).

    >>> layer = PooledConv2d(2, 3, kernel_size=3)
    >>> layer(torch.zeros(1, 2, 8, 8)).shape, layer.weight.shape
    (torch.Size([1, 3, 4, 4]), torch.Size([3, 2, 3, 3]))
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.fused:
            return F.avg_pool2d(self.convolve(x), 2)
        if self.kernel_size == (1, 1):
            return self.convolve(F.avg_pool2d(x, 2))
        return F.conv2d(x, _sums_of_neighbours(self.weight) / 4, self.bias, stride=2, padding=1)


def _sums_of_neighbours(weight: Tensor) -> Tensor:
    """Kernels convolved with a 2 x 2 box of ones, (..., 3, 3) -> (..., 4, 4), in the layout they have."""
    padded = F.pad(weight, (1, 1, 1, 1))  # (..., 5, 5)
    rows = padded[..., 1:, :] + padded[..., :-1, :]  # (..., 4, 5)
    return rows[..., 1:] + rows[..., :-1]
