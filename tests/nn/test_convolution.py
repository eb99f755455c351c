"""Convolutions as linear maps against their matrices written out."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Tensor, nn

from snlab.nn.convolution import Convolution, Geometry
from snlab.nn.power_iteration import power_iteration, sigma, subspace_iteration

LAYERS = [
    (nn.Conv2d(3, 4, 3, 1, 1), (3, 6, 5)),
    (nn.Conv2d(4, 3, 4, 2, 1), (4, 8, 6)),
    (nn.Conv2d(2, 3, 3, 2), (2, 8, 7)),
    (nn.Conv2d(4, 4, 3, 1, 2, dilation=2, groups=2), (4, 6, 6)),
    (nn.Conv2d(2, 3, (2, 4), padding="same"), (2, 6, 6)),
    (nn.Conv2d(2, 3, 3, padding="valid"), (2, 5, 5)),
    (nn.Conv2d(2, 3, 3, 1, 1, padding_mode="circular"), (2, 6, 6)),
    (nn.Conv2d(2, 3, 3, 1, 1, padding_mode="reflect"), (2, 5, 6)),
    (nn.Conv1d(3, 4, 3, 2, 1), (3, 11)),
    (nn.Conv3d(2, 2, 2, 1, 1), (2, 3, 4, 3)),
    (nn.ConvTranspose2d(4, 3, 4, 2, 1), (4, 4, 3)),
    (nn.ConvTranspose2d(3, 2, 3, 2, 1, output_padding=1), (3, 4, 4)),
    (nn.ConvTranspose1d(3, 4, 3, 3, groups=1), (3, 5)),
]
CASES = [pytest.param(*case, id=str(case[0])) for case in LAYERS]


def written_out(layer: nn.Module, shape: tuple[int, ...]) -> Tensor:
    """The matrix (outputs, inputs) of the layer's own forward pass without its bias, column by column."""
    weight: Tensor = layer.weight
    identity = torch.eye(math.prod(shape), dtype=weight.dtype).view(-1, *shape)
    with torch.no_grad():
        return (layer(identity) - layer(torch.zeros_like(identity[:1]))).flatten(1).T


def of(layer: nn.Module, shape: tuple[int, ...]) -> Convolution:
    return Convolution(layer.weight.detach(), Geometry.of(layer), shape)


def case(layer: nn.Module, dtype: torch.dtype = torch.float64) -> nn.Module:
    torch.manual_seed(0)
    layer = copy.deepcopy(layer)
    layer.reset_parameters()  # it was made at import, from any seed
    return layer.to(dtype)


@pytest.mark.filterwarnings("ignore:Complex modules are", "ignore:Using padding=")
@pytest.mark.parametrize(("layer", "shape"), CASES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_products_are_those_of_the_matrix(layer, shape, dtype):
    layer = case(layer, dtype)
    matrix = written_out(layer, shape)
    x, y = (torch.randn(n, 3, dtype=dtype) for n in reversed(matrix.shape))
    convolution = of(layer, shape)
    torch.testing.assert_close(convolution @ x, matrix @ x)
    torch.testing.assert_close(convolution @ x[:, 0], matrix @ x[:, 0])
    torch.testing.assert_close(convolution.mH @ y, matrix.mH @ y)
    torch.testing.assert_close(convolution.mH @ y[:, 0], matrix.mH @ y[:, 0])
    torch.testing.assert_close(convolution.mH.mH @ x, matrix @ x)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_products_without_gradients(mode):
    layer, shape = case(LAYERS[0][0]), LAYERS[0][1]
    matrix = written_out(layer, shape)
    with mode():
        y = torch.ones(len(matrix), dtype=torch.float64)
        torch.testing.assert_close(of(layer, shape).mH @ y, matrix.mH @ y)


@pytest.mark.parametrize(("layer", "shape"), CASES[:2])
def test_singular_vectors_and_the_gradient_of_their_value(layer, shape):
    layer = case(layer)
    exact = torch.linalg.svdvals(written_out(layer, shape))[0]
    convolution = of(layer, shape)
    u, v = subspace_iteration(convolution, torch.randn(math.prod(shape), 16, dtype=torch.float64))
    torch.testing.assert_close(sigma(convolution, u, v), exact, rtol=1e-3, atol=0)
    u, v = power_iteration(convolution, u, 300)
    torch.testing.assert_close(sigma(convolution, u, v), exact, rtol=1e-6, atol=0)

    def largest(weight: Tensor) -> Tensor:
        identity = torch.eye(math.prod(shape), dtype=torch.float64).view(-1, *shape)
        return torch.linalg.svdvals(Geometry.of(layer).apply(identity, weight).flatten(1))[0]

    weight = layer.weight.detach().clone().requires_grad_()
    (wanted,) = torch.autograd.grad(largest(weight), weight)
    (got,) = torch.autograd.grad(sigma(Convolution(weight, Geometry.of(layer), shape), u, v), weight)
    torch.testing.assert_close(got, wanted, rtol=1e-3, atol=1e-5)
