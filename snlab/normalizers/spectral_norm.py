"""Spectral normalization (Miyato et al. 2018): every weight divided by its largest singular value."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from snlab.core.checks import check_whole
from snlab.nn.division import divide_by_sigma
from snlab.nn.layers import (
    as_matrix_in_memory_order,
    parametrization_steps,
    row_as_it_lies,
    weights,
)
from snlab.nn.power_iteration import leading_singular_vectors, power_iteration
from snlab.normalizers.normalizer import NORMALIZERS, Scale
from snlab.normalizers.reparametrization import Reparametrization


class DivideBySigma(nn.Module):
    """Parametrization W / σ with σ = uᵀWv (equation 8); u and v are buffers and constants of the gradient.

    u and v move wherever the weight is computed in training mode, until the first ``before_update``: from
    there on nothing else moves them (``driven``).
    """

    scales = Scale.WHOLE
    u: Tensor  # (C_out,)
    v: Tensor  # of the weight's shape without the dimension of the outputs

    def __init__(self, weight: Tensor, dim: int, iterations: int, initial_iterations: int | None) -> None:
        super().__init__()
        self.dim = dim
        self.iterations = iterations
        self.driven = False
        matrix = as_matrix_in_memory_order(weight.detach(), dim)
        if initial_iterations is None or not weight.requires_grad:  # what is never trained has no later round
            u, v = leading_singular_vectors(matrix)
        else:
            start = F.normalize(torch.randn_like(matrix[:, 0]), dim=0)  # isotropic
            u, v = power_iteration(matrix, start, initial_iterations)
        self.register_buffer("u", u)
        self.register_buffer("v", row_as_it_lies(v, weight, dim))

    def sigma(self, weight: Tensor) -> Tensor:
        """What ``weight`` is divided by: uᵀWv, and 1 where that is zero."""
        return divide_by_sigma(weight, self.u, self.v, self.dim)[1]

    def forward(self, weight: Tensor) -> Tensor:
        if self.training and not self.driven:
            self.iterate(weight, self.iterations)
        # Copies, because the buffers move on before a backward pass may need what they were.
        return divide_by_sigma(weight, self.u.clone(), self.v.clone(), self.dim)[0]

    @torch.no_grad()
    def iterate(self, weight: Tensor, iterations: int) -> None:
        """Bring u and v closer to the singular vectors of ``weight``, in place."""
        u, v = power_iteration(as_matrix_in_memory_order(weight, self.dim), self.u, iterations)
        self.u.copy_(u)
        self.v.copy_(row_as_it_lies(v, weight, self.dim))

    # ---- state: u, v and who moves them -----------------------------------------------------------------

    def get_extra_state(self) -> Tensor:
        return torch.tensor(self.driven)

    def set_extra_state(self, state: Tensor) -> None:
        self.driven = bool(state)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Also what earlier versions saved: v as one row, and not who moves it."""
        state_dict.setdefault(f"{prefix}_extra_state", torch.tensor(self.driven))
        if (v := state_dict.get(f"{prefix}v")) is not None and v.ndim == 1:
            state_dict[f"{prefix}v"] = v.view_as(self.v)
        super()._load_from_state_dict(state_dict, prefix, *args)


class SpectralNorm(Reparametrization):
    """Divide each weight by its largest singular value, estimated by power iteration (Algorithm 1).

    One line is enough in a loop that knows nothing of snlab: ``SpectralNorm().attach(discriminator)``,
    before the optimizer is made. Its state, u and v of each weight, starts near convergence and advances
    wherever the weight is computed in training mode, as in torch's own: once a forward pass. A loop that
    calls ``before_update`` has it advance there and nowhere else. In evaluation it never does.

    Args:
        iterations: rounds of power iteration each time.
        initial_iterations: rounds at ``attach``, from a random u; the paper has none. None for as many as
            bring σ to convergence, which is what a weight that is not trained gets in any case.
    """

    scales = Scale.WHOLE

    def __init__(self, iterations: int = 1, initial_iterations: int | None = None) -> None:
        check_whole("iterations", iterations, least=1)
        if initial_iterations is not None:
            check_whole("initial_iterations", initial_iterations, least=0)
        self.iterations = iterations
        self.initial_iterations = initial_iterations

    def parametrization(self, weight: Tensor, dim: int) -> nn.Module:
        return DivideBySigma(weight, dim, self.iterations, self.initial_iterations)

    @torch.no_grad()
    def before_update(self, discriminator: nn.Module) -> None:
        for layer, parameter in weights(discriminator).values():
            for step, weight in parametrization_steps(layer, parameter):
                if isinstance(step, DivideBySigma):
                    step.driven = True
                    step.iterate(weight, self.iterations)


@NORMALIZERS.register("spectral_norm")
def spectral_norm(iterations: int = 1, initial_iterations: int | None = 0) -> SpectralNorm:
    """Divide each weight by its largest singular value, estimated by power iteration (Algorithm 1).

    By its name it starts as in the paper: from a random u, without a round before training.
    """
    return SpectralNorm(iterations, initial_iterations)
