"""Power iteration: a matrix's largest singular value without an SVD (Miyato et al. 2018, Algorithm 1).

Everything is of real or complex matrices, waits for no device, and gives numbers for a matrix of zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

import torch
from torch import Tensor

SUBSPACE, ROUNDS = 16, 20  # of leading_singular_vectors: within 1 % of σ for spectra without a gap


class LinearMap(Protocol):
    """What takes the place of a matrix that is never written out: its products, and its adjoint's."""

    @property
    def device(self) -> torch.device: ...

    @property
    def mH(self) -> LinearMap: ...  # noqa: N802

    def __matmul__(self, x: Tensor) -> Tensor: ...


@torch.no_grad()
def power_iteration(matrix: Tensor | LinearMap, u: Tensor, iterations: int = 1) -> tuple[Tensor, Tensor]:
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
    (u,), (v,) = power_iterations([matrix], [u], iterations)
    return u, v


@torch.no_grad()
def power_iterations(
    matrices: Sequence[Tensor | LinearMap], us: list[Tensor], iterations: int = 1
) -> tuple[list[Tensor], list[Tensor]]:
    """``power_iteration`` of several matrices on one device together, in fewer calls than one by one."""
    with in_its_own_precision(matrices[0]):
        starts = _starts(us)
        for _ in range(max(iterations, 1)):
            vs, lengths = _units([matrix.mH @ u for matrix, u in zip(matrices, us, strict=True)])
            if iterations > 0:
                alive = (torch.stack(lengths) > 0).unbind()
                products = [matrix @ v for matrix, v in zip(matrices, vs, strict=True)]
                us, _ = _units(list(map(torch.where, alive, products, starts)))
        return us, vs


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
        left, _, right = torch.svd_lowrank(precise(matrix), q=min(SUBSPACE, *matrix.shape), niter=ROUNDS)
        return left[:, 0].to(matrix.dtype), right[:, 0].to(matrix.dtype)


@torch.no_grad()
def exact_singular_vectors(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """The first left and right singular vectors by SVD: of what is no number in ``matrix`` (m, n) as if 0.

    It waits for the device, and costs hundreds of rounds of power iteration.
    """
    left, _, right = torch.linalg.svd(precise(matrix).nan_to_num(0, 0, 0), full_matrices=False)
    return left[:, 0].to(matrix.dtype), right[0].conj().to(matrix.dtype)


@torch.no_grad()
def subspace_iteration(linear_map: LinearMap, start: Tensor) -> tuple[Tensor, Tensor]:
    """``leading_singular_vectors`` of what is never written out, from the columns of ``start`` (n, k)."""
    with in_its_own_precision(linear_map):
        basis = start
        for _ in range(ROUNDS):
            basis, _ = torch.linalg.qr(linear_map.mH @ (linear_map @ basis))
        left, _, mixed = torch.linalg.svd(linear_map @ basis, full_matrices=False)
        return left[:, 0], basis @ mixed[0].conj()


def sigma(matrix: Tensor | LinearMap, u: Tensor, v: Tensor) -> Tensor:
    """σ = Re uᴴ W v, a real scalar; its gradient is u vᴴ, the first term of equation 10 at convergence."""
    with in_its_own_precision(matrix):
        return torch.vdot(u, matrix @ v).real


def precise(tensor: Tensor) -> Tensor:
    """In a precision that torch's decompositions take: half precision as float32."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def in_its_own_precision(tensor: Tensor | LinearMap) -> AbstractContextManager[object]:
    """Without autocast, which would choose bfloat16 for these products: not three digits of σ."""
    device = tensor.device.type
    if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
        return torch.autocast(device, enabled=False)
    return nullcontext()  # the usual case, at a tenth of the other's time


def _units(xs: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """Each x / ‖x‖ and ‖x‖; zero where that is zero or no number."""
    lengths = list(torch._foreach_norm(xs))
    return [x.nan_to_num_(nan=0, posinf=0, neginf=0) for x in torch._foreach_div(xs, lengths)], lengths


def _starts(us: list[Tensor]) -> list[Tensor]:
    """Like each u, with entries that all differ: orthogonal to a weight's columns by the rarest chance."""
    longest = torch.arange(max(map(len, us)), device=us[0].device, dtype=torch.float32).cos()
    return [longest[: len(u)].to(u.dtype) for u in us]
