"""Whole arrays of images made smaller by a whole number."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def shrunk(images: Tensor, factor: int) -> Tensor:
    """Each pixel the mean of ``factor`` x ``factor``, rounded, a half to even: uint8 (n, C, H, W) likewise.

    >>> shrunk(torch.tensor([[[[0, 2], [4, 5]]]], dtype=torch.uint8), 2)
    tensor([[[[3]]]], dtype=torch.uint8)
    """
    if factor == 1:
        return images
    return F.avg_pool2d(images.float(), factor).round().to(torch.uint8)
