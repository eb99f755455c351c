"""Orthonormal regularization (Brock et al. 2016; Miyato et al. 2018, equation 14): every W near WᵀW = I."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from snlab.core.checks import check_flag, check_positive
from snlab.nn.layers import as_matrix, as_matrix_in_memory_order, output_dim, raw_weight, weights
from snlab.nn.power_iteration import in_its_own_precision
from snlab.normalizers.batch import Batch
from snlab.normalizers.normalizer import NORMALIZERS, Normalizer
from snlab.normalizers.reparametrization import check_settled


@NORMALIZERS.register("orthonormal")
class Orthonormal(Normalizer):
    """Start every weight orthonormal, and add λ Σ ‖WᵀW - I‖² to the loss (Brock et al. 2016).

    It is equation 14 of Miyato et al. 2018, in the Frobenius norm. The Gram matrix is the smaller one, WWᵀ
    where W is wide: the other cannot reach I, and its penalty is the same but for a constant. W is the weight
    that the layer multiplies by; where another normalizer computes that, what starts orthonormal is the
    parameter it is computed from. It keeps no state.

    Args:
        weight: λ; 0 for no penalty. Miyato et al. print none: this is the one in the code of Brock et al.,
            whose penalty is the sum of the entries' absolute values.
        initialise: at ``attach``, replace each weight by the orthonormal matrix that is nearest to it (its
            polar factor), which of Gaussian weights is uniform over such matrices (Saxe et al. 2014).
    """

    group = "weights"

    def __init__(self, weight: float = 0.001, initialise: bool = True) -> None:
        check_positive("weight", weight, or_zero=True)
        check_flag("initialise", initialise)
        self.weight = weight
        self.initialise = initialise

    def check(self, discriminator: nn.Module) -> None:
        check_settled(type(self).__name__, discriminator)

    @torch.no_grad()
    def attach(self, discriminator: nn.Module) -> nn.Module:
        self.check(discriminator)
        if self.initialise:
            for layer, parameter in weights(discriminator).values():
                raw, dim = raw_weight(layer, parameter), output_dim(layer)
                nearest = nearest_orthonormal(as_matrix(raw, dim))
                raw.copy_(nearest.unflatten(1, raw.movedim(dim, 0).shape[1:]).movedim(0, dim))
        return discriminator

    def penalty(self, discriminator: nn.Module, batch: Batch) -> Tensor:
        total = batch.real.new_zeros(())
        if self.weight > 0:
            for layer, parameter in weights(discriminator).values():
                weight = self.effective_weight(layer, parameter)
                total = total + distance(as_matrix_in_memory_order(weight, output_dim(layer)))
        return self.weight * total


def distance(matrix: Tensor) -> Tensor:
    """‖MMᴴ - I‖², or ‖MᴴM - I‖² where that is the smaller matrix, for M of shape (m, n): a scalar.

    >>> distance(torch.tensor([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]]))  # (2² - 1)²
    tensor(9.)
    """
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.mH
    with in_its_own_precision(matrix):
        gram = wide @ wide.mH
        difference = (gram - torch.eye(len(gram), dtype=gram.dtype, device=gram.device)).flatten()
        return torch.vdot(difference, difference).real


def nearest_orthonormal(matrix: Tensor) -> Tensor:
    """The matrix nearest to ``matrix`` (m, n) whose columns, or rows where it is wide, are orthonormal.

    It is UVᴴ of the singular value decomposition UΣVᴴ, here of the small triangular factor (Chan 1982).

    >>> nearest_orthonormal(torch.tensor([[3.0, 0.0, 0.0], [0.0, -2.0, 0.0]]))
    tensor([[ 1.,  0.,  0.],
            [ 0., -1.,  0.]])
    """
    if matrix.shape[0] < matrix.shape[1]:
        return nearest_orthonormal(matrix.mH).mH
    precise = matrix.to(torch.promote_types(matrix.dtype, torch.float32))  # no decomposition in half
    q, r = torch.linalg.qr(precise)
    u, _, vh = torch.linalg.svd(r)
    return q @ (u @ vh)
