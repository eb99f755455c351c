"""Weight normalization (Salimans and Kingma 2016), without its gain unless asked (Miyato et al. 2018)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from snlab.nn.division import nonzero_norm
from snlab.nn.layers import output_dim
from snlab.normalizers.normalizer import NORMALIZERS, Scale
from snlab.normalizers.reparametrization import Gain, Reparametrization


class DivideByRowNorms(nn.Module):
    """Parametrization: every row of the weight's matrix scaled to norm 1 (equation 25), times its gain.

    A row of zeros stays one.
    """

    scales = Scale.ROWS

    def __init__(self, weight: Tensor, dim: int, gain: bool) -> None:
        super().__init__()
        self.within_row = [d for d in range(weight.ndim) if d != dim]
        # Starting from the row norms, so that attaching leaves the layer's function as it was.
        self.gain = nn.Parameter(self.norms(weight.detach())) if gain else None

    def norms(self, weight: Tensor) -> Tensor:
        """The norm of each row, of size 1 in every dimension but that of the outputs."""
        return nonzero_norm(torch.linalg.vector_norm(weight, dim=self.within_row, keepdim=True))

    def forward(self, weight: Tensor) -> Tensor:
        unit = weight / self.norms(weight)
        return unit if self.gain is None else self.gain * unit


@NORMALIZERS.register("weight_norm")
class WeightNorm(Reparametrization):
    """Scale each row of every weight to norm 1 (Salimans and Kingma 2016; no gain, as Miyato et al. 2018).

    The squared singular values of a weight then sum to C_out (equation 27). It keeps no state.

    Args:
        gain: what is learned besides; the paper's comparison has nothing. ``true``: a factor for each row,
            starting from the row's norm, so that attaching leaves the layer's function as it was (Salimans
            and Kingma 2016). ``layer``: one factor γ for the whole weight, starting from its largest singular
            value (equation 32); with rows of norm 1 a layer starts as large as it was or larger. Which of
            the two Table 7 has, the paper does not say.
    """

    def __init__(self, gain: bool | str = False) -> None:
        if not isinstance(gain, bool) and gain != "layer":
            raise ValueError(f"gain wants true, false or layer, got {gain!r}")
        self.gain = gain
        self.scales = Scale.ROWS | Scale.WHOLE if gain == "layer" else Scale.ROWS

    def parametrizations(self, weight: Tensor, layer: nn.Module) -> list[nn.Module]:
        rows = DivideByRowNorms(weight, output_dim(layer), gain=self.gain is True)
        return [rows, Gain.learned(weight, layer)] if self.gain == "layer" else [rows]
