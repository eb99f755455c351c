"""The parametrizations of spectral normalization: a weight divided by a largest singular value."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from snlab.nn.convolution import Convolution, Geometry
from snlab.nn.division import divide_by_sigma, estimate, nonzero
from snlab.nn.layers import as_matrix_in_memory_order, parametrization_steps, row_as_it_lies
from snlab.nn.power_iteration import (
    SUBSPACE,
    exact_singular_vectors,
    leading_singular_vectors,
    power_iteration,
    power_iterations,
    precise,
    sigma,
    subspace_iteration,
)
from snlab.normalizers.normalizer import Scale


class Division(nn.Module):
    """Parametrization W / σ, with σ from singular vectors that follow the weight, constants of the gradient.

    They move wherever the weight is computed in training mode, until the first ``before_update``: from there
    on nothing else moves them (``driven``).

    Args:
        iterations: rounds of power iteration each time; None for an SVD in their place.
    """

    scales = Scale.WHOLE

    def __init__(self, iterations: int | None) -> None:
        super().__init__()
        self.iterations = iterations
        self.driven = False

    @staticmethod
    @abstractmethod
    def iterate(divisions: Sequence[tuple[Any, Tensor]]) -> None:
        """Bring the vectors of each closer to the singular vectors of its weight, in place and together.

        They are of one kind, of as many iterations, and on one device.
        """

    @abstractmethod
    def sigma(self, weight: Tensor) -> Tensor:
        """What ``weight`` is divided by, a scalar: 1 where σ is zero."""

    @abstractmethod
    def quotient(self, weight: Tensor) -> Tensor:
        """W / σ; of copies of the vectors, which move on before a backward pass may need what they were."""

    def forward(self, weight: Tensor) -> Tensor:
        if self.training and not self.driven:
            type(self).iterate([(self, weight)])
        return self.quotient(weight)

    # ---- state: the vectors, in buffers, and who moves them ---------------------------------------------

    def get_extra_state(self) -> Tensor:
        return torch.tensor(self.driven)

    def set_extra_state(self, state: Tensor) -> None:
        self.driven = bool(state)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Also what earlier versions saved, which is not who moves them."""
        state_dict.setdefault(f"{prefix}_extra_state", torch.tensor(self.driven))
        super()._load_from_state_dict(state_dict, prefix, *args)


