"""Power iteration: a matrix's largest singular value without an SVD (Miyato et al. 2018, Algorithm 1)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


@torch.no_grad()
def power_iteration(matrix: Tensor, u: Tensor, iterations: int = 1) -> tuple[Tensor, Tensor]:
    """Left and right singular vectors after ``iterations`` rounds from ``u``.

    Each round is v = Wᵀu / ‖Wᵀu‖, u = Wv / ‖Wv‖; zero rounds leave u and give its v.

    Args:
        matrix: W, of shape (m, n).
        u: where to start, of shape (m,).
        iterations: how many rounds.

    Returns:
        u of shape (m,) and v of shape (n,), both of norm 1.
    """
    with _in_its_own_precision(matrix):
        v = F.normalize(matrix.mT @ u, dim=0)
        for i in range(iterations):
            if i > 0:
                v = F.normalize(matrix.mT @ u, dim=0)
            u = F.normalize(matrix @ v, dim=0)
        return u, v


def sigma(matrix: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """σ = uᵀ W v, a scalar; its gradient is u vᵀ, the first term of equation 10 at convergence."""
    with _in_its_own_precision(matrix):
        return torch.dot(u, matrix @ v)


def _in_its_own_precision(matrix: Tensor) -> torch.autocast:
    """Without autocast, which would choose bfloat16 for these products: not three digits of σ."""
    return torch.autocast(matrix.device.type, enabled=False)
