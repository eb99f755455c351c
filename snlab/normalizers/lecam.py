"""LeCam regularization (Tseng et al. 2021): each side's logits held near the other side's moving average."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from snlab.core.checks import check_positive
from snlab.core.distributed import global_mean
from snlab.normalizers.batch import Batch
from snlab.normalizers.normalizer import NORMALIZERS, Normalizer


@NORMALIZERS.register("lecam")
class LeCam(Normalizer):
    """Add λ (E[(f(x) - a_F)²] + E[(f(G(z)) - a_R)²]) to the loss (Tseng et al. 2021, R_LC).

    a_R and a_F are moving averages of the logits of real and of generated samples. They start at the first
    batch's means and move with every call of ``penalty``, before it uses them; they are its state. The
    authors' code differs from the paper in that a real logit below a_F, and a generated one above a_R, cost
    nothing there: this is the paper's.

    Args:
        weight: λ; 0.3 is the authors' for CIFAR-10.
        decay: of the averages, 0.99 in the paper: what an update leaves of what they were.
    """

    group = "penalties"

    def __init__(self, weight: float = 0.3, decay: float = 0.99) -> None:
        check_positive("weight", weight, or_zero=True)
        check_positive("decay", decay, or_zero=True)
        if decay >= 1:
            raise ValueError(f"decay wants a number below 1, got {decay!r}")
        self.weight = weight
        self.decay = decay
        self.averages: Tensor | None = None
        """a_R and a_F, (2,), on the device of the logits; None before the first batch."""

    def penalty(self, discriminator: Callable[..., Any], batch: Batch) -> Tensor:
        real, fake = batch.logits(discriminator)  # each (batch,)
        precise = torch.promote_types(real.dtype, torch.float32)  # under autocast they are bfloat16
        real, fake = real.to(precise), fake.to(precise)
        mean_real, mean_fake = self.moved(real.detach(), fake.detach())
        return self.weight * ((real - mean_fake).square().mean() + (fake - mean_real).square().mean())

    def moved(self, real: Tensor, fake: Tensor) -> Tensor:
        """a_R and a_F, (2,), once the logits of one more batch are in them."""
        means = torch.stack([global_mean(real), global_mean(fake)])
        if self.averages is None:
            self.averages = means
        else:
            self.averages = torch.lerp(self.averages.to(means), means, 1 - self.decay)
        return self.averages

    def state_dict(self) -> dict[str, Any]:
        return {"averages": self.averages}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.averages = state["averages"]
