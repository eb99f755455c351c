"""The orthonormal matrices by SVD, the penalty written out in numpy, its gradient by finite differences."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from snlab import UserError
from snlab.nn.layers import as_matrix, effective_weight, output_dim, raw_weight, weights
from snlab.normalizers import Batch, normalizer
from snlab.normalizers.orthonormal import distance, nearest_orthonormal


def layers() -> nn.ModuleDict:
    """Wide, tall and square ones, of every orientation, with 20, 5, 4, 6 and 4 outputs."""
    torch.manual_seed(0)
    kinds = {
        "tall": nn.Conv2d(2, 20, 3),
        "wide": nn.Conv2d(4, 5, 3),
        "transposed": nn.ConvTranspose2d(3, 4, 3),
        "square": nn.Linear(6, 6),
        "embedding": nn.Embedding(9, 4),
    }
    return nn.ModuleDict(kinds).to(torch.float64).to(memory_format=torch.channels_last)


def matrices(module: nn.Module, of: object = effective_weight) -> dict[str, np.ndarray]:
    """(C_out, everything else) of each weight."""
    found = {}
    for name, (layer, parameter) in weights(module).items():
        weight = of(layer, parameter).detach()
        found[name] = as_matrix(weight, output_dim(layer)).numpy()
    return found


def batch() -> Batch:
    return Batch(torch.zeros(2, 3, dtype=torch.float64), torch.zeros(2, 3, dtype=torch.float64))


# ---- initialisation -------------------------------------------------------------------------------------


def test_every_weight_starts_orthonormal():
    module = layers()
    before = matrices(module)
    chosen = normalizer("orthonormal")
    chosen.attach(module)
    for name, matrix in matrices(module).items():
        u, _, vh = np.linalg.svd(before[name], full_matrices=False)
        np.testing.assert_allclose(matrix, u @ vh, atol=1e-12)  # the nearest (Fan and Hoffman 1955)
        np.testing.assert_allclose(np.linalg.svd(matrix)[1], 1, atol=1e-12)
    assert module["tall"].weight.is_contiguous(memory_format=torch.channels_last)
    assert chosen.penalty(module, batch()).item() == pytest.approx(0, abs=1e-20)


def test_what_is_no_weight_stays():
    module = layers()
    before = copy.deepcopy(module.state_dict())
    normalizer("orthonormal").attach(module)
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name]) == (not name.endswith("weight")), name


def test_of_gaussian_weights_it_is_uniform():
    """An entry of a uniform orthonormal 3 x 3 matrix has mean 0 and variance 1/3; so has a sphere's."""
    torch.manual_seed(0)
    entries = torch.stack([nearest_orthonormal(torch.randn(3, 3)) for _ in range(2000)])
    assert entries.mean(0).abs().max() < 5 * (1 / 3 / 2000) ** 0.5
    torch.testing.assert_close(entries.var(0), torch.full((3, 3), 1 / 3), rtol=0, atol=0.03)
    # Archimedes: a coordinate of the sphere is uniform on [-1, 1].
    quantiles = torch.quantile(entries[:, 1, 2], torch.tensor([0.1, 0.25, 0.5, 0.75, 0.9]))
    torch.testing.assert_close(quantiles, torch.tensor([-0.8, -0.5, 0.0, 0.5, 0.8]), rtol=0, atol=0.06)


@pytest.mark.parametrize("matrix", [torch.zeros(4, 7), torch.zeros(5, 2), torch.ones(3, 3)])
def test_a_weight_without_full_rank_becomes_orthonormal_too(matrix):
    values = torch.linalg.svdvals(nearest_orthonormal(matrix))
    torch.testing.assert_close(values, torch.ones_like(values))


def test_in_half_precision():
    layer = nn.Linear(5, 8, dtype=torch.bfloat16)
    normalizer("orthonormal").attach(layer)
    values = torch.linalg.svdvals(layer.weight.detach().float())
    torch.testing.assert_close(values, torch.ones(5), rtol=0, atol=0.01)


@pytest.mark.parametrize("order", ["{0}+orthonormal", "orthonormal+{0}"])
def test_beside_spectral_norm_it_is_orthonormal_before_the_first_update(order):
    """The singular vectors that spectral norm has found are those of the nearest orthonormal matrix, too."""
    module = layers()
    normalizer(order.format("spectral_norm(initial_iterations=none)")).attach(module)
    module.eval()
    for name, matrix in matrices(module, raw_weight).items():
        np.testing.assert_allclose(np.linalg.svd(matrix)[1], 1, atol=1e-12, err_msg=name)
    for name, matrix in matrices(module).items():
        np.testing.assert_allclose(np.linalg.svd(matrix)[1], 1, rtol=1e-3, err_msg=name)


