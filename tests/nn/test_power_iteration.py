from __future__ import annotations

import pytest
import torch

from snlab.nn.power_iteration import leading_singular_vectors, power_iteration, sigma


def matrix(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=dtype)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
@pytest.mark.parametrize("shape", [(5, 9), (9, 5), (1, 4), (4, 1)])
def test_against_svd(shape, dtype):
    w, start = matrix(*shape, dtype=dtype), matrix(shape[0], dtype=dtype).flip(0)
    u, v = power_iteration(w, start / start.norm(), 2000)
    left, values, right = torch.linalg.svd(w)
    torch.testing.assert_close(sigma(w, u, v), values[0])
    assert abs(torch.vdot(u, left[:, 0])).item() == pytest.approx(1)
    assert abs(torch.vdot(v.conj(), right[0])).item() == pytest.approx(1)


def test_rounds_are_algorithm_1_in_numpy():
    w, u = matrix(6, 4), matrix(6)
    got = power_iteration(w, u, 3)
    a, left = w.numpy(), u.numpy()
    for _ in range(3):
        right = a.T @ left / ((a.T @ left) ** 2).sum() ** 0.5
        left = a @ right / ((a @ right) ** 2).sum() ** 0.5
    torch.testing.assert_close(got, (torch.from_numpy(left), torch.from_numpy(right)))
    assert torch.equal(power_iteration(w, u, 0)[0], u)


@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64]
)
def test_a_matrix_of_zeros_gives_numbers(dtype):
    zeros, u = torch.zeros(4, 3, dtype=dtype), torch.eye(4, dtype=dtype)[0]
    u, v = power_iteration(zeros, u, 3)
    assert torch.equal(v, torch.zeros(3, dtype=dtype))
    assert u.norm().item() == pytest.approx(1, abs=0.01)
    assert sigma(zeros, u, v) == 0
    u, v = leading_singular_vectors(zeros)
    assert u.isfinite().all()
    assert v.isfinite().all()


def test_small_and_large_entries_alike():
    for scale in (1e-12, 1e12):
        w = matrix(6, 4, dtype=torch.float32) * scale
        u, v = power_iteration(w, torch.ones(6) / 6**0.5, 200)
        assert sigma(w, u, v).item() == pytest.approx(torch.linalg.svdvals(w)[0].item(), rel=1e-5)
