"""Consistency regularization (Zhang et al. 2020, CR-GAN): augmented real samples judged as they were."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from snlab.core.checks import check_flag, check_positive, check_whole
from snlab.core.errors import UserError
from snlab.normalizers.batch import Batch
from snlab.normalizers.normalizer import NORMALIZERS, Normalizer


@NORMALIZERS.register("consistency")
class Consistency(Normalizer):
    """Add λ E[(f(x) - f(T(x)))²] to the loss, x real and T a random augmentation (Zhang et al. 2020, L_cr).

    T flips an image from left to right, every other time, and shifts it by a few pixels, the rows and columns
    that come in being the image mirrored at its edge. What is no image, (batch, C, H, W), has normal noise
    added instead: that is no part of the paper. It keeps no state.

    Args:
        weight: λ; 10 in the paper.
        shift: the most pixels to shift by, in each direction; the paper says a few.
        flip: whether images are flipped.
        noise: standard deviation of what is added to vectors.
    """

    group = "penalties"

    def __init__(self, weight: float = 10.0, shift: int = 4, flip: bool = True, noise: float = 0.05) -> None:
        check_positive("weight", weight, or_zero=True)
        check_whole("shift", shift, least=0)
        check_flag("flip", flip)
        check_positive("noise", noise, or_zero=True)
        self.weight = weight
        self.shift = shift
        self.flip = flip
        self.noise = noise

    def penalty(self, discriminator: Callable[..., Any], batch: Batch) -> Tensor:
        real = batch.real_logits
        if real is None:
            real = batch.judged(discriminator, batch.real)
        augmented = batch.judged(discriminator, self.augmented(batch))
        return self.weight * (real - augmented).square().mean()

    def augmented(self, batch: Batch) -> Tensor:
        """T(x) of the real samples, (batch, ...)."""
        x = batch.real
        if x.ndim != 4:
            return x + self.noise * batch.draw(torch.randn, *x.shape[1:])
        smallest = min(x.shape[2:])
        if self.shift >= smallest:
            size = f"{x.shape[2]} x {x.shape[3]}"
            raise UserError(
                f"consistency's shift is {self.shift}; images of {size} want one below {smallest}"
            )
        by = batch.draw(partial(torch.randint, -self.shift, self.shift + 1), 2)  # (batch, 2)
        flipped = batch.draw(partial(torch.randint, 1 + self.flip))  # (batch,)
        return moved(x, by.long(), flipped.bool())


def moved(images: Tensor, by: Tensor, flipped: Tensor) -> Tensor:
    """Images shifted, mirrored at the edges that come in, and then flipped from left to right where told.

    Args:
        images: (batch, C, H, W).
        by: rows downwards and columns to the right, int64 (batch, 2), each less than H and W in size.
        flipped: bool (batch,).

    >>> image = torch.arange(4.0).view(1, 1, 1, 4)
    >>> moved(image, torch.tensor([[0, 1]]), torch.tensor([False])).flatten()
    tensor([1., 0., 1., 2.])
    """
    n, _, height, width = images.shape
    rows = _mirrored(torch.arange(height, device=images.device) - by[:, :1], height)  # (batch, H)
    columns = _mirrored(torch.arange(width, device=images.device) - by[:, 1:], width)  # (batch, W)
    columns = torch.where(flipped[:, None], columns.flip(1), columns)
    sample = torch.arange(n, device=images.device)[:, None, None]
    found = images.permute(0, 2, 3, 1)[sample, rows[:, :, None], columns[:, None, :]]  # (batch, H, W, C)
    return torch.empty_like(images).copy_(found.permute(0, 3, 1, 2))  # laid out as they were


def _mirrored(index: Tensor, size: int) -> Tensor:
    """Indices between -size and 2 size - 1, each at its mirror image inside where it lies outside."""
    return (size - 1) - ((size - 1) - index.abs()).abs()
