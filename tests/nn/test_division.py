"""The gradient that is written out against autograd's own, of the same quotient in plain operations."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from snlab.nn.division import divide_by_sigma
from snlab.nn.layers import as_matrix


def plain(weight: Tensor, u: Tensor, v: Tensor, dim: int) -> Tensor:
    """W / Re uᴴWv in the paper's order of columns."""
    row = v.unsqueeze(0).flatten(1)[0]
    return weight / torch.vdot(u, as_matrix(weight, dim) @ row).real


def random(*shape: int, dtype: torch.dtype, seed: int) -> Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


CASES = {
    "dense": (torch.float64, (5, 7), 0, None),
    "convolution": (torch.float64, (4, 3, 2, 5), 0, torch.contiguous_format),
    "channels last": (torch.float64, (4, 3, 2, 5), 0, torch.channels_last),
    "transposed": (torch.float64, (4, 3, 2, 5), 1, torch.contiguous_format),
    "transposed, channels last": (torch.float64, (4, 3, 2, 5), 1, torch.channels_last),
    "volume": (torch.float64, (4, 3, 2, 5, 2), 0, torch.channels_last_3d),
    "one channel": (torch.float64, (4, 1, 3, 3), 0, torch.channels_last),
    "complex": (torch.complex128, (4, 3, 2, 2), 0, torch.channels_last),
}


def case(name: str) -> tuple[Tensor, Tensor, Tensor, int]:
    dtype, shape, dim, layout = CASES[name]
    weight = random(*shape, dtype=dtype, seed=0)
    if layout is not None:
        weight = weight.contiguous(memory_format=layout)
    rest = [size for d, size in enumerate(shape) if d != dim]
    u, v = random(shape[dim], dtype=dtype, seed=1), random(*rest, dtype=dtype, seed=2)
    return weight.requires_grad_(), u / u.norm(), v / v.norm(), dim


@pytest.mark.parametrize("name", CASES)
def test_value_and_gradient(name):
    weight, u, v, dim = case(name)
    quotient, divisor = divide_by_sigma(weight, u, v, dim)
    torch.testing.assert_close(quotient, plain(weight, u, v, dim))
    torch.testing.assert_close(quotient * divisor, weight)
    assert quotient.stride() == weight.stride()
    gradient = random(*weight.shape, dtype=weight.dtype, seed=3)
    (got,) = torch.autograd.grad(quotient, weight, gradient)
    (wanted,) = torch.autograd.grad(plain(weight, u, v, dim), weight, gradient)
    torch.testing.assert_close(got, wanted)


@pytest.mark.parametrize("name", ["dense", "channels last", "transposed", "complex"])
def test_it_can_be_differentiated_again_forwards_and_over_a_batch(name):
    weight, u, v, dim = case(name)

    def quotient(w: Tensor) -> Tensor:
        return divide_by_sigma(w, u, v, dim)[0]

    assert torch.autograd.gradcheck(quotient, weight, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(quotient, weight)
    if not weight.is_complex():
        wanted = torch.func.jacrev(plain)(weight.detach(), u, v, dim)
        torch.testing.assert_close(torch.func.jacrev(quotient)(weight.detach()), wanted)
        torch.testing.assert_close(torch.func.jacfwd(quotient)(weight.detach()), wanted)


def test_where_sigma_is_zero_the_weight_is_left_as_it_is():
    weight = random(3, 4, dtype=torch.float64, seed=0).requires_grad_()
    quotient, divisor = divide_by_sigma(weight, torch.eye(3, dtype=torch.float64)[0], weight.new_zeros(4), 0)
    assert divisor == 1
    assert torch.equal(quotient, weight)
    (gradient,) = torch.autograd.grad(quotient.sum(), weight)
    assert torch.equal(gradient, torch.ones_like(weight))
