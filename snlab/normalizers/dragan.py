"""DRAGAN (Kodali et al. 2017): the discriminator's gradient held near norm 1 around the real samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from snlab.core.checks import check_positive
from snlab.core.distributed import global_mean
from snlab.normalizers.batch import Batch
from snlab.normalizers.normalizer import NORMALIZERS, Normalizer


@NORMALIZERS.register("dragan")
class Dragan(Normalizer):
    """Add λ E[(‖∇f(x + δ)‖ - k)²] to the loss, x real and δ a random perturbation (Kodali et al. 2017).

    As in the authors' code, δ = α · spread · s · u, with s the standard deviation of all the batch's entries,
    u uniform in [0, 1] for each entry, and α uniform in [0, 1] for each sample. (The paper writes a normal δ
    of variance c, whose value depends on the data's range.) It keeps no state.

    Args:
        weight: λ.
        spread: the largest perturbation of an entry, in standard deviations.
        target: k, the norm that is wanted.
    """

    group = "penalties"

    def __init__(self, weight: float = 10.0, spread: float = 0.5, target: float = 1.0) -> None:
        check_positive("weight", weight, or_zero=True)
        check_positive("spread", spread, or_zero=True)
        check_positive("target", target, or_zero=True)
        self.weight = weight
        self.spread = spread
        self.target = target

    def penalty(self, discriminator: Callable[..., Any], batch: Batch) -> Tensor:
        norm = batch.gradient(discriminator, self.points(batch)).flatten(1).norm(dim=1)  # (batch,)
        return self.weight * (norm - self.target).square().mean()

    def points(self, batch: Batch) -> Tensor:
        """Where the gradient is taken: a point near each real sample, (batch, ...)."""
        real = batch.real
        u = batch.draw(torch.rand, *real.shape[1:])  # (batch, ...)
        alpha = batch.draw(torch.rand, *[1] * (real.ndim - 1))  # (batch, 1, ...)
        return real + alpha * self.spread * standard_deviation(real) * u


def standard_deviation(x: Tensor) -> Tensor:
    """Of all entries of all ranks' shards of ``x`` (batch, ...) about their common mean, a scalar.

    >>> standard_deviation(torch.tensor([[1.0, 1.0], [3.0, 3.0]]))
    tensor(1.)
    """
    centred = x - global_mean(x.flatten(1).mean(1))
    return global_mean(centred.flatten(1).square().mean(1)).sqrt()
