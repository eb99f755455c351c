"""Weight clipping (Arjovsky et al. 2017), of convolutions unless told (Miyato et al. 2018, section 4)."""

from __future__ import annotations

import warnings

import torch
from torch import nn

from snlab.core.checks import check_positive
from snlab.core.errors import nearest
from snlab.nn.layers import CONVOLUTIONS, raw_weight, weights
from snlab.normalizers.normalizer import NORMALIZERS, Normalizer
from snlab.normalizers.reparametrization import check_settled

LAYERS: dict[str, tuple[type[nn.Module], ...]] = {"convolutions": CONVOLUTIONS, "all": (nn.Module,)}


@NORMALIZERS.register("weight_clipping")
class WeightClipping(Normalizer):
    """Clip every entry of the weights to [-c, c] after each update (Arjovsky et al. 2017).

    Biases are left alone. What is clipped is the parameter that the optimizer moves, and not before its first
    step, as in Algorithm 1 of Arjovsky et al. 2017. It keeps no state.

    Args:
        c: the largest absolute value that an entry keeps.
        layers: ``convolutions``, transposed ones among them, as in the paper's comparison; or ``all``, the
            dense, recurrent, embedding and attention layers' weights too.
    """

    group = "weights"

    def __init__(self, c: float = 0.01, layers: str = "convolutions") -> None:
        check_positive("c", c)
        if layers not in LAYERS:
            raise ValueError(f"unknown layers {layers!r}; {nearest(str(layers), LAYERS)}")
        self.c = c
        self.layers = layers

    def check(self, discriminator: nn.Module) -> None:
        check_settled(type(self).__name__, discriminator)

    def attach(self, discriminator: nn.Module) -> nn.Module:
        self.check(discriminator)
        if not self._clipped(discriminator):
            warnings.warn(
                f"WeightClipping(layers={self.layers!r}) finds nothing to clip in"
                f" {type(discriminator).__name__}",
                stacklevel=2,
            )
        return discriminator

    @torch.no_grad()
    def after_update(self, discriminator: nn.Module) -> None:
        for layer, parameter in self._clipped(discriminator):
            raw_weight(layer, parameter).clamp_(-self.c, self.c)

    def _clipped(self, discriminator: nn.Module) -> list[tuple[nn.Module, str]]:
        found = weights(discriminator).values()
        return [where for where in found if isinstance(where[0], LAYERS[self.layers])]
