"""Certified Lipschitz constants against brute force over activation patterns, and against gradients."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
import torch
from scipy.optimize import linprog
from torch import Tensor, nn

from snlab.diagnostics import regions
from snlab.diagnostics.ascent import lower_bound
from snlab.diagnostics.certified import certified, multipliers, quadratic_forms
from snlab.diagnostics.dense import dense_layers
from snlab.diagnostics.gradient import logit_gradients
from snlab.diagnostics.lipschitz import bounds, gradient_norms, lipschitz
from snlab.diagnostics.sigma import sigma
from snlab.networks import NETWORKS
from snlab.networks.mlp import discriminator
from snlab.normalizers import normalizer


def network(*sizes: int, slope: float = 0.0, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for inner, outer in zip(sizes, [*sizes[1:], 1], strict=True):
        layers += [nn.Linear(inner, outer), nn.LeakyReLU(slope)]
    return nn.Sequential(*layers[:-1], nn.Flatten(0))


def samples(n: int, dim: int, seed: int = 0) -> Tensor:
    return 2 * torch.randn(n, dim, generator=torch.Generator().manual_seed(seed))


def matrices(net: nn.Module) -> tuple[list[np.ndarray], list[np.ndarray]]:
    layers = [layer for layer in net if isinstance(layer, nn.Linear)]
    return tuple(
        [getattr(layer, of).detach().double().numpy() for layer in layers] for of in ("weight", "bias")
    )


def by_brute_force(net: nn.Module, slope: float, met_alone: bool = True) -> float:
    """The largest ‖∇f‖ over all activation patterns, or those that some input has, by linear programs."""
    weights, biases = matrices(net)
    found = 0.0
    for pattern in product((0, 1), repeat=sum(map(len, biases[:-1]))):
        linear, constant = np.eye(weights[0].shape[1]), np.zeros(weights[0].shape[1])
        above, limits, left = [], [], list(pattern)
        for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
            active, left = np.array(left[: len(bias)]), left[len(bias) :]
            linear, constant = weight @ linear, weight @ constant + bias
            sign = 2 * active - 1
            above.append(-sign[:, None] * linear)
            limits.append(sign * constant)
            factor = np.where(active, 1.0, slope)
            linear, constant = factor[:, None] * linear, factor * constant
        steep = float(np.linalg.norm(weights[-1] @ linear))
        if steep <= found:
            continue
        if met_alone:  # is there an input with a margin t > 0 to every unit's line?
            rows = np.hstack([np.vstack(above), np.ones((len(pattern), 1))])
            goal = np.zeros(rows.shape[1])
            goal[-1] = -1
            ends = [(None, None)] * (rows.shape[1] - 1) + [(None, 1)]
            if linprog(goal, rows, np.concatenate(limits), bounds=ends).x[-1] <= 1e-9:
                continue
        found = steep
    return found


def constant(net: nn.Module, dim: int) -> float:
    dense = dense_layers(net, samples(50, dim).to(net[0].weight.dtype))
    assert dense is not None
    return certified(dense)


# ---- exact in the plane ----------------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [(2, 5), (2, 3, 3), (2, 3, 2, 3), (1, 4, 3)])
@pytest.mark.parametrize(("slope", "seed"), [(0.0, 0), (0.0, 1), (0.1, 2)])
def test_it_is_the_maximum_over_the_activation_patterns_that_are_met(sizes, slope, seed):
    net = network(*sizes, slope=slope, seed=seed)
    assert constant(net, sizes[0]) == pytest.approx(by_brute_force(net, slope), rel=2e-5)


def test_there_are_patterns_that_no_input_has():
    """Six lines cut the plane into at most 22 parts, of 64 patterns: it is the maximum over the 22."""
    net = network(2, 6, seed=0)
    met, every = by_brute_force(net, 0.0), by_brute_force(net, 0.0, met_alone=False)
    assert met < 0.99 * every
    assert constant(net, 2) == pytest.approx(met, rel=2e-5)


def test_parts_at_infinity_count():
    """|x| - |y| beyond a kink at 1000: as steep as anywhere, and far from every sample."""
    net = network(2, 2)
    net[0].weight.data, net[0].bias.data = torch.eye(2), torch.tensor([-1000.0, -1000.0])
    net[2].weight.data = torch.tensor([[3.0, 4.0]])
    assert gradient_norms(net, samples(100, 2)).max() == 0
    assert constant(net, 2) == pytest.approx(5, rel=2e-5)


def test_what_is_not_found_soon_enough_is_a_bound_still(monkeypatch):
    net = network(2, 16, 16, slope=0.1)
    exact = constant(net, 2)
    dense = dense_layers(net, samples(50, 2))
    semidefinite = math.sqrt(float(torch.linalg.eigvalsh(quadratic_forms(dense, multipliers(dense))[0])[-1]))
    found = []
    for most in (5, 200, 1000):
        monkeypatch.setattr(regions, "MOST", most)
        found.append(constant(net, 2))
    assert semidefinite * 1.001 > found[0] >= found[1] >= found[2] >= exact
    assert found[1] > exact


# ---- bounds in any dimension -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sizes", "name"),
    [
        ((2, 32, 32, 32), "spectral_norm"),
        ((16, 32, 32, 32), "none"),
        ((64, 32, 32), "spectral_norm"),
        ((5, 20), "weight_norm"),
        ((3, 128, 128), "none"),
    ],
)
def test_product_certified_gradients_and_lower_bound_stand_in_their_order(sizes, name):
    torch.manual_seed(1)
    net = discriminator(sizes[0], sizes[1], len(sizes) - 1)
    for parameter in net.parameters():
        parameter.data *= 1.5
    normalizer(name).attach(net)
    x = samples(256, sizes[0])
    found = lipschitz(net, x[:64], x[64:128], torch.rand(64), sigma(net, x))
    found |= bounds(net, x, product=found["lipschitz/product"])
    assert found["lipschitz/gradient_max"] <= found["lipschitz/lower"] * (1 + 1e-6)
    assert gradient_norms(net, samples(5000, sizes[0], seed=3)).max() <= found["lipschitz/certified"]
    assert 0 < found["lipschitz/lower"] <= found["lipschitz/certified"] <= found["lipschitz/product"]
    assert found["lipschitz/certified"] < 0.9 * found["lipschitz/product"]
    ratio = found["lipschitz/product"] / found["lipschitz/certified"]
    assert found["lipschitz/looseness"] == pytest.approx(ratio, rel=1e-12)


@pytest.mark.parametrize("slope", [0.0, 0.1])
def test_it_is_above_all_patterns_where_all_are_met(slope):
    """One hidden layer of fewer units than inputs: each may be on or off, whatever the others are."""
    net = network(12, 8, slope=slope)
    exact = by_brute_force(net, slope, met_alone=False)
    found = constant(net, 12)
    assert exact <= found <= 1.3 * exact


def test_any_multipliers_give_a_bound():
    net = network(4, 6, 6, slope=0.1)
    dense = dense_layers(net, samples(50, 4))
    largest = gradient_norms(net, samples(5000, 4)).max().item()
    best, stream = multipliers(dense), torch.Generator().manual_seed(0)
    for _ in range(20):
        t = [m * (1 + torch.rand(6, generator=stream, dtype=torch.float64)) for m in best]
        t[0] *= 20  # above half of any P that the next multipliers give
        form = quadratic_forms(dense, t)[0]
        assert float(torch.linalg.eigvalsh(form)[-1]) ** 0.5 > largest


def test_the_product_is_met_where_singular_vectors_line_up():
    net = network(3, 3, 3)
    for layer, scale in ((net[0], 5.0), (net[2], 3.0)):
        layer.weight.data = torch.diag(torch.tensor([scale, 1.0, 1.0]))
    net[4].weight.data = torch.tensor([[2.0, 0.0, 0.0]])
    assert constant(net, 3) == pytest.approx(30, rel=1e-3)
    found = bounds(net, samples(50, 3), product=30.0)
    assert found["lipschitz/certified"] <= 30
    assert found["lipschitz/looseness"] == pytest.approx(1, abs=1e-3)


def test_weights_of_0_and_not_a_number():
    net = network(2, 4, 4)
    net[4].weight.data.zero_()
    assert constant(net, 2) == 0
    assert math.isnan(bounds(net, samples(50, 2), product=0.0)["lipschitz/looseness"])
    dense = dense_layers(network(2, 4, 4), samples(50, 2))
    dense.hidden[0][0, 0] = math.nan
    assert math.isnan(certified(dense))


@pytest.mark.parametrize("scale", [1e60, 1e-60])
def test_weights_far_from_1(scale):
    """The square of the product of three such is out of float64's reach."""
    net = network(2, 4, 4).double()
    expected = constant(net, 2)
    for i, layer in enumerate((net[0], net[2], net[4]), start=1):
        layer.weight.data *= scale
        layer.bias.data *= scale**i
    dense = dense_layers(net, samples(50, 2).double())
    assert certified(dense) / scale**2 / scale == pytest.approx(expected, rel=1e-6)


