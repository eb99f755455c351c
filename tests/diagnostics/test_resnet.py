"""What is measured of a residual discriminator: norms of its convolutions, and a bound that adds paths up."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn

from snlab.core import names
from snlab.diagnostics.convolution import convolution_sigma, input_shapes
from snlab.diagnostics.lipschitz import bound, is_bounded, lipschitz
from snlab.diagnostics.sigma import sigma
from snlab.networks import ResNet, StandardCNN
from snlab.networks.residual import blocks
from snlab.networks.resnet import ARCHITECTURES
from snlab.nn.layers import weight_layers
from snlab.nn.resampling import PooledConv2d, ResampledConv2d, UpsampledConv2d
from snlab.normalizers import normalizer
from snlab.normalizers.spectral_norm import SpectralNorm

SHAPE = (2, 32, 32)


def matrix(function: nn.Module, shape: tuple[int, ...]) -> torch.Tensor:
    """A linear map, up to a constant, written out."""
    identity = torch.eye(math.prod(shape), dtype=torch.float64).view(-1, *shape)
    with torch.no_grad():
        return (function(identity) - function(torch.zeros_like(identity[:1]))).flatten(1)


def norm(function: nn.Module, shape: tuple[int, ...]) -> float:
    return torch.linalg.svdvals(matrix(function, shape))[0].item()


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("kind", [PooledConv2d, UpsampledConv2d])
def test_the_norm_is_the_convolutions_at_the_size_it_is_given(kind, kernel, fused):
    layer = kind(2, 3, kernel, fused).double()
    size = (8, 12) if kind is UpsampledConv2d else (4, 6)
    plain = nn.Conv2d(2, 3, kernel, padding=kernel // 2).double()
    plain.load_state_dict(layer.state_dict())
    shapes = input_shapes(nn.Sequential(layer), torch.zeros(1, 2, 4, 6, dtype=torch.float64))
    assert shapes == {"0": (2, *size)}
    assert convolution_sigma(layer, shapes["0"]) == pytest.approx(norm(plain, (2, *size)), rel=1e-5)


def test_everything_measured_is_the_same_either_way():
    torch.manual_seed(0)
    fused = SpectralNorm().attach(ResNet(width=0.05).discriminator(SHAPE).double())
    plain = copy.deepcopy(fused)
    for module in plain.modules():
        if isinstance(module, ResampledConv2d):
            module.fused = False
    x = torch.randn(2, *SHAPE, dtype=torch.float64)
    ours, expected = sigma(fused, x), sigma(plain, x)
    assert ours.keys() == expected.keys()
    assert {f"sigma/conv/{name}" for name in weight_layers(fused)} <= ours.keys()
    for name, value in expected.items():
        assert ours[name] == pytest.approx(value, rel=1e-9), name


def test_a_pooled_convolution_is_divided_by_the_norm_that_is_measured():
    """``spectral_norm(of=convolution)`` and the diagnostics mean one map: the 3 x 3 at the layer's size."""
    torch.manual_seed(0)
    chosen = normalizer("spectral_norm(of=convolution, iterations=200)")
    network = chosen.attach(ResNet(width=0.03).discriminator(SHAPE).double())
    x = torch.randn(1, *SHAPE, dtype=torch.float64)
    network(x)
    chosen.before_update(network)
    found = sigma(network, x)
    for name in weight_layers(network):
        assert found[f"sigma/conv/{name}"] == pytest.approx(1, rel=1e-3), name


