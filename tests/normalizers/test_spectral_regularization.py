from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from snlab.core.errors import UserError
from snlab.nn.layers import as_matrix, output_dim, raw_weight, weight_layers
from snlab.normalizers import Batch, normalizer
from snlab.normalizers.spectral_regularization import SpectralRegularization

BATCH = Batch(
    torch.zeros(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
)  # it reads weights alone


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ConvTranspose2d(8, 4, 4, stride=2), nn.Linear(16, 7), nn.Linear(7, 1)
    ).double()


def matrices(module: nn.Module) -> list[Tensor]:
    return [as_matrix(raw_weight(layer), output_dim(layer)) for layer in weight_layers(module).values()]


def converged(chosen: SpectralRegularization, module: nn.Module, rounds: int = 300) -> nn.Module:
    chosen.attach(module)
    for _ in range(rounds):
        chosen.before_update(module)
    return module


def test_it_is_half_the_sum_of_squared_singular_values():
    chosen = SpectralRegularization(weight=0.3)
    module = converged(chosen, network())
    expected = sum(torch.linalg.svdvals(matrix)[0] ** 2 for matrix in matrices(module))
    assert chosen.penalty(module, BATCH).item() == pytest.approx(0.15 * expected.item(), rel=1e-9)


def test_its_gradient_is_lambda_sigma_u_v():
    """λσuvᵀ of every weight, by SVD."""
    chosen = SpectralRegularization(weight=0.3)
    module = converged(chosen, network())
    chosen.penalty(module, BATCH).backward()
    for layer, matrix in zip(module, matrices(module), strict=True):
        gradient = as_matrix(layer.weight.grad, output_dim(layer))
        u, s, vh = torch.linalg.svd(matrix.detach(), full_matrices=False)
        torch.testing.assert_close(gradient, 0.3 * s[0] * torch.outer(u[:, 0], vh[0]), rtol=0, atol=1e-6)


def test_before_the_first_round_it_is_a_lower_bound_and_its_gradient_is_exact():
    """For any u the penalty is (λ/2) ‖Wᵀu‖², whose gradient is right by finite differences."""
    chosen = SpectralRegularization(weight=2)
    layer = chosen.attach(nn.Linear(5, 4, dtype=torch.float64))
    value = chosen.penalty(layer, BATCH)
    assert 0 < value.item() < torch.linalg.svdvals(layer.weight)[0].item() ** 2
    (gradient,) = torch.autograd.grad(value, layer.weight)
    direction = torch.randn_like(gradient)
    with torch.no_grad():
        sides = []
        for sign in (1, -1):
            moved = copy.deepcopy(layer)
            moved.weight += sign * 1e-6 * direction
            sides.append(chosen.penalty(moved, BATCH).item())
    assert (gradient * direction).sum().item() == pytest.approx((sides[0] - sides[1]) / 2e-6, rel=1e-6)


def test_no_weight_is_changed_and_u_moves_once_an_update():
    plain, module = network(), network()
    chosen = SpectralRegularization()
    chosen.attach(module)
    for name, value in plain.state_dict().items():
        assert torch.equal(module.state_dict()[name], value)
    before = copy.deepcopy(module.state_dict())
    chosen.penalty(module, BATCH)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    matrix, u = matrices(module)[0].detach(), module[0].weight_spectral_regularization_u.clone()
    chosen.before_update(module)
    v = matrix.T @ u
    expected = matrix @ (v / v.norm())
    torch.testing.assert_close(module[0].weight_spectral_regularization_u, expected / expected.norm())


def test_several_rounds_are_as_many_updates():
    once, thrice = network(), network()
    slow, quick = SpectralRegularization(), SpectralRegularization(iterations=3)
    torch.manual_seed(1)
    slow.attach(once)
    thrice.load_state_dict(once.state_dict(), strict=False)
    quick.attach(thrice)
    thrice.load_state_dict(once.state_dict())
    for _ in range(3):
        slow.before_update(once)
    quick.before_update(thrice)
    for name, value in once.state_dict().items():
        torch.testing.assert_close(thrice.state_dict()[name], value)


@pytest.mark.parametrize(
    "name", ["spectral_regularization+spectral_norm", "weight_norm+spectral_regularization"]
)
def test_beside_a_reparametrization_it_is_of_the_parameter(name):
    chosen = normalizer(name)
    module = chosen.attach(network())
    for _ in range(300):
        chosen.before_update(module)
    expected = sum(torch.linalg.svdvals(matrix)[0] ** 2 for matrix in matrices(module))
    assert chosen.penalty(module, BATCH).item() == pytest.approx(0.005 * expected.item(), rel=1e-6)


def test_it_shrinks_the_largest_singular_value_alone():
    chosen = SpectralRegularization(weight=1)
    layer = converged(chosen, nn.Linear(6, 6, bias=False, dtype=torch.float64))
    before = torch.linalg.svdvals(layer.weight)
    chosen.penalty(layer, BATCH).backward()
    with torch.no_grad():
        layer.weight -= 0.01 * layer.weight.grad
    after = torch.linalg.svdvals(layer.weight)
    assert after[0].item() == pytest.approx(0.99 * before[0].item(), rel=1e-9)
    torch.testing.assert_close(after[1:], before[1:], rtol=1e-9, atol=0)


def test_recurrent_layers_and_attention():
    module = nn.ModuleList([nn.GRU(3, 4), nn.MultiheadAttention(4, 2)]).double()
    chosen = SpectralRegularization(weight=2)
    converged(chosen, module, 1000)
    tensors = [p for p in module.parameters() if p.ndim == 2]
    expected = sum(torch.linalg.svdvals(tensor)[0].item() ** 2 for tensor in tensors)
    assert chosen.penalty(module, BATCH).item() == pytest.approx(expected, rel=1e-6)
    module[0](torch.zeros(1, 1, 3, dtype=torch.float64))


def test_a_lazy_layer_is_refused():
    with pytest.raises(UserError, match="a lazy layer wants a first batch"):
        SpectralRegularization().attach(nn.Sequential(nn.LazyLinear(3)))


@pytest.mark.parametrize(("options", "what"), [({"weight": -1}, "weight"), ({"iterations": 0}, "iterations")])
def test_refuses_what_means_nothing(options, what):
    with pytest.raises(ValueError, match=f"{what} wants"):
        SpectralRegularization(**options)
