from __future__ import annotations

import pytest
import torch
from torch import nn

from snlab.core.errors import UserError
from snlab.networks import MLP, NETWORKS
from snlab.nn.layers import weight_layers


def test_the_layers_are_dense1_to_the_last() -> None:
    network = MLP(width=32, depth=2, latent_dim=5)
    for module, first, last in ((network.generator((7,)), 5, 7), (network.discriminator((7,)), 7, 1)):
        layers = weight_layers(module)
        assert list(layers) == ["dense1", "dense2", "dense3"]
        sizes = [(layer.in_features, layer.out_features) for layer in layers.values()]
        assert sizes == [(first, 32), (32, 32), (32, last)]


def test_the_default_layers_written_out() -> None:
    generator, discriminator = MLP().generator((2,)), MLP().discriminator((2,))
    types = [nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Linear]
    assert [type(layer) for layer in generator] == types
    leaky = [nn.LeakyReLU if t is nn.ReLU else t for t in types]
    assert [type(layer) for layer in discriminator] == [*leaky, nn.Flatten]
    assert {layer.negative_slope for layer in discriminator if isinstance(layer, nn.LeakyReLU)} == {0.1}
    assert sum(p.numel() for p in discriminator.parameters()) == 3 * 128 + 2 * (129 * 128) + 129


@pytest.mark.parametrize("dim", [1, 2, 512])
@pytest.mark.parametrize("batch", [1, 6])
def test_shapes(dim: int, batch: int) -> None:
    network = MLP(width=16, depth=1, latent_dim=3)
    x = network.generator((dim,))(torch.randn(batch, 3))
    assert x.shape == (batch, dim)
    assert network.discriminator((dim,))(x).shape == (batch,)


def test_the_discriminator_is_its_layers_by_hand() -> None:
    discriminator = MLP(width=8, depth=1).discriminator((2,)).double()
    x = torch.randn(5, 2, dtype=torch.float64)
    first, last = discriminator.dense1, discriminator.dense2
    hidden = x @ first.weight.T + first.bias
    expected = torch.where(hidden > 0, hidden, 0.1 * hidden) @ last.weight[0] + last.bias
    torch.testing.assert_close(discriminator(x), expected, rtol=1e-12, atol=1e-12)


def test_images_are_refused() -> None:
    for make in (MLP().generator, MLP().discriminator):
        with pytest.raises(
            UserError, match="network mlp has nothing for samples of 1 x 16 x 16; it takes vec"
        ):
            make((1, 16, 16))


@pytest.mark.parametrize("option", ["width", "depth", "latent_dim"])
@pytest.mark.parametrize("value", ["0", "1.5", "deep"])
def test_a_bad_option_is_told_in_one_line(option: str, value: str) -> None:
    with pytest.raises(UserError, match=f"{option} wants a whole number of at least 1"):
        NETWORKS.build(f"mlp({option}={value})")
