"""Frobenius normalization: every weight scaled to Frobenius norm 1 (Miyato et al. 2018, equation 26)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from snlab.core.checks import check_flag
from snlab.nn.division import nonzero_norm
from snlab.normalizers.normalizer import NORMALIZERS, Scale
from snlab.normalizers.reparametrization import Gain, Reparametrization


class DivideByFrobeniusNorm(nn.Module):
    """Parametrization W / ‖W‖_F; zeros stay zeros."""

    scales = Scale.WHOLE

    def forward(self, weight: Tensor) -> Tensor:
        return weight / nonzero_norm(torch.linalg.vector_norm(weight))


@NORMALIZERS.register("frobenius_norm")
class FrobeniusNorm(Reparametrization):
    """Scale every weight to Frobenius norm 1 (Miyato et al. 2018, Eq. 26).

    Its squared singular values then sum to 1. It keeps no state. Its largest singular value lies between 1 /
    √rank and 1.

    Args:
        gain: learn one factor γ a layer, starting from the weight's largest singular value (equation 32,
            Table 7). That of W / ‖W‖_F is at most 1, so that a layer starts as large as it was or smaller.
    """

    scales = Scale.WHOLE

    def __init__(self, gain: bool = False) -> None:
        check_flag("gain", gain)
        self.gain = gain

    def parametrizations(self, weight: Tensor, layer: nn.Module) -> list[nn.Module]:
        division = DivideByFrobeniusNorm()
        return [division, Gain.learned(weight, layer)] if self.gain else [division]
