"""The flow's density against the change of variables done the long way."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from snlab.core.errors import UserError
from snlab.networks import MLP, NETWORKS, Flow, RealNVP


def bent(dim: int, couplings: int = 8, strength: float = 1.0) -> RealNVP:
    """A flow far from the identity, in float64."""
    torch.manual_seed(dim)
    flow = Flow(width=16, couplings=couplings, latent_dim=dim).generator((dim,)).double()
    with torch.no_grad():
        for coupling in flow.couplings:
            torch.nn.init.normal_(coupling.net.dense3.weight, std=strength / 4)
            torch.nn.init.normal_(coupling.net.dense3.bias, std=strength / 4)
    return flow


@pytest.mark.parametrize("dim", [2, 3, 7, 64])
def test_the_inverse_is_exact(dim: int) -> None:
    flow = bent(dim)
    z = torch.randn(50, dim, dtype=torch.float64)
    back, _ = flow.inverse(flow(z))
    assert (flow(z) - z).abs().mean() > 0.3  # it does bend
    torch.testing.assert_close(back, z, rtol=1e-9, atol=1e-9)


def test_a_round_trip_of_512_entries_in_float32_is_within_1e_3() -> None:
    flow = bent(512).float()
    z = torch.randn(50, 512)
    with torch.no_grad():
        x = flow(z)
        assert (x - z).abs().mean() > 0.3
        assert (flow.inverse(x)[0] - z).abs().max() < 1e-3
        expected = flow.double().log_density(x.double())
        torch.testing.assert_close(flow.float().log_density(x).double(), expected, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("dim", [2, 3, 7])
def test_the_density_is_the_change_of_variables(dim: int) -> None:
    flow = bent(dim)
    z = torch.randn(10, dim, dtype=torch.float64)
    jacobians = [torch.autograd.functional.jacobian(lambda one: flow(one[None])[0], one) for one in z]
    normal = torch.distributions.MultivariateNormal(z.new_zeros(dim), torch.eye(dim).double())
    expected = normal.log_prob(z) - torch.stack([torch.linalg.slogdet(j).logabsdet for j in jacobians])
    torch.testing.assert_close(flow.log_density(flow(z)), expected, rtol=1e-9, atol=1e-9)


def test_the_density_integrates_to_1() -> None:
    flow = bent(2, couplings=4, strength=0.5)
    samples = flow(torch.randn(100_000, 2, dtype=torch.float64)).detach()
    low, high = samples.amin(0) - 2, samples.amax(0) + 2
    n = 600
    axes = [torch.linspace(float(low[i]), float(high[i]), n, dtype=torch.float64) for i in (0, 1)]
    cell = float(((high - low) / (n - 1)).prod())
    with torch.no_grad():
        mass = flow.log_density(torch.cartesian_prod(*axes)).exp().sum() * cell
    assert mass == pytest.approx(1, abs=1e-3)


def test_it_starts_as_the_standard_normal() -> None:
    flow = Flow(latent_dim=5).generator((5,))
    x = torch.randn(20, 5)
    assert torch.equal(flow(x), x)
    normal = torch.distributions.Normal(0, 1)
    torch.testing.assert_close(flow.log_density(x), normal.log_prob(x).sum(1))


@pytest.mark.parametrize("dim", [2, 3, 8, 13])
def test_every_entry_can_depend_on_every_latent(dim: int) -> None:
    bits = (dim - 1).bit_length()
    flow = bent(dim, couplings=2 * bits + 2)
    z = torch.randn(dim, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda one: flow(one[None])[0], z)
    assert (jacobian != 0).all()


def test_every_coupling_moves_some_and_reads_some() -> None:
    for dim in (2, 3, 5, 512):
        moves = [c.move for c in RealNVP(dim, width=4, couplings=20).couplings]
        assert all(0 < move.sum() < dim for move in moves)
        assert all((first + second == 1).all() for first, second in zip(moves[::2], moves[1::2], strict=True))


def test_float32_is_close_to_float64() -> None:
    flow = bent(2, strength=0.5)
    x = flow(torch.randn(100, 2, dtype=torch.float64)).detach()
    expected = flow.log_density(x)
    ours = flow.float().log_density(x.float())
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours.double(), expected, rtol=1e-3, atol=1e-3)


def test_gradients_reach_every_coupling() -> None:
    flow = bent(3)
    loss: Tensor = -flow.log_density(torch.randn(8, 3, dtype=torch.float64)).mean()
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in flow.parameters())
    assert all(c.net.dense1.weight.grad.abs().max() > 0 for c in flow.couplings)


def test_likelihood_training_finds_a_gaussian() -> None:
    torch.manual_seed(0)
    target = torch.distributions.MultivariateNormal(
        torch.tensor([1.0, -0.5]), torch.tensor([[1.0, 0.6], [0.6, 0.5]])
    )
    flow = Flow(width=16, couplings=4).generator((2,))
    optimizer = torch.optim.Adam(flow.parameters(), lr=1e-2)
    for _ in range(300):
        optimizer.zero_grad()
        (-flow.log_density(target.sample((256,))).mean()).backward()
        optimizer.step()
    x = target.sample((4000,))
    with torch.no_grad():
        divergence = (target.log_prob(x) - flow.log_density(x)).mean()
    assert divergence < 0.05  # 1.36 nats for the standard normal it starts from


def test_the_discriminator_is_mlps() -> None:
    assert str(Flow().discriminator((2,))) == str(MLP().discriminator((2,)))
    assert Flow().discriminator((2,))(torch.randn(4, 2)).shape == (4,)
    small = NETWORKS.build("flow(discriminator=mlp(width=8, depth=1))").discriminator((2,))
    assert str(small) == str(MLP(width=8, depth=1).discriminator((2,)))


def test_a_discriminator_of_mlp_s_is_no_part_of_what_a_run_is_called_by() -> None:
    was = "flow(couplings=8, latent_dim=2, width=64)"
    assert NETWORKS.canonical("flow") == NETWORKS.canonical("flow(discriminator=mlp)") == was
    other = "flow(couplings=8, discriminator='mlp(width=8)', latent_dim=2, width=64)"
    assert NETWORKS.canonical("flow(discriminator=mlp(width=8))") == other
    assert NETWORKS.canonical(other) == other


def test_another_dimension_than_the_latents_is_refused() -> None:
    with pytest.raises(UserError, match=r"flow has nothing for samples of 3; .*write flow\(latent_dim=3\)"):
        Flow().generator((3,))
    with pytest.raises(UserError, match="flow has nothing for samples of 1 x 8 x 8; it takes vectors"):
        Flow().generator((1, 8, 8))


@pytest.mark.parametrize(("option", "least"), [("width", 1), ("couplings", 2), ("latent_dim", 2)])
def test_a_bad_option_is_told_in_one_line(option: str, least: int) -> None:
    with pytest.raises(UserError, match=f"{option} wants a whole number of at least {least}"):
        NETWORKS.build(f"flow({option}={least - 1})")
