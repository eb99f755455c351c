"""R1 and R2 (Mescheder et al. 2018): the discriminator's gradient held near zero at the samples."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

from torch import Tensor

from snlab.core.checks import check_positive
from snlab.normalizers.batch import Batch
from snlab.normalizers.normalizer import NORMALIZERS, Normalizer


class ZeroCenteredPenalty(Normalizer):
    """(γ/2) E[‖∇f(x)‖²] over the samples that ``where`` takes from a batch."""

    group = "penalties"

    def __init__(self, weight: float = 10.0) -> None:
        check_positive("weight", weight, or_zero=True)
        self.weight = weight

    @abstractmethod
    def where(self, batch: Batch) -> Tensor:
        """The samples at which the gradient is taken, (batch, ...)."""

    def penalty(self, discriminator: Callable[..., Any], batch: Batch) -> Tensor:
        gradient = batch.gradient(discriminator, self.where(batch))  # (batch, ...)
        return self.weight / 2 * gradient.flatten(1).square().sum(1).mean()


@NORMALIZERS.register("r1")
class R1(ZeroCenteredPenalty):
    """Add (γ/2) E[‖∇f(x)‖²], x real, to the loss (Mescheder et al. 2018, Eq. 9).

    It keeps no state. With ``r2`` beside it, and the loss ``relativistic_pairing``, it is R3GAN's (Huang et
    al. 2024).

    Args:
        weight: γ; 10 in the paper's experiments.
    """

    def where(self, batch: Batch) -> Tensor:
        return batch.real


@NORMALIZERS.register("r2")
class R2(ZeroCenteredPenalty):
    """Add (γ/2) E[‖∇f(x)‖²], x generated, to the loss (Mescheder et al. 2018, Eq. 10).

    It keeps no state.

    Args:
        weight: γ; 10 in the paper's experiments.
    """

    def where(self, batch: Batch) -> Tensor:
        return batch.fake.to(batch.real.dtype)  # autocast's generator gives bfloat16