@pytest.mark.parametrize("pools", [True, False])
@pytest.mark.parametrize("channels", [(2, 2), (2, 3)])
def test_a_blocks_bound_is_above_its_jacobians_norm(pools, channels):
    torch.manual_seed(0)
    network = ResNet().discriminator(SHAPE)
    block_type = type(network.get_submodule("block1"))
    block = block_type(*channels, pools=pools, first=False, fused=True).double()
    shape = (channels[0], 4, 4)
    norms = {}
    for name, layer in weight_layers(block).items():
        norms[name] = norm(
            layer.convolve if isinstance(layer, ResampledConv2d) else layer, (layer.in_channels, 4, 4)
        )
    limit = block.lipschitz_bound(norms)
    steepest = 0.0
    for seed in range(20):
        x = torch.randn(1, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        jacobian = torch.autograd.functional.jacobian(block, x).reshape(-1, math.prod(shape))
        steepest = max(steepest, torch.linalg.svdvals(jacobian)[0].item())
    assert limit / 10 < steepest <= limit


def test_the_bound_is_met_where_everything_lines_up():
    """One channel, all weights and inputs above 0: constant images stretch as much as the norms allow."""
    network = ResNet(width=1e-3).discriminator((1, 8, 8)).double()
    for name, layer in weight_layers(network).items():
        layer.weight.data.fill_(0.0)
        if name.endswith(("conv1", "conv2")):
            layer.weight.data[:, :, 1, 1] = 2.0
        else:
            layer.weight.data.fill_(3.0)
    x = torch.rand(1, 1, 8, 8, dtype=torch.float64).requires_grad_()
    (gradient,) = torch.autograd.grad(network(x).sum(), x)
    values = lipschitz(network, x.detach(), x.detach(), torch.zeros(1), sigma(network, x.detach()))
    by_hand = (0.5 * (4 + 3)) ** 2 * (4 + 1) ** 2 * math.sqrt(2 * 2) * 3
    assert gradient.norm().item() == pytest.approx(by_hand, rel=1e-9)
    assert values[names.LIPSCHITZ_PRODUCT] == pytest.approx(by_hand, rel=1e-5)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_bound_bounds_the_gradient(name):
    torch.manual_seed(0)
    network = ResNet(name, width=0.05).discriminator(SHAPE)
    real, fake = torch.rand(2, 16, *SHAPE) * 2 - 1
    values = lipschitz(network, real, fake, torch.linspace(0, 1, 16), sigma(network, real))
    assert 0 < values[names.LIPSCHITZ_GRADIENT_MAX] <= values[names.LIPSCHITZ_PRODUCT]
    norms = {n.removeprefix("sigma/conv/"): v for n, v in sigma(network, real).items() if "/conv/" in n}
    by_hand = norms["dense"]
    for i, block in enumerate(blocks(network), start=1):
        shortcut = norms.get(f"block{i}.shortcut", 1.0)
        by_hand *= (norms[f"block{i}.conv1"] * norms[f"block{i}.conv2"] + shortcut) / (
            2 if block.pools else 1
        )
    positions = (32 // 2 ** sum(block.pools for block in blocks(network))) ** 2
    by_hand *= positions**-0.5 if name == "wgan_gp" else positions**0.5
    assert values[names.LIPSCHITZ_PRODUCT] == pytest.approx(by_hand)


def test_an_unknown_norm_leaves_no_number():
    network = ResNet(width=0.01).discriminator(SHAPE)
    norms = dict.fromkeys(weight_layers(network), 1.0)
    assert bound(network, norms) == pytest.approx(1 * 1 * 2 * 2 * 8)
    assert math.isnan(bound(network, norms | {"block2.shortcut": math.nan}))


@pytest.mark.parametrize(
    "layer", [nn.BatchNorm2d(3), nn.GroupNorm(1, 3), nn.LayerNorm(3), nn.InstanceNorm2d(3)]
)
def test_no_bound_where_a_layer_scales_by_a_statistic(layer):
    network = StandardCNN(width=0.05).discriminator((2, 8, 8))
    x = torch.rand(4, 2, 8, 8)
    found = sigma(network, x)
    assert is_bounded(network)
    assert names.LIPSCHITZ_PRODUCT in lipschitz(network, x, x, torch.zeros(4), found)
    network.leaky_relu1.add_module("norm", layer)
    assert not is_bounded(network)
    assert names.LIPSCHITZ_PRODUCT not in lipschitz(network, x, x, torch.zeros(4), found)


@pytest.mark.parametrize("name", ["batch_norm", "layer_norm", "gradient_normalization"])
def test_so_do_the_normalizers_that_change_more_than_weights(name):
    network = ResNet(width=0.02).discriminator(SHAPE)
    assert is_bounded(SpectralNorm().attach(network))
    assert not is_bounded(normalizer(name).attach(network))
