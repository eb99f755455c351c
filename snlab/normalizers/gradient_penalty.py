"""Gradient penalty (Gulrajani et al. 2017): the discriminator's gradient held near norm 1 between samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from snlab.core.checks import check_positive
from snlab.core.errors import nearest
from snlab.normalizers.batch import Batch
from snlab.normalizers.normalizer import NORMALIZERS, Normalizer

# How far a gradient's norm is from what is wanted, given norm - target.
EXCESS: dict[str, Callable[[Tensor], Tensor]] = {"two_sided": lambda x: x, "one_sided": F.relu}


@NORMALIZERS.register("gradient_penalty")
class GradientPenalty(Normalizer):
    """Add λ E[(‖∇f(x̂)‖ - 1)²] to the loss, x̂ between a fake and a real sample (Gulrajani et al. 2017).

    x̂ is uniform on the line from a generated to a real sample. It keeps no state.

    Args:
        weight: λ.
        kind: ``two_sided``, or ``one_sided`` where only norms above the target are penalised.
        target: the norm that is wanted.
    """

    group = "penalties"

    def __init__(self, weight: float = 10.0, kind: str = "two_sided", target: float = 1.0) -> None:
        check_positive("weight", weight, or_zero=True)
        check_positive("target", target, or_zero=True)
        if kind not in EXCESS:
            raise ValueError(f"unknown kind {kind!r}; {nearest(str(kind), EXCESS)}")
        self.weight = weight
        self.kind = kind
        self.target = target

    def penalty(self, discriminator: Callable[..., Any], batch: Batch) -> Tensor:
        real, fake = batch.real, batch.fake.to(batch.real.dtype)  # autocast's generator gives bfloat16
        epsilon = batch.draw(torch.rand, *[1] * (real.ndim - 1))  # (batch, 1, ...)
        between = torch.lerp(fake, real, epsilon)  # (batch, ...)
        norm = batch.gradient(discriminator, between).flatten(1).norm(dim=1)  # (batch,)
        return self.weight * EXCESS[self.kind](norm - self.target).square().mean()
