"""An exponential moving average of a network, kept on its device without waiting for it."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn


class MovingAverage(nn.Module):
    """A copy of ``module`` as it is now, from here on the average of what ``update`` is given.

    Torch's own AveragedModel asks the device at every update whether it is the first.

    Args:
        module: what to average, its floating-point buffers included; of other buffers the newest are kept.
        decay: β of average = β average + (1 - β) module, at least 0 and below 1.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        super().__init__()
        self.module = copy.deepcopy(module).requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Move the average towards ``module``, which has the layers of the one that was copied."""
        averages, values = ([*m.parameters(), *m.buffers()] for m in (self.module, module))
        floating = [x.is_floating_point() or x.is_complex() for x in averages]
        if any(floating):  # a fixed generator may have nothing to average
            torch._foreach_lerp_(_where(floating, averages), _where(floating, values), 1 - self.decay)
        for average, value, averaged in zip(averages, values, floating, strict=True):
            if not averaged:
                average.copy_(value)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Also what earlier versions saved, by AveragedModel."""
        state_dict.pop(f"{prefix}n_averaged", None)
        super()._load_from_state_dict(state_dict, prefix, *args)


def _where(wanted: list[bool], tensors: list[torch.Tensor]) -> list[torch.Tensor]:
    return [tensor for tensor, is_wanted in zip(tensors, wanted, strict=True) if is_wanted]
