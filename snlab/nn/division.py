"""A weight divided by its largest singular value, with the gradient written out."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from snlab.nn.layers import as_matrix_in_memory_order, in_memory_order, row_in_memory_order
from snlab.nn.power_iteration import in_its_own_precision, sigma


def nonzero(divisor: Tensor) -> Tensor:
    """``divisor`` with 1 for zeros, so that zeros divided by it are zeros, and their gradient is finite.

    >>> nonzero(torch.tensor([0.0, 2.0]))
    tensor([1., 2.])
    """
    return torch.where(_is_zero(divisor), 1, divisor)


def _is_zero(divisor: Tensor) -> Tensor:
    return divisor.abs() <= torch.finfo(divisor.dtype).tiny


def divide_by_sigma(weight: Tensor, u: Tensor, v: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """W / σ, and the σ = Re uᴴWv that it was divided by: 1 where that is zero.

    The gradient, with u and v constants, is equation 12: (G - λ u vᴴ) / σ with λ = Re ⟨G, W⟩ / σ. As
    autograd's own it can be differentiated again, forwards too; it takes fewer passes over the weight,
    of which a step on a CPU has no time for many.

    Args:
        weight: W, whose dimension ``dim`` counts the outputs.
        u: (size of dim,).
        v: of the shape of W without ``dim``.

    Returns:
        The quotient, of the shape of W, and the divisor, a scalar without a gradient.
    """
    return _DivideBySigma.apply(weight, u, v, dim)


def estimate(weight: Tensor, u: Tensor, v: Tensor, dim: int) -> Tensor:
    """σ = Re uᴴWv by itself, of the arguments of ``divide_by_sigma``: a scalar with a gradient."""
    return sigma(as_matrix_in_memory_order(weight, dim), u, row_in_memory_order(v, weight, dim))


class _DivideBySigma(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(weight: Tensor, u: Tensor, v: Tensor, dim: int) -> tuple[Tensor, Tensor]:
        divisor = nonzero(estimate(weight, u, v, dim))
        return weight / divisor, divisor

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        *tensors, ctx.dim = inputs
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(*tensors, output[1])
        ctx.save_for_forward(*tensors, output[1])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, _: Tensor) -> tuple[Tensor, None, None, None]:
        weight, u, v, divisor = ctx.saved_tensors
        if torch.is_grad_enabled():  # to be differentiated again: as a function of the weight
            divisor = nonzero(estimate(weight, u, v, ctx.dim))
        with in_its_own_precision(weight):
            inner = torch.vdot(in_memory_order(weight, weight), in_memory_order(gradient, weight)).real
            column = (u * (inner / divisor)).view([-1 if d == ctx.dim else 1 for d in range(weight.ndim)])
            row = v.conj().unsqueeze(ctx.dim)
            return torch.addcmul(gradient, column, row, value=-1).div_(divisor), None, None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: None) -> tuple[Tensor, None]:
        weight, u, v, divisor = ctx.saved_tensors
        change = estimate(tangent, u, v, ctx.dim)
        return tangent / divisor - weight * (change / divisor.square()), None
