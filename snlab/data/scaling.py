"""Between the bytes of images and what the networks see."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Scaling = Literal["symmetric", "released"]
LEVEL = {"symmetric": 1 / 127.5, "released": 1 / 128}  # what one grey level becomes


def scale(x: Tensor, scaling: Scaling = "symmetric") -> Tensor:
    """uint8 0..255 to float32: x / 127.5 - 1 in [-1, 1], or x / 128 - 1 as in the paper's released code.

    Anything else passes through.

    >>> scale(torch.tensor([0, 255], dtype=torch.uint8))
    tensor([-1.,  1.])
    """
    if x.dtype != torch.uint8:
        return x
    return x.float() / 127.5 - 1 if scaling == "symmetric" else x.float() / 128 - 1


def dequantise(x: Tensor, scaling: Scaling, generator: torch.Generator) -> Tensor:
    """Scaled images with uniform noise of one grey level added, which makes their density continuous.

    From 0 to one level as in the paper's released code (x / 128 - 1), else about 0.
    """
    noise = torch.rand(x.shape, generator=generator, device=x.device)
    return x + LEVEL[scaling] * (noise if scaling == "released" else noise - 0.5)


def to_uint8(x: Tensor) -> Tensor:
    """Images in [-1, 1] to uint8 0..255, rounded, clamped: the inverse of :func:`scale`.

    >>> to_uint8(torch.tensor([-2.0, -1.0, 0.004, 1.0]))
    tensor([  0,   0, 128, 255], dtype=torch.uint8)
    """
    return ((x + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
