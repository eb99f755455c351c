"""What a penalty is given: the samples of one discriminator update."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from snlab.nn.conditional import judge


@dataclass(frozen=True, eq=False)
class Batch:
    """The samples of one discriminator update, and what the discriminator made of them.

    ``Batch(real, fake)`` is all that a loop has to say: what else is needed is computed then.

    Args:
        real: real samples, (batch, ...), of any float dtype.
        fake: generated samples, of the same shape, without a graph to the generator.
        labels: int64 (batch,), of the real and the generated sample in each place; None without.
        real_logits: the discriminator's of ``real``, (batch,), with their graph.
        fake_logits: of ``fake``, likewise.
        stream: the random numbers to draw from; the global ones if None.
    """

    real: Tensor
    fake: Tensor
    labels: Tensor | None = None
    real_logits: Tensor | None = None
    fake_logits: Tensor | None = None
    stream: torch.Generator | None = None

    def judged(self, discriminator: Callable[..., Any], samples: Tensor) -> Tensor:
        """The discriminator's logits (batch,) of other samples in the places of these, with their labels."""
        return judge(discriminator, samples, self.labels)[0]

    def logits(self, discriminator: Callable[..., Any]) -> tuple[Tensor, Tensor]:
        """The discriminator's logits of ``real`` and of ``fake``, each (batch,), with their graph."""
        real = self.judged(discriminator, self.real) if self.real_logits is None else self.real_logits
        fake = self.judged(discriminator, self.fake) if self.fake_logits is None else self.fake_logits
        return real, fake
