"""A weight divided by its largest singular value, with the gradient written out."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from snlab.nn.layers import as_matrix_in_memory_order, in_memory_order, row_in_memory_order
from snlab.nn.power_iteration import in_its_own_precision, sigma


def nonzero(divisor: Tensor) -> Tensor:
    """``divisor`` with 1 for zeros, so that zeros divided by it are zeros, and their gradient is finite.

    >>> nonzero(torch.tensor([0.0, 2.0]))
    tensor([1., 2.])
    """
    return divisor + (divisor.abs() <= torch.finfo(divisor.dtype).tiny)


def nonzero_norm(norm: Tensor) -> Tensor:
    """``nonzero`` of what is never negative: one operation in place of three."""
    return F.threshold(norm, torch.finfo(norm.dtype).tiny, 1)


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
    if weight.requires_grad and not torch._C._are_functorch_transforms_active():
        divisor = nonzero(estimate(weight.detach(), u, v, dim))
        return _DivideBySigma.apply(weight, divisor, u, v, dim), divisor
    divisor = nonzero(estimate(weight, u, v, dim))
    return weight / divisor, divisor.detach()


def estimate(weight: Tensor, u: Tensor, v: Tensor, dim: int) -> Tensor:
    """σ = Re uᴴWv by itself, of the arguments of ``divide_by_sigma``: a scalar with a gradient."""
    return sigma(as_matrix_in_memory_order(weight, dim), u, row_in_memory_order(v, weight, dim))


class _DivideBySigma(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, divisor: Tensor, u: Tensor, v: Tensor, dim: int) -> Tensor:
        ctx.dim = dim
        ctx.save_for_backward(weight, divisor, u, v)
        ctx.save_for_forward(weight, divisor, u, v)
        return weight / divisor

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None, None]:
        weight, divisor, u, v = ctx.saved_tensors
        if torch.is_grad_enabled():  # to be differentiated again: as a function of the weight
            divisor = nonzero(estimate(weight, u, v, ctx.dim))
        with in_its_own_precision(weight):
            inner = torch.vdot(in_memory_order(weight, weight), in_memory_order(gradient, weight)).real
            column = (u * (inner / divisor)).view([-1 if d == ctx.dim else 1 for d in range(weight.ndim)])
            row = v.conj().unsqueeze(ctx.dim)
            return torch.addcmul(gradient, column, row, value=-1).div_(divisor), None, None, None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: Any) -> Tensor:
        weight, divisor, u, v = ctx.saved_tensors
        change = estimate(tangent, u, v, ctx.dim)
        return tangent / divisor - weight * (change / divisor.square())
