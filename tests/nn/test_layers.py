from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize

from snlab.nn.evaluation import evaluating, frozen
from snlab.nn.layers import (
    as_matrix,
    as_matrix_in_memory_order,
    effective_weight,
    estimated_sigma,
    in_memory_order,
    is_settled,
    other_weights,
    output_dim,
    raw_weight,
    row_as_it_lies,
    row_in_memory_order,
    weight_layers,
    weights,
)


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


def test_every_weight_that_is_a_matrix_and_every_other():
    module = nn.ModuleDict(
        {
            "bag": nn.EmbeddingBag(5, 4),
            "rnn": nn.LSTM(4, 3, num_layers=2),
            "cell": nn.RNNCell(4, 3),
            "attention": nn.MultiheadAttention(4, 2, add_bias_kv=True),
            "bilinear": nn.Bilinear(2, 3, 4),
            "batch_norm": nn.BatchNorm2d(4),
            "own": nn.ParameterList([torch.zeros(2, 2), torch.zeros(2)]),
            "orthogonal": parametrizations.orthogonal(nn.Linear(4, 4)),
        }
    )
    recurrent = [f"rnn.weight_{kind}_l{i}" for i in range(2) for kind in ("ih", "hh")]
    expected = ["bag", *recurrent, "cell.weight_ih", "cell.weight_hh"]
    assert list(weights(module)) == [
        *expected, "attention.in_proj_weight", "attention.out_proj", "orthogonal"
    ]  # fmt: skip
    assert list(weight_layers(module)) == ["bag", "attention.out_proj", "orthogonal"]
    assert list(other_weights(module)) == ["bilinear", "own.0"]
    assert list(weights(module["cell"])) == ["weight_ih", "weight_hh"]


def test_a_parametrized_parameter_of_the_users_own_is_an_other_weight():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.matrix = nn.Parameter(torch.zeros(2, 3))

    module = nn.Sequential(Own())
    parametrize.register_parametrization(module[0], "matrix", nn.Tanh())
    assert list(other_weights(module)) == ["0.matrix"]
    assert not weights(module)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_what_old_hooks_leave_is_the_weight_itself():
    module = nn.Sequential(nn.utils.weight_norm(nn.Conv2d(2, 3, 3)), nn.utils.spectral_norm(nn.Linear(3, 2)))
    assert list(weights(module)) == ["0", "1"]
    assert not other_weights(module)
    assert not any(is_settled(layer, "weight") for layer in module)


LAYOUTS = [torch.contiguous_format, torch.channels_last]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    "layer", [nn.Conv2d(4, 6, (2, 3)), nn.ConvTranspose2d(4, 6, (2, 3)), nn.Conv2d(1, 6, 3)]
)
def test_in_memory_order_only_the_columns_are_permuted(layer, layout):
    weight, dim = layer.weight.detach().contiguous(memory_format=layout), output_dim(layer)
    matrix, ordinary = as_matrix_in_memory_order(weight, dim), as_matrix(weight, dim)
    torch.testing.assert_close(matrix @ matrix.mT, ordinary @ ordinary.mT)
    torch.testing.assert_close(torch.linalg.svdvals(matrix), torch.linalg.svdvals(ordinary))
    if not (dim == 1 and layout is torch.contiguous_format):  # there its rows lie in the middle
        assert matrix.data_ptr() == weight.data_ptr()
    row = torch.arange(float(matrix.shape[1]))
    lying = row_as_it_lies(row, weight, dim)
    assert lying.shape == weight.select(dim, 0).shape
    assert torch.equal(row_in_memory_order(lying, weight, dim), row)
    torch.testing.assert_close(matrix @ row, ordinary @ lying.flatten())
    flat = in_memory_order(weight, weight)
    assert flat.data_ptr() == weight.data_ptr()
    assert flat.is_contiguous()


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
