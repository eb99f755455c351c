"""A certified Lipschitz constant of small dense networks: semidefinite, and exact in the plane.

A quadratic form P_i bounds what follows hidden layer i: where its output changes by δ, the square of f's
change is at most δᵀ P_i δ. The form passes a layer as in LipSDP (Fazlyab et al. 2019; diagonal multipliers,
Pauli et al. 2021): for any diagonal T > P_i / 2,

    P_{i-1} = W_iᵀ ((1 + s)² T (2 T - P_i)^{-1} T - 2 s T) W_i

and sqrt(λ_max(P_0)) bounds the Lipschitz constant, whatever T is. With the multiples of the identity that are
best it is the product of the layers' norms; the optimizer goes on from there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from snlab.diagnostics.dense import Dense
from snlab.diagnostics.regions import steepest

ITERATIONS = 200  # of the optimizer
SHARPNESS = 32  # the norm of eigenvalues that stands for the largest, so that it has a gradient
MARGIN = 1e-5  # relative: what rounding may take, here and in a discriminator that computes in float32


@torch.inference_mode(False)
def certified(dense: Dense) -> float:
    """A number that no slope |f(x) - f(y)| / ‖x - y‖ of ``dense`` exceeds.

    In up to 2 dimensions the largest ‖∇f‖ itself, as long as it is found among the first 20,000 parts of the
    plane, else the semidefinite bound; either with 1e-5 of it on top, for rounding. Not a number where a
    weight is not finite.
    """
    if not all(part.isfinite().all() for part in (*dense.hidden, *dense.biases, dense.last)):
        return math.nan
    dense, product = _scaled(dense)
    if product == 0 or math.isinf(product):
        return product
    forms = quadratic_forms(dense, multipliers(dense))
    bound = math.sqrt(max(0.0, _largest(forms[0])))
    if dense.hidden[0].shape[1] <= 2:
        bound = min(bound, steepest(dense, [form.numpy() for form in forms]))
    return product * bound * (1 + MARGIN)


def _scaled(dense: Dense) -> tuple[Dense, float]:
    """``dense`` with each weight of norm 1, and their product, by which its output was larger."""
    hidden, biases, product = [], [], 1.0
    for weight, bias in zip(dense.hidden, dense.biases, strict=True):
        norm = float(torch.linalg.matrix_norm(weight, 2))
        product *= norm
        hidden.append(weight / norm)
        biases.append(bias / product)
    norm = float(dense.last.norm())
    return Dense(tuple(hidden), tuple(biases), dense.slopes, dense.last / norm), product * norm


def quadratic_forms(dense: Dense, multipliers: Sequence[Tensor]) -> list[Tensor]:
    """P_0 to P_k, each (n_i, n_i), float64.

    Args:
        dense: the network.
        multipliers: the diagonals of T_1 to T_k, each (n_i,).

    Raises:
        RuntimeError: a T that is not above P / 2.
    """
    form = dense.last.T @ dense.last
    forms = [form]
    for weight, slope, t in reversed(list(zip(dense.hidden, dense.slopes, multipliers, strict=True))):
        factor = torch.linalg.cholesky(2 * t.diag() - form)  # L Lᵀ
        half = torch.linalg.solve_triangular(factor, (t[:, None] * weight), upper=False)  # L⁻¹ T W
        form = (1 + slope) ** 2 * half.T @ half - 2 * slope * weight.T @ (t[:, None] * weight)
        forms.append(form)
    return forms[::-1]


def multipliers(dense: Dense) -> list[Tensor]:
    """The diagonals T_1 to T_k for which the bound is lowest, as far as the optimizer finds them."""
    start = _of_the_product(dense)
    sizes = [len(t) for t in start]

    def loss(logarithms: np.ndarray) -> tuple[float, np.ndarray]:
        x = torch.from_numpy(logarithms).requires_grad_()
        with torch.enable_grad():
            try:
                form = quadratic_forms(dense, [part.exp() for part in x.split(sizes)])[0]
                value = _soft_largest(form).log()
            except RuntimeError:  # Cholesky's
                return 1e10, np.zeros_like(logarithms)  # not allowed: the line search turns back
            (gradient,) = torch.autograd.grad(value, x)
        return value.item(), gradient.numpy()

    first = torch.cat(start).log().numpy()
    found = minimize(loss, first, jac=True, method="L-BFGS-B", options={"maxiter": ITERATIONS})
    return list(torch.from_numpy(found.x).exp().split(sizes))


def _of_the_product(dense: Dense) -> list[Tensor]:
    """T_i = λ_max(P_i) / (1 - s) I, for which P_{i-1} is at most λ_max(P_i) W_iᵀ W_i."""
    found: list[Tensor] = []
    norm = dense.last.norm() ** 2
    for weight, slope in reversed(list(zip(dense.hidden, dense.slopes, strict=True))):
        found.insert(0, (norm / (1 - slope)).expand(len(weight)))
        norm = norm * torch.linalg.matrix_norm(weight, 2) ** 2
    return found


def _largest(form: Tensor) -> float:
    return float(torch.linalg.eigvalsh(form)[-1])


def _soft_largest(form: Tensor) -> Tensor:
    """A norm of the eigenvalues that is at least the largest of them, and differentiable."""
    values = torch.linalg.eigvalsh(form).clamp(min=0)
    largest = values[-1].detach()
    return largest * ((values / largest) ** SHARPNESS).sum() ** (1 / SHARPNESS)
