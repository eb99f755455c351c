"""Spectral norm regularization (Yoshida and Miyato 2017): the weights' largest singular values penalised."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from snlab.core.checks import check_positive, check_whole
from snlab.nn.layers import as_matrix_in_memory_order, output_dim, raw_weight, weights
from snlab.nn.power_iteration import in_its_own_precision, power_iteration
from snlab.normalizers.batch import Batch
from snlab.normalizers.normalizer import NORMALIZERS, Normalizer
from snlab.normalizers.reparametrization import check_settled


@NORMALIZERS.register("spectral_regularization")
class SpectralRegularization(Normalizer):
    """Add (λ/2) Σ σ(W)² to the loss, over the layers' weights (Yoshida and Miyato 2017, section 3.2).

    W is the parameter that the optimizer moves, also where another normalizer computes a weight from it; no
    weight is changed. σ is estimated by power iteration, once a discriminator update (``before_update``): its
    vector u, random at first, is a buffer of its layer, so the discriminator's state dict holds it.

    Args:
        weight: λ; 0.01 in the paper.
        iterations: rounds of power iteration in each discriminator update.
    """

    group = "penalties"

    def __init__(self, weight: float = 0.01, iterations: int = 1) -> None:
        check_positive("weight", weight, or_zero=True)
        check_whole("iterations", iterations, least=1)
        self.weight = weight
        self.iterations = iterations

    def check(self, discriminator: nn.Module) -> None:
        check_settled(type(self).__name__, discriminator)

    def attach(self, discriminator: nn.Module) -> nn.Module:
        self.check(discriminator)
        for layer, parameter in weights(discriminator).values():
            u = torch.randn_like(_matrix(layer, parameter)[:, 0].detach())
            layer.register_buffer(_name(parameter), F.normalize(u, dim=0))
        return discriminator

    @torch.no_grad()
    def before_update(self, discriminator: nn.Module) -> None:
        for matrix, u in _regularized(discriminator):
            u.copy_(power_iteration(matrix, u, self.iterations)[0])

    def penalty(self, discriminator: nn.Module, batch: Batch) -> Tensor:
        total = batch.real.new_zeros(())
        for matrix, u in _regularized(discriminator):
            with in_its_own_precision(matrix):
                # σ = uᵀWv is ‖Wᵀu‖ where v = Wᵀu / ‖Wᵀu‖, so the gradient is λσuvᵀ. A copy, because u moves
                # on before a backward pass may need what it was.
                total = total + torch.linalg.vector_norm(matrix.mH @ u.clone()).square()
        return self.weight / 2 * total


def _regularized(discriminator: nn.Module) -> Iterator[tuple[Tensor, Tensor]]:
    """Each weight's matrix (m, n), with its graph, and its u (m,)."""
    for layer, parameter in weights(discriminator).values():
        yield _matrix(layer, parameter), layer.get_buffer(_name(parameter))


def _matrix(layer: nn.Module, parameter: str) -> Tensor:
    return as_matrix_in_memory_order(raw_weight(layer, parameter), output_dim(layer))


def _name(parameter: str) -> str:
    return f"{parameter}_spectral_regularization_u"