class DivideBySigma(Division):
    """Parametrization W / σ with σ = uᵀWv (equation 8), of the weight as a matrix with ``dim`` for its rows.

    Args:
        weight: what it starts from.
        dim: the dimension that counts the matrix's rows.
        iterations: rounds of power iteration each time; None for an SVD in their place.
        initial_iterations: rounds at the start, from a random u; None for as many as bring σ to convergence.
    """

    u: Tensor  # (rows,)
    v: Tensor  # of the weight's shape without the dimension of the rows

    def __init__(
        self, weight: Tensor, dim: int, iterations: int | None, initial_iterations: int | None
    ) -> None:
        super().__init__(iterations)
        self.dim = dim
        matrix = as_matrix_in_memory_order(weight.detach(), dim)
        if iterations is None:
            u, v = exact_singular_vectors(matrix)
        elif initial_iterations is None or not weight.requires_grad:  # the untrained has no later round
            u, v = leading_singular_vectors(matrix)
        else:
            start = F.normalize(torch.randn_like(matrix[:, 0]), dim=0)  # isotropic
            u, v = power_iteration(matrix, start, initial_iterations)
        self.register_buffer("u", u)
        self.register_buffer("v", row_as_it_lies(v, weight, dim))

    @staticmethod
    @torch.no_grad()
    def iterate(divisions: Sequence[tuple[DivideBySigma, Tensor]]) -> None:
        matrices = [as_matrix_in_memory_order(weight, step.dim) for step, weight in divisions]
        us = [step.u for step, _ in divisions]
        iterations = divisions[0][0].iterations
        if iterations is None:
            new = [exact_singular_vectors(matrix) for matrix in matrices]
        else:
            new = list(zip(*power_iterations(matrices, us, iterations), strict=True))
        rows = [row_as_it_lies(v, w, step.dim) for (step, w), (_, v) in zip(divisions, new, strict=True)]
        torch._foreach_copy_(us, [u for u, _ in new])
        torch._foreach_copy_([step.v for step, _ in divisions], rows)

    def sigma(self, weight: Tensor) -> Tensor:
        return divide_by_sigma(weight, self.u, self.v, self.dim)[1]

    def estimate(self, weight: Tensor) -> Tensor:
        """σ itself, with its gradient u vᵀ."""
        return estimate(weight, self.u.clone(), self.v.clone(), self.dim)

    def quotient(self, weight: Tensor) -> Tensor:
        return divide_by_sigma(weight, self.u.clone(), self.v.clone(), self.dim)[0]

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Also what earlier versions saved, v as one row."""
        if (v := state_dict.get(f"{prefix}v")) is not None and v.ndim == 1:
            state_dict[f"{prefix}v"] = v.view_as(self.v)
        super()._load_from_state_dict(state_dict, prefix, *args)


class DivideByBothSigmas(Division):
    """Parametrization W / σ with σ the mean of two: of C_out x (C_in k k) and of C_in x (C_out k k).

    What becomes of gradients on their way back depends on the second as what becomes of the signal on its
    way forward depends on the first (Lin, Sekar and Fanti 2021: bidirectional normalization). The arguments
    are those of ``DivideBySigma``.
    """

    def __init__(
        self, weight: Tensor, dim: int, iterations: int | None, initial_iterations: int | None
    ) -> None:
        super().__init__(iterations)
        self.outputs = DivideBySigma(weight, dim, iterations, initial_iterations)
        self.inputs = DivideBySigma(weight, 1 - dim, iterations, initial_iterations)

    @staticmethod
    def iterate(divisions: Sequence[tuple[DivideByBothSigmas, Tensor]]) -> None:
        DivideBySigma.iterate([(part, w) for step, w in divisions for part in (step.outputs, step.inputs)])

    def sigma(self, weight: Tensor) -> Tensor:
        return nonzero((self.outputs.estimate(weight) + self.inputs.estimate(weight)) / 2)

    def quotient(self, weight: Tensor) -> Tensor:
        return weight / self.sigma(weight)


class DivideByConvolutionNorm(Division):
    """Parametrization W / σ with σ = ⟨u, A v⟩, A the convolution by W on inputs of the layer's real size.

    The size is that of the first input (``see_input`` tells it, before the layer computes); until then the
    weight is what it is given.

    Args:
        weight: what it starts from.
        layer: whose weight it is; what counts is its stride and the like, and not what its forward pass does
            besides.
        iterations: rounds of power iteration each time.
        initial_iterations: rounds at the first input, from a random u; None for as many as bring σ near
            convergence.
    """

    u: Tensor  # (n,), n the size of an output; empty until the size is known
    v: Tensor  # (C_in, ...), the size of an input; likewise

    def __init__(
        self, weight: Tensor, layer: nn.Module, iterations: int, initial_iterations: int | None
    ) -> None:
        super().__init__(iterations)
        self.geometry = Geometry.of(layer)
        self.initial_iterations = initial_iterations if weight.requires_grad else None
        # Drawn now, so that the vectors do not depend on what else draws before the first input.
        self.seed = int(torch.randint(2**62, (), device="cpu"))
        self.register_buffer("u", weight.detach().new_empty(0))
        self.register_buffer("v", weight.detach().new_empty(0))

    def see_input(self, weight: Tensor, shape: tuple[int, ...]) -> None:
        """Begin, now that the size of the inputs is known: (C_in, ...)."""
        with torch.no_grad(), torch.inference_mode(False):
            start_from = precise(weight.clone())
            convolution = Convolution(start_from, self.geometry, shape)
            generator = torch.Generator().manual_seed(self.seed)
            if self.initial_iterations is None:
                n = math.prod(shape)
                start = torch.randn(n, min(SUBSPACE, n), generator=generator).to(start_from)
                u, v = subspace_iteration(convolution, start)
            else:
                outputs = len(convolution @ start_from.new_zeros(math.prod(shape)))
                start = torch.randn(outputs, generator=generator).to(start_from)  # isotropic
                u, v = power_iteration(convolution, F.normalize(start, dim=0), self.initial_iterations)
            self.u, self.v = u.to(weight.dtype, copy=True), v.view(shape).to(weight.dtype, copy=True)
        if self.training and self.driven:  # the update's round came before there was anything to iterate
            self.iterate([(self, weight)])

    @staticmethod
    @torch.no_grad()
    def iterate(divisions: Sequence[tuple[DivideByConvolutionNorm, Tensor]]) -> None:
        for step, weight in divisions:
            assert step.iterations is not None
            if step.v.numel():
                u, v = power_iteration(step._convolution(weight), step.u, step.iterations)
                step.u.copy_(u)
                step.v.copy_(v.view_as(step.v))

    def sigma(self, weight: Tensor) -> Tensor:
        if not self.v.numel():
            return weight.new_ones(())
        return nonzero(sigma(self._convolution(weight), self.u.clone(), self.v.flatten().clone()))

    def quotient(self, weight: Tensor) -> Tensor:
        return weight / self.sigma(weight)

    def _convolution(self, weight: Tensor) -> Convolution:
        return Convolution(weight, self.geometry, tuple(self.v.shape))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Of any size, or of none yet."""
        for name in ("u", "v"):
            saved, own = state_dict.get(f"{prefix}{name}"), getattr(self, name)
            if saved is not None and saved.shape != own.shape:
                setattr(self, name, own.new_empty(saved.shape))
        super()._load_from_state_dict(state_dict, prefix, *args)


def see_input(layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """A convolution's forward pre-hook: its weight's ``DivideByConvolutionNorm`` is told the first size."""
    for step, weight in parametrization_steps(layer):
        if isinstance(step, DivideByConvolutionNorm):
            if not step.v.numel():
                (x, *_) = (*args, *kwargs.values())
                step.see_input(weight, tuple(x.shape[-(weight.ndim - 1) :]))
            break
