"""What every registered network holds."""

from __future__ import annotations

import pytest
import torch

from snlab.core.errors import UserError
from snlab.networks import NETWORKS, Network

SHAPES = [(1, 16, 16), (3, 32, 32), (2,)]
ANY_SHAPE = {"fixed", "spline_flow"}  # of the generator: the discriminator, another network's, refuses some


def taken(network: Network) -> list[tuple[int, ...]]:
    shapes = []
    for shape in SHAPES:
        try:
            network.discriminator(shape)
        except UserError:
            continue
        shapes.append(shape)
    return shapes


@pytest.fixture(params=NETWORKS.names())
def network(request: pytest.FixtureRequest) -> Network:
    return NETWORKS.build(request.param)


def test_the_pair_fits_together(network: Network) -> None:
    shapes = taken(network)
    assert shapes
    for shape in shapes:
        x = network.generator(shape)(torch.randn(3, network.latent_dim))
        assert x.shape == (3, *shape)
        assert network.discriminator(shape)(x).shape == (3,)


@pytest.mark.parametrize("name", sorted(set(NETWORKS.names()) - ANY_SHAPE))
def test_generator_and_discriminator_refuse_the_same(name: str) -> None:
    network = NETWORKS.build(name)
    for shape in set(SHAPES) - set(taken(network)):
        with pytest.raises(UserError, match="has nothing for samples of"):
            network.generator(shape)


def test_a_state_dict_makes_a_second_equal_one(network: Network) -> None:
    shape = taken(network)[0]
    first, second = network.generator(shape).eval(), network.generator(shape).eval()
    z = torch.randn(3, network.latent_dim)
    second.load_state_dict(first.state_dict())
    assert torch.equal(first(z), second(z))


def test_one_seed_one_start(network: Network) -> None:
    shape = taken(network)[0]
    starts = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        starts.append(torch.cat([p.flatten() for p in network.discriminator(shape).parameters()]))
    assert torch.equal(starts[0], starts[1])
    assert not torch.equal(starts[0], starts[2])


def test_an_unknown_network_names_the_nearest() -> None:
    with pytest.raises(UserError, match="unknown network 'standard_cn'; did you mean 'standard_cnn'"):
        NETWORKS.build("standard_cn")