# ---- penalty --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weight", [0.001, 2.0])
def test_it_is_equation_14(weight):
    module = layers()
    chosen = normalizer(f"orthonormal(initialise=false, weight={weight})")
    before = copy.deepcopy(module.state_dict())
    chosen.attach(module)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    expected, other = 0.0, 0.0
    for matrix in matrices(module).values():
        m, n = matrix.shape
        left, right = matrix @ matrix.T - np.eye(m), matrix.T @ matrix - np.eye(n)
        expected += min(np.sum(left**2), np.sum(right**2))
        other += np.sum(right**2) - max(n - m, 0)  # WᵀW, less the constant
    penalty = chosen.penalty(module, batch())
    assert penalty.shape == ()
    assert penalty.item() == pytest.approx(weight * expected, rel=1e-12)
    assert penalty.item() == pytest.approx(weight * other, rel=1e-9)


@pytest.mark.parametrize("shape", [(4, 7), (7, 4), (5, 5), (1, 6)])
def test_zero_for_orthonormal_matrices_and_for_no_others(shape):
    q, _ = torch.linalg.qr(torch.randn(max(shape), min(shape), dtype=torch.float64))
    matrix = q if shape[0] >= shape[1] else q.T
    assert distance(matrix).item() == pytest.approx(0, abs=1e-24)
    assert distance(1.1 * matrix).item() == pytest.approx(min(shape) * (1.1**2 - 1) ** 2)


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 4)])
def test_its_gradient_by_finite_differences(shape):
    """And as it is in closed form, 4 (MMᵀ - I) M."""
    matrix = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    (gradient,) = torch.autograd.grad(distance(free := matrix.clone().requires_grad_()), free)
    by_differences, step = torch.zeros_like(matrix), 1e-6
    for i in range(matrix.numel()):
        change = torch.zeros(matrix.numel(), dtype=torch.float64)
        change[i] = step
        change = change.view(shape)
        slope = (distance(matrix + change) - distance(matrix - change)) / (2 * step)
        by_differences.view(-1)[i] = slope
    torch.testing.assert_close(gradient, by_differences, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(gradient, 4 * (matrix @ matrix.T @ matrix - matrix))
    start = (1.01 * nearest_orthonormal(matrix)).contiguous().requires_grad_()
    assert torch.autograd.gradcheck(distance, start)
    assert torch.autograd.gradgradcheck(distance, start)


def test_complex_matrices():
    torch.manual_seed(0)
    matrix = torch.randn(3, 5, dtype=torch.cdouble)
    unitary = nearest_orthonormal(matrix)
    torch.testing.assert_close(unitary @ unitary.mH, torch.eye(3, dtype=torch.cdouble))
    assert distance(unitary).item() == pytest.approx(0, abs=1e-24)
    assert torch.autograd.gradcheck(distance, matrix.requires_grad_())


def test_it_brings_every_singular_value_to_1():
    module = layers()
    chosen = normalizer("orthonormal(initialise=false, weight=1)")
    optimizer = torch.optim.Adam(module.parameters(), lr=0.02)
    for _ in range(300):
        optimizer.zero_grad()
        chosen.penalty(module, batch()).backward()
        optimizer.step()
    for matrix in matrices(module).values():
        np.testing.assert_allclose(np.linalg.svd(matrix)[1], 1, atol=0.05)


def test_in_its_own_precision_under_autocast():
    layer = nn.Linear(30, 20)
    chosen = normalizer("orthonormal(weight=1)")
    chosen.attach(layer)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert chosen.penalty(layer, batch()).item() < 1e-9


def test_without_a_weight_there_is_no_penalty():
    module, chosen = layers(), normalizer("orthonormal(initialise=false, weight=0)")
    assert chosen.penalty(module, batch()).item() == 0
    assert normalizer("orthonormal").penalty(nn.Sequential(nn.ReLU()), batch()).item() == 0


# ---- mistakes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ("weight=-1", "weight wants a finite number of at least 0, got -1"),
        ("initialise=2", "initialise wants true or false, got 2"),
        ("initialize=true", "no option 'initialize'; did you mean 'initialise'?"),
    ],
)
def test_refuses_what_means_nothing(options, line):
    with pytest.raises(UserError) as refusal:
        normalizer(f"orthonormal({options})")
    assert line in str(refusal.value)


@pytest.mark.parametrize("layer", [nn.LazyLinear(3), nn.LazyConv2d(3, 3)])
def test_refuses_a_layer_without_values(layer):
    with pytest.raises(UserError, match="has no weight of its own for Orthonormal: a lazy layer"):
        normalizer("orthonormal").attach(nn.Sequential(layer))
