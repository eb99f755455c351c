"""Fused resampling against the two operations one after the other, in float64."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from snlab.nn.layers import weight_layers
from snlab.nn.resampling import PooledConv2d, ResampledConv2d, UpsampledConv2d

EXACT = {"rtol": 1e-12, "atol": 1e-12}
KINDS = [(kind, kernel) for kind in (UpsampledConv2d, PooledConv2d) for kernel in (1, 3)]


def one_after_the_other(kind: type[ResampledConv2d], x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The definition, in torch's own operations."""
    padding = weight.shape[-1] // 2
    if kind is UpsampledConv2d:
        doubled = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
        return F.conv2d(doubled, weight, bias, padding=padding)
    return F.avg_pool2d(F.conv2d(x, weight, bias, padding=padding), 2)


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("size", [(4, 4), (2, 6), (8, 2), (5, 7)])
@pytest.mark.parametrize(("kind", "kernel"), KINDS)
def test_it_is_the_two_operations(kind, kernel, size, fused):
    layer = kind(3, 5, kernel, fused).double()
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    torch.testing.assert_close(layer(x), one_after_the_other(kind, x, layer.weight, layer.bias), **EXACT)


@pytest.mark.parametrize(("kind", "kernel"), KINDS)
def test_so_are_its_gradients_and_theirs(kind, kernel):
    layer = kind(3, 5, kernel).double()
    x = torch.randn(2, 3, 4, 6, dtype=torch.float64, requires_grad=True)
    leaves = (x, layer.weight, layer.bias)
    found = []
    for y in (layer(x), one_after_the_other(kind, *leaves)):
        first = torch.autograd.grad(y.square().sum(), leaves, create_graph=True)
        second = torch.autograd.grad(sum(g.pow(3).sum() for g in first), leaves)
        found.append([*first, *second])
    for ours, expected in zip(*found, strict=True):
        assert (ours - expected).abs().max() <= 1e-12 * expected.abs().max()


@pytest.mark.parametrize(("kind", "kernel"), KINDS)
def test_double_backward_agrees_with_finite_differences(kind, kernel):
    layer = kind(2, 2, kernel).double()

    def call(x: Tensor, weight: Tensor) -> Tensor:
        return torch.func.functional_call(layer, {"weight": weight}, (x,))

    x = torch.randn(1, 2, 4, 2, dtype=torch.float64, requires_grad=True)
    weight = layer.weight.detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(call, (x, weight))
    assert torch.autograd.gradgradcheck(call, (x, weight))


@pytest.mark.parametrize(("kind", "kernel"), KINDS)
def test_its_weight_is_the_convolutions(kind, kernel):
    layer = kind(3, 5, kernel)
    plain = nn.Conv2d(3, 5, kernel, padding=kernel // 2)
    assert {name: p.shape for name, p in layer.named_parameters()} == {
        name: p.shape for name, p in plain.named_parameters()
    }
    assert list(weight_layers(nn.Sequential(layer))) == ["0"]
    assert (layer.stride, layer.padding, layer.kernel_size) == (
        plain.stride,
        plain.padding,
        plain.kernel_size,
    )
    plain.load_state_dict(layer.state_dict())
    x = torch.randn(2, 3, 4, 4)
    assert torch.equal(layer.convolve(x), plain(x))


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize(("kind", "kernel"), KINDS)
def test_channels_last_stays_channels_last_and_changes_nothing(kind, kernel, fused):
    layer = kind(4, 6, kernel, fused)
    other = copy.deepcopy(layer).to(memory_format=torch.channels_last)
    x = torch.randn(2, 4, 6, 6)
    y = other(x.contiguous(memory_format=torch.channels_last))
    assert y.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(y, layer(x), rtol=1e-4, atol=1e-5)


def test_a_weight_is_computed_once_a_pass():
    """So that one that iterates where it is computed, as torch's spectral norm does, iterates once."""

    class Counted(nn.Module):
        calls = 0

        def forward(self, weight: Tensor) -> Tensor:
            self.calls += 1
            return weight

    for kind, kernel in KINDS:
        for fused in (True, False):
            layer, counted = kind(2, 2, kernel, fused), Counted()
            nn.utils.parametrize.register_parametrization(layer, "weight", counted)
            before = counted.calls
            layer(torch.randn(1, 2, 4, 4))
            assert counted.calls == before + 1


def test_other_kernels_are_refused():
    with pytest.raises(ValueError, match="kernel_size is 1 or 3, got 5"):
        PooledConv2d(2, 2, 5)
