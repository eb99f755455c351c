"""Spectral normalization (Miyato et al. 2018): every weight divided by its largest singular value."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

from snlab.core.checks import check_whole
from snlab.nn import power_iteration
from snlab.nn.layers import (
    as_matrix,
    effective_weight,
    output_dim,
    parametrization_steps,
    raw_weight,
    weight_layers,
)
from snlab.normalizers.normalizer import NORMALIZERS, Normalizer


class DivideBySigma(nn.Module):
    """Parametrization W / σ with σ = uᵀWv (equation 8); u and v are buffers and constants of the gradient.

    Autograd then gives equation 12, (E[δhᵀ] - λ u vᵀ) / σ with λ = trace(E[δhᵀ]ᵀ W/σ), with no code of ours.
    """

    u: Tensor
    v: Tensor

    def __init__(self, weight: Tensor, dim: int, iterations: int) -> None:
        super().__init__()
        self.dim = dim
        matrix = as_matrix(weight.detach(), dim)
        start = F.normalize(torch.randn_like(matrix[:, 0]), dim=0)  # isotropic, length C_out
        u, v = power_iteration.power_iteration(matrix, start, iterations)
        self.register_buffer("u", u)
        self.register_buffer("v", v)
        self.version = -1  # the raw weight's, when u and v last moved: training moved it since if they differ

    def sigma(self, weight: Tensor) -> Tensor:
        # Copies, because the buffers move on before a double backward may need what they were.
        return power_iteration.sigma(as_matrix(weight, self.dim), self.u.clone(), self.v.clone())

    def forward(self, weight: Tensor) -> Tensor:
        return weight / self.sigma(weight)

    @torch.no_grad()
    def iterate(self, weight: Tensor, iterations: int) -> None:
        """Bring u and v closer to the singular vectors of ``weight``, in place."""
        u, v = power_iteration.power_iteration(as_matrix(weight, self.dim), self.u, iterations)
        self.u.copy_(u)
        self.v.copy_(v)


@NORMALIZERS.register("spectral_norm")
class SpectralNorm(Normalizer):
    """Divide each weight by its largest singular value, estimated by power iteration (Algorithm 1).

    Its state, u and v of each layer, advances once a weight update and never in evaluation: in
    ``before_update`` where a training loop calls that, else at a layer's first forward pass in training
    mode after its weight has changed. So one line is enough in a loop that knows nothing of snlab:
    ``SpectralNorm().attach(discriminator)``, before the optimizer is made.

    Args:
        iterations: rounds of power iteration an update.
        initial_iterations: rounds at ``attach``, from a random u; the paper has none.
    """

    def __init__(self, iterations: int = 1, initial_iterations: int = 0) -> None:
        check_whole("iterations", iterations, least=1)
        check_whole("initial_iterations", initial_iterations, least=0)
        self.iterations = iterations
        self.initial_iterations = initial_iterations

    def attach(self, discriminator: nn.Module) -> nn.Module:
        for layer in weight_layers(discriminator).values():
            division = DivideBySigma(effective_weight(layer), output_dim(layer), self.initial_iterations)
            parametrize.register_parametrization(layer, "weight", division)
            layer.register_forward_pre_hook(self._catch_up)
        return discriminator

    def before_update(self, discriminator: nn.Module) -> None:
        for layer in weight_layers(discriminator).values():
            self._iterate(layer)

    @torch.no_grad()
    def _iterate(self, layer: nn.Module) -> None:
        for step, weight in parametrization_steps(layer):
            if isinstance(step, DivideBySigma):
                step.iterate(weight, self.iterations)
                step.version = raw_weight(layer)._version

    def _catch_up(self, layer: nn.Module, _: tuple[Tensor, ...]) -> None:
        """Iterate where training has moved the weight since u and v last were.

        A frozen weight is left alone: in the generator's update the discriminator is only looked at.
        """
        weight = raw_weight(layer)
        if layer.training and weight.requires_grad and weight._version != _version(layer):
            self._iterate(layer)


def _version(layer: nn.Module) -> int:
    return next(
        step.version
        for step in layer.parametrizations.weight  # type: ignore[union-attr]
        if isinstance(step, DivideBySigma)
    )
