"""The gradient's norm against closed forms, and the bound against the gradients that it bounds."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from snlab.diagnostics.lipschitz import gradient_norms, lipschitz
from snlab.diagnostics.sigma import sigma


class Quadratic(nn.Module):
    """f(x) = x' A x / 2 with A symmetric, whose gradient is A x."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        half = torch.randn(dim, dim, generator=torch.Generator().manual_seed(0))
        self.matrix = nn.Parameter(half + half.T)

    def forward(self, x):
        return (x @ self.matrix * x).sum(1) / 2


def samples(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, 1, 1),
        nn.LeakyReLU(0.1),
        nn.Conv2d(8, 8, 4, 2, 1),
        nn.LeakyReLU(0.1),
        nn.Flatten(),
        nn.Linear(8 * 16, 1),
        nn.Flatten(0),
    )


def test_a_quadratics_gradient_in_closed_form():
    f, x = Quadratic(5), samples(7, 5)
    expected = (x @ f.matrix).norm(dim=1)
    assert torch.allclose(gradient_norms(f, x), expected, rtol=1e-5)


def test_under_no_grad_and_with_frozen_parameters():
    f, x = Quadratic(5), samples(7, 5)
    expected = gradient_norms(f, x)
    f.requires_grad_(False)
    with torch.no_grad():
        assert torch.equal(gradient_norms(f, x), expected)
    with torch.inference_mode():
        assert torch.equal(gradient_norms(f, samples(7, 5)), expected)


def test_mean_and_maximum_are_over_real_fake_and_interpolated_points():
    f = Quadratic(3)
    f.matrix.data = torch.eye(3)  # the gradient at x is x
    real, fake = 3 * torch.eye(3), torch.zeros(3, 3)
    values = lipschitz(f, real, fake, torch.tensor([0.0, 0.5, 1.0]), {})
    # real: 3, 3, 3; fake: 0, 0, 0; between, 1 being real: 0, 1.5, 3
    assert values["lipschitz/gradient_mean"] == pytest.approx((9 + 0 + 4.5) / 9, rel=1e-6)
    assert values["lipschitz/gradient_max"] == pytest.approx(3, rel=1e-6)
    assert "lipschitz/product" not in values


def test_the_steepest_point_may_lie_between():
    class Bump(nn.Module):
        def forward(self, x):
            return torch.tanh(x).sum(1)  # steepest at 0

    real, fake = torch.full((4, 1), 3.0), torch.full((4, 1), -3.0)
    values = lipschitz(Bump(), real, fake, torch.full((4,), 0.5), {})
    assert values["lipschitz/gradient_max"] == pytest.approx(1, rel=1e-6)


def test_the_product_is_of_the_operator_norms_alone():
    norms = {"sigma/conv/a": 2.0, "sigma/conv/b": 3.5, "sigma/exact/a": 100.0, "sigma/raw/b": 0.1}
    values = lipschitz(Quadratic(2), samples(3, 2), samples(3, 2), torch.rand(3), norms)
    assert values["lipschitz/product"] == 7.0


def test_the_product_bounds_the_gradient_of_a_small_cnn():
    net, real, fake = network(), samples(64, 1, 8, 8), samples(64, 1, 8, 8, seed=1)
    values = lipschitz(net, real, fake, torch.linspace(0, 1, 64), sigma(net, real))
    assert 0 < values["lipschitz/gradient_mean"] <= values["lipschitz/gradient_max"]
    assert values["lipschitz/gradient_max"] <= values["lipschitz/product"] * (1 + 1e-5)


def test_the_bound_is_met_by_a_linear_network_whose_singular_vectors_line_up():
    net = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 1, bias=False))
    net[0].weight.data = torch.diag(torch.tensor([5.0, 1.0, 1.0, 1.0]))
    net[1].weight.data = torch.tensor([[2.0, 0.0, 0.0, 0.0]])
    x = samples(3, 4)
    values = lipschitz(net, x, x, torch.zeros(3), sigma(net, x))
    assert values["lipschitz/product"] == pytest.approx(10, rel=1e-6)
    assert values["lipschitz/gradient_max"] == pytest.approx(10, rel=1e-6)


def test_a_diverged_network_gives_not_a_number():
    f = Quadratic(2)
    f.matrix.data.fill_(math.nan)
    values = lipschitz(f, samples(3, 2), samples(3, 2), torch.rand(3), {"sigma/conv/a": math.nan})
    assert all(math.isnan(value) for value in values.values())


@pytest.mark.parametrize("shapes", [((3, 2), (4, 2), (3,)), ((3, 2), (3, 2), (4,)), ((3, 2), (3, 2), (3, 1))])
def test_numbers_that_differ_are_refused(shapes):
    real, fake, epsilon = (torch.zeros(shape) for shape in shapes)
    with pytest.raises(ValueError, match="must match"):
        lipschitz(Quadratic(2), real, fake, epsilon, {})
