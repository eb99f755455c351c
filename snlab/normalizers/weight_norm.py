"""Weight normalization (Salimans and Kingma 2016), without its gain unless asked (Miyato et al. 2018)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from snlab.core.checks import check_flag
from snlab.nn.layers import effective_weight, output_dim, weight_layers
from snlab.normalizers.normalizer import NORMALIZERS, Normalizer


class DivideByRowNorms(nn.Module):
    """Parametrization: every row of the weight's matrix scaled to norm 1 (equation 25), times its gain."""

    def __init__(self, weight: Tensor, dim: int, gain: bool) -> None:
        super().__init__()
        self.within_row = [d for d in range(weight.ndim) if d != dim]
        # Starting from the row norms, so that attaching leaves the layer's function as it was.
        self.gain = nn.Parameter(self.norms(weight.detach())) if gain else None

    def norms(self, weight: Tensor) -> Tensor:
        """The norm of each row, of size 1 in every dimension but that of the outputs."""
        norms = torch.linalg.vector_norm(weight, dim=self.within_row, keepdim=True)
        return norms.clamp_min(torch.finfo(weight.dtype).tiny)

    def forward(self, weight: Tensor) -> Tensor:
        unit = weight / self.norms(weight)
        return unit if self.gain is None else self.gain * unit


@NORMALIZERS.register("weight_norm")
class WeightNorm(Normalizer):
    """Scale each row of every weight to norm 1, so that its squared singular values sum to C_out (Eq. 27).

    It keeps no state.

    Args:
        gain: learn a factor for each row, starting from the row's norm; the paper's comparison has none.
    """

    def __init__(self, gain: bool = False) -> None:
        check_flag("gain", gain)
        self.gain = gain

    def attach(self, discriminator: nn.Module) -> nn.Module:
        for layer in weight_layers(discriminator).values():
            division = DivideByRowNorms(effective_weight(layer), output_dim(layer), self.gain)
            parametrize.register_parametrization(layer, "weight", division)
        return discriminator
