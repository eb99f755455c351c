"""What a penalty is given: the samples of one discriminator update."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from snlab.core.distributed import global_count, shard
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

    def draw(self, sampler: Callable[..., Tensor], *shape: int) -> Tensor:
        """Random numbers for each sample, (batch, *shape): this rank's shard of those of the global batch.

        Args:
            sampler: ``torch.rand``, ``torch.randn``, or what else takes a size and their keywords.
            shape: of what one sample gets.
        """
        size = (global_count(len(self.real)), *shape)
        return shard(sampler(size, generator=self.stream, device=self.real.device, dtype=self.real.dtype))

    def gradient(self, discriminator: Callable[..., Any], samples: Tensor) -> Tensor:
        """The gradient of each logit of ``judged`` by its own sample, (batch, ...), with its graph."""
        samples = samples.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(
            self.judged(discriminator, samples).sum(), samples, create_graph=True
        )
        return gradient

    def logits(self, discriminator: Callable[..., Any]) -> tuple[Tensor, Tensor]:
        """The discriminator's logits of ``real`` and of ``fake``, each (batch,), with their graph."""
        real = self.judged(discriminator, self.real) if self.real_logits is None else self.real_logits
        fake = self.judged(discriminator, self.fake) if self.fake_logits is None else self.fake_logits
        return real, fake
