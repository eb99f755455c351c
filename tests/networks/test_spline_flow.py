"""zuko's flow as a generator: its density against the change of variables done the long way."""

from __future__ import annotations

import pytest
import torch

from snlab.core.errors import UserError
from snlab.networks import MLP, NETWORKS, SplineGenerator


def bent(*shape: int, strength: float = 0.1, **options: int) -> SplineGenerator:
    """A flow far from the identity."""
    torch.manual_seed(0)
    text = ", ".join(f"{key}={value}" for key, value in options.items())
    flow = NETWORKS.build(f"spline_flow({text})").generator(shape)
    assert isinstance(flow, SplineGenerator)
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.add_(strength * torch.randn_like(parameter))
    return flow


@pytest.mark.parametrize(("dtype", "within"), [(torch.float64, 1e-6), (torch.float32, 1e-3)])
@pytest.mark.parametrize("dim", [2, 3, 64, 512])
def test_the_inverse_is_exact(dim: int, dtype: torch.dtype, within: float) -> None:
    flow = bent(dim).to(dtype)
    z = torch.randn(50, dim, dtype=dtype)
    with torch.no_grad():
        x = flow(z)
        assert (x - z).abs().mean() > 0.3  # it does bend
        assert (flow.inverse(x) - z).abs().max() < within
        expected = flow.double().log_density(x.double())
        torch.testing.assert_close(flow.to(dtype).log_density(x).double(), expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("dim", [2, 3, 7])
def test_the_density_is_the_change_of_variables(dim: int) -> None:
    flow = bent(dim, strength=0.3).double()
    z = torch.randn(10, dim, dtype=torch.float64)
    jacobians = [torch.autograd.functional.jacobian(lambda one: flow(one[None])[0], one) for one in z]
    normal = torch.distributions.MultivariateNormal(z.new_zeros(dim), torch.eye(dim).double())
    expected = normal.log_prob(z) - torch.stack([torch.linalg.slogdet(j).logabsdet for j in jacobians])
    torch.testing.assert_close(flow.log_density(flow(z)), expected, rtol=1e-9, atol=1e-9)


def test_the_density_integrates_to_1() -> None:
    flow = bent(2, strength=0.2, couplings=3)
    axis = torch.linspace(-6, 6, 301, dtype=torch.float64)  # beyond 5 in an entry it is the normal density's
    with torch.no_grad():
        mass = flow.double().log_density(torch.cartesian_prod(axis, axis)).exp().sum() * 0.04**2
    assert mass.item() == pytest.approx(1, abs=1e-3)


def test_it_starts_as_the_standard_normal() -> None:
    flow = NETWORKS.build("spline_flow").generator((5,))
    x = torch.randn(20, 5)
    torch.testing.assert_close(flow(x), x, rtol=1e-5, atol=1e-5)
    normal = torch.distributions.Normal(0, 1)
    torch.testing.assert_close(flow.log_density(x), normal.log_prob(x).sum(1), rtol=1e-4, atol=1e-4)


def test_far_out_it_is_the_normal_density_and_finite() -> None:
    flow = bent(2)
    x = torch.tensor([[1e3, -1e3], [1e4, 1e4]], requires_grad=True)
    log_density = flow.log_density(x)
    (gradient,) = torch.autograd.grad(log_density.sum(), x)
    normal = torch.distributions.Normal(0, 1).log_prob(x).sum(1)
    torch.testing.assert_close(log_density, normal)
    torch.testing.assert_close(gradient, -x)


def test_gradients_reach_every_coupling() -> None:
    """Through samples and through log densities: to the weights, and to x."""
    flow = bent(3)
    z, x = torch.randn(8, 3), torch.randn(8, 3, requires_grad=True)
    for loss in (flow(z).square().mean(), -flow.log_density(x).mean()):
        flow.zero_grad()
        loss.backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in flow.parameters())
        assert all(p.grad.abs().max() > 0 for p in flow.parameters())
    assert x.grad.abs().min() > 0


def test_images_are_its_vectors() -> None:
    flow = NETWORKS.build("spline_flow(width=8, couplings=2)")
    generator = flow.generator((1, 8, 8))
    assert flow.latent_dim == 64
    x = generator(torch.randn(3, 64))
    assert x.shape == (3, 1, 8, 8)
    assert generator.log_density(x).shape == (3,)


def test_the_discriminator_is_another_network_s() -> None:
    assert str(NETWORKS.build("spline_flow").discriminator((2,))) == str(MLP().discriminator((2,)))
    small = NETWORKS.build("spline_flow(discriminator=mlp(width=8))").discriminator((2,))
    assert str(small) == str(MLP(width=8).discriminator((2,)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("width=0", "width wants a whole number of at least 1"),
        ("couplings=1", "couplings wants a whole number of at least 2"),
        ("bins=1", "bins wants a whole number of at least 2"),
        ("bound=0", "bound wants a finite number above 0"),
        ("discriminator=mlp(conditional=true)", "wants labels, and the generator of spline_flow has none"),
    ],
)
def test_a_bad_option_is_told_in_one_line(options: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        NETWORKS.build(f"spline_flow({options})")


@pytest.mark.slow
def test_it_trains(fit) -> None:
    run = fit(
        "--data.dataset", "mixture(kind=random, dim=64)", "--generator_steps", "3", "--measure.every", "3",
        "--model.network", "spline_flow(width=16, couplings=2)", network=False,
    )  # fmt: skip
    assert run.outcome == "finished"
    assert run.rows[3].keys() >= {"ratio/true_rmse", "modes/covered", "modes/dropped_mass"}
