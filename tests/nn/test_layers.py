from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from snlab.nn.evaluation import evaluating, frozen
from snlab.nn.layers import (
    as_matrix,
    effective_weight,
    estimated_sigma,
    output_dim,
    raw_weight,
    weight_layers,
)
from snlab.nn.power_iteration import power_iteration, sigma


def test_a_convolution_as_a_matrix_is_c_out_by_the_rest():
    convolution, transposed = nn.Conv2d(3, 5, (2, 4)), nn.ConvTranspose2d(3, 5, (2, 4))
    matrix = as_matrix(convolution.weight, output_dim(convolution))
    assert torch.equal(matrix, convolution.weight.reshape(5, 3 * 2 * 4))
    matrix = as_matrix(transposed.weight, output_dim(transposed))
    assert torch.equal(matrix, transposed.weight.transpose(0, 1).reshape(5, 3 * 2 * 4))


def test_raw_and_effective_under_torchs_own_parametrizations():
    layer = nn.Linear(4, 3)
    weight = layer.weight
    assert raw_weight(layer) is weight
    assert effective_weight(layer) is weight
    parametrizations.spectral_norm(layer)
    assert raw_weight(layer) is weight
    torch.testing.assert_close(effective_weight(layer), layer.weight)
    normed = parametrizations.weight_norm(nn.Linear(4, 3))
    assert raw_weight(normed) is normed.parametrizations.weight.original1
    assert estimated_sigma(normed) is None


def test_layers_are_found_once_and_in_order():
    shared = nn.Linear(2, 2)
    module = nn.Sequential(
        nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1), shared, shared, nn.Sequential(nn.Embedding(2, 2))
    )
    assert list(weight_layers(module)) == ["0", "2", "4.0"]
    assert list(weight_layers(shared)) == ["weight"]


@pytest.mark.parametrize("shape", [(5, 9), (9, 5), (1, 4), (4, 1)])
def test_power_iteration_against_svd(shape):
    matrix = torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    start = torch.randn(shape[0], generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    u, v = power_iteration(matrix, start / start.norm(), 2000)
    left, values, right = torch.linalg.svd(matrix)
    torch.testing.assert_close(sigma(matrix, u, v), values[0])
    assert abs(u @ left[:, 0]).item() == pytest.approx(1)
    assert abs(v @ right[0]).item() == pytest.approx(1)


def test_evaluating_gives_back_every_mode():
    module = nn.Sequential(nn.Dropout(), nn.Sequential(nn.BatchNorm1d(2)))
    module[1].eval()
    with evaluating(module):
        assert not any(m.training for m in module.modules())
    assert [m.training for m in module.modules()] == [True, True, False, False]


def test_frozen_gives_back_what_was_trained():
    module = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    module[1].bias.requires_grad_(False)
    x = torch.randn(1, 2, requires_grad=True)
    with frozen(module):
        module(x).sum().backward()
    assert x.grad is not None
    assert all(p.grad is None for p in module.parameters())
    assert [p.requires_grad for p in module.parameters()] == [True, True, True, False]
