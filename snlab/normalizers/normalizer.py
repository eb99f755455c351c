"""The interface of a normalizer, and how several become one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntFlag
from itertools import combinations
from typing import Any, Literal

import torch
from torch import Tensor, nn

from snlab.core.errors import UserError
from snlab.core.registry import Registry
from snlab.nn import layers
from snlab.normalizers.batch import Batch

Group = Literal["", "weights", "layers", "penalties", "functions"]
GROUPS: dict[Group, str] = {  # as they are listed, with what each is
    "": "",
    "weights": "what a layer multiplies by is set, bounded or initialised",
    "layers": "inserted before each activation",
    "penalties": "added to the discriminator's loss",
    "functions": "the discriminator's logit is made another function of its input",
}


class Scale(IntFlag):
    """What of a weight has its scale set. Setting as much, or more, a second time undoes the first."""

    NOTHING = 0
    WHOLE = 1
    ROWS = 2

    def undoes(self, earlier: Scale) -> bool:
        """Whether any part of ``earlier`` is lost: its coarsest is the first to go.

        >>> Scale.WHOLE.undoes(Scale.ROWS), Scale.WHOLE.undoes(Scale.ROWS | Scale.WHOLE)
        (False, True)
        """
        coarsest = earlier & -earlier
        return 0 < coarsest <= self


class Normalizer:
    """What controls a discriminator. Each part does nothing until a subclass says otherwise.

    A training loop calls ``attach`` once, and then in each discriminator update ``before_update``, adds
    ``penalty`` to the loss, steps the optimizer and calls ``after_update``. Any ``nn.Module`` will do as
    the discriminator.
    """

    scales = Scale.NOTHING
    """What of each weight it sets the scale of, so that a composition in which that is lost is refused."""

    group: Group = ""
    """Under which of ``GROUPS`` it is listed; under none, before them all, unless it says so."""

    def check(self, discriminator: nn.Module) -> None:
        """UserError where ``attach`` would refuse ``discriminator``; called before anything is changed."""

    def attach(self, discriminator: nn.Module) -> nn.Module:
        """Change ``discriminator`` in place, once, before training; returns it."""
        return discriminator

    def before_update(self, discriminator: nn.Module) -> None:
        """Advance what is kept from update to update, such as power-iteration vectors."""

    def penalty(self, discriminator: nn.Module, batch: Batch) -> Tensor:
        """What is added to the discriminator's loss, its weight included: a scalar.

        Args:
            discriminator: maps (batch, ...) to logits (batch,); one that reads no weights takes any callable.
            batch: the update's samples, ``Batch(real, fake)``.
        """
        return batch.real.new_zeros(())

    def after_update(self, discriminator: nn.Module) -> None:
        """Correct the parameters after the optimizer's step, as weight clipping does."""

    def state_dict(self) -> dict[str, Any]:
        """What is kept from update to update outside of the discriminator, as moving averages are."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what ``state_dict`` gave."""

    def effective_weight(self, layer: nn.Module, parameter: str = "weight") -> Tensor:
        """The weight that ``layer`` multiplies by, in the layer's own shape."""
        return layers.effective_weight(layer, parameter)


NORMALIZERS: Registry[Normalizer] = Registry("normalizer", Normalizer)


class Composition(Normalizer):
    """Several normalizers as one: attached and called in the order given, their penalties added.

    Raises:
        UserError: one sets the scale of what an earlier one had set it of, which leaves that without effect;
            or one that inserts layers, or changes the function, stands twice.
    """

    def __init__(self, parts: Sequence[Normalizer]) -> None:
        self.parts = tuple(parts)
        for earlier, later in combinations(self.parts, 2):
            if type(earlier) is type(later) and later.group in ("layers", "functions"):
                raise UserError(f"{type(later).__name__} stands twice; it can be attached once")
            if later.scales.undoes(earlier.scales):
                first, last = type(earlier).__name__, type(later).__name__
                raise UserError(
                    f"{last} after {first} is {last} alone, at the cost of both: leave {first} out"
                )
        for part in self.parts:
            self.scales |= part.scales

    def check(self, discriminator: nn.Module) -> None:
        for part in self.parts:
            part.check(discriminator)

    def attach(self, discriminator: nn.Module) -> nn.Module:
        self.check(discriminator)
        for part in self.parts:
            discriminator = part.attach(discriminator)
        return discriminator

    def before_update(self, discriminator: nn.Module) -> None:
        for part in self.parts:
            part.before_update(discriminator)

    def penalty(self, discriminator: nn.Module, batch: Batch) -> Tensor:
        return torch.stack([part.penalty(discriminator, batch) for part in self.parts]).sum()

    def after_update(self, discriminator: nn.Module) -> None:
        for part in self.parts:
            part.after_update(discriminator)

    def state_dict(self) -> dict[str, Any]:
        return {str(i): part.state_dict() for i, part in enumerate(self.parts)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for i, part in enumerate(self.parts):
            part.load_state_dict(state[str(i)])


def normalizer(text: str) -> Normalizer:
    """The normalizer that ``text`` names, as in ``spectral_norm+gradient_penalty(weight=1)``."""
    parts = NORMALIZERS.build_all(text)
    return parts[0] if len(parts) == 1 else Composition(parts)
