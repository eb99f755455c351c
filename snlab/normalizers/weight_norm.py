"""Weight normalization (Salimans and Kingma 2016), without its gain unless asked (Miyato et al. 2018)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

from snlab.layers import as_matrix, effective_weight, output_dim, weight_layers
from snlab.normalizers.normalizer import NORMALIZERS, Normalizer
from snlab.options import check_flag


class DivideByRowNorms(nn.Module):
    """Parametrization: every row of the weight's matrix scaled to norm 1 (equation 25), times its gain."""

    def __init__(self, weight: Tensor, dim: int, gain: bool) -> None:
        super().__init__()
        self.dim = dim
        # Starting from the row norms, so that attaching leaves the layer's function as it was.
        norms = as_matrix(weight.detach(), dim).norm(dim=1)
        self.gain = nn.Parameter(norms) if gain else None

    def forward(self, weight: Tensor) -> Tensor:
        rows = weight.movedim(self.dim, 0)
        unit = F.normalize(rows.flatten(1), dim=1).view_as(rows)
        if self.gain is not None:
            unit = unit * self.gain.view(-1, *[1] * (unit.ndim - 1))
        return unit.movedim(0, self.dim)


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
