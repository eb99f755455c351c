"""Power iteration: a matrix's largest singular value without an SVD (Miyato et al. 2018, Algorithm 1).

Everything is of real or complex matrices, waits for no device, and gives numbers for a matrix of zeros.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

SUBSPACE, ROUNDS = 16, 20  # of leading_singular_vectors: within 1 % of σ for spectra without a gap


@torch.no_grad()
def power_iteration(matrix: Tensor, u: Tensor, iterations: int = 1) -> tuple[Tensor, Tensor]:
    """Left and right singular vectors after ``iterations`` rounds from ``u``.

    Each round is v = Wᴴu / ‖Wᴴu‖, u = Wv / ‖Wv‖; zero rounds leave u and give its v. Where Wᴴu vanishes, as
    it does for a matrix of zeros, v is zero and u is set to where a later round can start from.

    Args:
        matrix: W, of shape (m, n).
        u: where to start, of shape (m,).
        iterations: how many rounds.

    Returns:
        u of shape (m,) and v of shape (n,), both of norm 1.
    """
    with in_its_own_precision(matrix):
        v, length = _unit(matrix.mH @ u)
        for i in range(iterations):
            if i > 0:
                v, length = _unit(matrix.mH @ u)
            u, _ = _unit(torch.where(length > 0, matrix @ v, _restart(u)))
        return u, v


@torch.no_grad()
def leading_singular_vectors(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """The first left and right singular vectors, near convergence whatever the spectrum.

    By subspace iteration from random vectors (Halko et al. 2011); a single vector's power iteration would
    need hundreds of rounds where the first singular values lie close together.

    Args:
        matrix: of shape (m, n), finite.

    Returns:
        u of shape (m,) and v of shape (n,), both of norm 1.
    """
    with in_its_own_precision(matrix):
        precise = matrix.float() if matrix.dtype in (torch.float16, torch.bfloat16) else matrix
        left, _, right = torch.svd_lowrank(precise, q=min(SUBSPACE, *matrix.shape), niter=ROUNDS)
        return left[:, 0].to(matrix.dtype), right[:, 0].to(matrix.dtype)


def sigma(matrix: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """σ = Re uᴴ W v, a real scalar; its gradient is u vᴴ, the first term of equation 10 at convergence."""
    with in_its_own_precision(matrix):
        return torch.vdot(u, matrix @ v).real


def in_its_own_precision(tensor: Tensor) -> AbstractContextManager[object]:
    """Without autocast, which would choose bfloat16 for these products: not three digits of σ."""
    device = tensor.device.type
    if not torch.amp.is_autocast_available(device):
        return nullcontext()
    return torch.autocast(device, enabled=False)


def _unit(x: Tensor) -> tuple[Tensor, Tensor]:
    """x / ‖x‖ and ‖x‖; zero where that is zero or no number."""
    length = torch.linalg.vector_norm(x, dim=0)
    return (x / length).nan_to_num_(nan=0, posinf=0, neginf=0), length


def _restart(u: Tensor) -> Tensor:
    """A vector like u, all of whose entries differ: orthogonal to a weight's columns by the rarest chance."""
    return torch.arange(len(u), device=u.device, dtype=torch.float32).cos().to(u.dtype)