# ---- which discriminators --------------------------------------------------------------------------------


def test_layers_with_nothing_between_are_one_and_dropout_is_none():
    net = nn.Sequential(
        nn.Flatten(), nn.Linear(4, 5), nn.Sequential(nn.Linear(5, 3, bias=False), nn.ReLU(), nn.Dropout(0.5)),
        nn.Identity(), nn.Linear(3, 2), nn.Linear(2, 1), nn.Flatten(0),
    )  # fmt: skip
    dense = dense_layers(net.train(), samples(20, 4))
    assert [tuple(w.shape) for w in dense.hidden] == [(3, 4)]
    assert dense.last.shape == (1, 3)
    assert net.training


@pytest.mark.parametrize(
    "net",
    [
        nn.Sequential(nn.Linear(4, 1), nn.Flatten(0)),
        nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 1), nn.Flatten(0)),
        nn.Sequential(nn.Linear(4, 3), nn.LayerNorm(3), nn.ReLU(), nn.Linear(3, 1), nn.Flatten(0)),
        nn.Sequential(nn.Linear(4, 3), nn.LeakyReLU(-0.5), nn.Linear(3, 1), nn.Flatten(0)),
        nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.ReLU(), nn.Linear(3, 1), nn.Flatten(0)),
        network(4, 129),
        network(4, 3, 3, 3, 3),
    ],
)
def test_others_are_left_out(net):
    assert dense_layers(net, samples(20, 4)) is None
    found = bounds(net, samples(20, 4), product=1.0)
    assert found.keys() == {"lipschitz/lower"}


