"""The interface of a normalizer, and how several become one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from snlab.core.registry import Registry
from snlab.nn import layers

NORMALIZERS: Registry[Normalizer] = Registry("normalizer")


class Normalizer:
    """What controls a discriminator. Each of the four parts does nothing until a subclass says otherwise.

    A training loop calls ``attach`` once, and then in each discriminator update ``before_update``, adds
    ``penalty`` to the loss, steps the optimizer and calls ``after_update``. Any ``nn.Module`` will do as
    the discriminator.
    """

    def attach(self, discriminator: nn.Module) -> nn.Module:
        """Change ``discriminator`` in place, once, before training; returns it."""
        return discriminator

    def before_update(self, discriminator: nn.Module) -> None:
        """Advance what is kept from update to update, such as power-iteration vectors."""

    def penalty(
        self,
        discriminator: Callable[[Tensor], Tensor],
        real: Tensor,
        fake: Tensor,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """What is added to the discriminator's loss, its weight included: a scalar.

        Args:
            discriminator: maps (batch, ...) to logits (batch,).
            real: real samples, (batch, ...), of any float dtype.
            fake: generated samples, of the same shape, without a graph to the generator.
            generator: the random stream to draw from; the global one if None.
        """
        return real.new_zeros(())

    def after_update(self, discriminator: nn.Module) -> None:
        """Correct the parameters after the optimizer's step, as weight clipping does."""

    def effective_weight(self, layer: nn.Module) -> Tensor:
        """The weight that ``layer`` multiplies by, in the layer's own shape."""
        return layers.effective_weight(layer)


class Composition(Normalizer):
    """Several normalizers as one: attached and called in the order given, their penalties added."""

    def __init__(self, parts: Sequence[Normalizer]) -> None:
        self.parts = tuple(parts)

    def attach(self, discriminator: nn.Module) -> nn.Module:
        for part in self.parts:
            discriminator = part.attach(discriminator)
        return discriminator

    def before_update(self, discriminator: nn.Module) -> None:
        for part in self.parts:
            part.before_update(discriminator)

    def penalty(
        self,
        discriminator: Callable[[Tensor], Tensor],
        real: Tensor,
        fake: Tensor,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        penalties = [part.penalty(discriminator, real, fake, generator) for part in self.parts]
        return torch.stack(penalties).sum()

    def after_update(self, discriminator: nn.Module) -> None:
        for part in self.parts:
            part.after_update(discriminator)


def normalizer(text: str) -> Normalizer:
    """The normalizer that ``text`` names, as in ``spectral_norm+gradient_penalty(weight=1)``."""
    parts = NORMALIZERS.build_all(text)
    return parts[0] if len(parts) == 1 else Composition(parts)
