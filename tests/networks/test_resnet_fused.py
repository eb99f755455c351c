"""The reduced arithmetic of the ResNets is the plain one's: values, gradients and gradients of gradients."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from snlab.networks import ResNet
from snlab.networks.residual import blocks
from snlab.networks.resnet import ARCHITECTURES
from snlab.nn.layers import raw_weight, weights
from snlab.nn.resampling import ResampledConv2d
from snlab.normalizers import normalizer
from tests.variants import ALL

SHAPE = (3, 32, 32)


def one_after_the_other(network: nn.Module) -> nn.Module:
    """A copy that computes resampling and convolution one after the other."""
    other = copy.deepcopy(network)
    changed = [module for module in other.modules() if isinstance(module, ResampledConv2d)]
    assert changed
    for module in changed:
        module.fused = False
    return other


def three_orders(network: nn.Module, x: Tensor) -> list[Tensor]:
    """The output, its gradient with respect to the input, and a penalty's gradient in one row.

    In one row, because some are 0, as a bias's that batch norm takes out, and rounding beside the others.
    """
    x = x.clone().requires_grad_()
    y = network(x)
    (slope,) = torch.autograd.grad(y.sin().sum(), x, create_graph=True)
    penalty = (slope.flatten(1).norm(dim=1) - 1).square().sum() + y.square().sum()
    parameters = [p for p in network.parameters() if p.requires_grad]
    found = torch.autograd.grad(penalty, [x, *parameters], allow_unused=True)
    return [y, slope, torch.cat([g.flatten() for g in found if g is not None])]


def assert_equal_to_12_digits(ours: list[Tensor], expected: list[Tensor]) -> None:
    for one, other in zip(ours, expected, strict=True):
        assert (one - other).abs().max() <= 1e-12 * other.abs().max()


@pytest.mark.parametrize("side", ["generator", "discriminator"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_block(name: str, side: str) -> None:
    network = getattr(ResNet(name, width=0.02), side)(SHAPE).double()
    for block in blocks(network):
        if any(isinstance(layer, ResampledConv2d) for layer in block.modules()):
            x = torch.randn(2, block.conv1.in_channels, 6, 4, dtype=torch.float64)
            assert_equal_to_12_digits(three_orders(block, x), three_orders(one_after_the_other(block), x))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_whole_networks(name: str) -> None:
    network = ResNet(name, width=0.02)
    generator, discriminator = network.generator(SHAPE).double(), network.discriminator(SHAPE).double()
    for module, x in ((generator, torch.randn(2, 128)), (discriminator, torch.randn(2, *SHAPE))):
        x = x.double()
        assert_equal_to_12_digits(three_orders(module, x), three_orders(one_after_the_other(module), x))


@pytest.mark.parametrize("name", ALL)
def test_under_every_normalizer(name: str) -> None:
    torch.manual_seed(0)
    chosen = normalizer(name)
    discriminator = chosen.attach(ResNet(width=0.02).discriminator(SHAPE).double())
    x = torch.randn(3, *SHAPE, dtype=torch.float64)
    discriminator(x)
    chosen.before_update(discriminator)
    plain = one_after_the_other(discriminator)
    assert_equal_to_12_digits(three_orders(discriminator, x), three_orders(plain, x))
    for (layer, parameter), (other, _) in zip(
        weights(discriminator).values(), weights(plain).values(), strict=True
    ):
        assert torch.equal(
            chosen.effective_weight(layer, parameter), chosen.effective_weight(other, parameter)
        )
        assert raw_weight(layer, parameter).shape == getattr(layer, parameter).shape


@pytest.mark.parametrize("side", ["generator", "discriminator"])
def test_channels_last_stays_channels_last(side: str) -> None:
    network = getattr(ResNet(width=0.1), side)(SHAPE)
    x = torch.randn(2, 128) if side == "generator" else torch.randn(2, *SHAPE)
    expected = network(x)
    network.to(memory_format=torch.channels_last)
    torch.testing.assert_close(network(x), expected, rtol=1e-3, atol=1e-4)
    for block in blocks(network):
        for layer in (block, block.conv1, block.conv2):
            layer.register_forward_hook(assert_channels_last)
    network(x if side == "generator" else x.contiguous(memory_format=torch.channels_last))


def assert_channels_last(block: nn.Module, inputs: object, y: Tensor) -> None:
    assert y.is_contiguous(memory_format=torch.channels_last)