@pytest.mark.parametrize("name", ["gradient_normalization", "layer_norm"])
def test_a_discriminator_that_computes_something_else_is_none(name):
    net = normalizer(name).attach(discriminator(4, 8, 2))
    assert dense_layers(net, samples(20, 4)) is None


def test_images_have_a_lower_bound_alone():
    net = NETWORKS.build("standard_cnn(width=0.0625)").discriminator((1, 16, 16))
    x = torch.rand(8, 1, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert bounds(net, x, product=1.0).keys() == {"lipschitz/lower"}


# ---- from below ------------------------------------------------------------------------------------------


def test_a_hill_is_climbed():
    class Hill(nn.Module):
        """‖∇f‖ = 1 / cosh²(x - 1) of the first entry, largest at 1."""

        def forward(self, x: Tensor) -> Tensor:
            return torch.tanh(x[:, 0] - 1)

    x = samples(30, 2) - torch.tensor([4.0, 0.0])
    x = x[x[:, 0] < -0.5]
    start = gradient_norms(Hill(), x).max().item()
    assert start < 0.2
    assert lower_bound(Hill(), x) == pytest.approx(1, abs=0.01)


def test_pieces_of_the_plane_are_climbed_too():
    """In most networks to the steepest of all."""
    found = []
    for seed in range(5):
        net = network(2, 12, 12, slope=0.1, seed=seed)
        found.append(lower_bound(net, samples(64, 2)) / constant(net, 2))
    assert max(found) <= 1
    assert np.median(found) > 0.999
    assert min(found) > 0.8


def test_it_is_a_gradient_that_is_met():
    """Not a slope between two points, whose rounding could lift it above every gradient."""
    net = network(3, 4)
    net[2].weight.data.zero_()
    assert lower_bound(net, samples(10, 3)) == 0
    net[0].weight.data[0, 0] = math.nan
    assert math.isnan(lower_bound(net, samples(10, 3)))


def test_neither_changes_the_discriminator():
    net = normalizer("spectral_norm").attach(discriminator(3, 8, 2)).train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    bounds(net, samples(20, 3), product=1.0)
    assert net.training
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(p.grad is None for p in net.parameters())
    with torch.inference_mode():
        assert bounds(net, samples(20, 3), product=1.0).keys() >= {"lipschitz/certified"}
    assert not logit_gradients(net, samples(4, 3))[1].requires_grad
