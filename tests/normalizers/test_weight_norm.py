from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from snlab import WeightNorm
from snlab.nn.layers import weight_layers


def network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ConvTranspose2d(8, 4, 4, stride=2), nn.Linear(16, 7), nn.Linear(7, 1)
    )


def test_squared_singular_values_sum_to_c_out():
    """Equation 27."""
    torch.manual_seed(0)
    discriminator = network()
    WeightNorm().attach(discriminator)
    outputs = {"0": 8, "1": 4, "2": 7, "3": 1}
    for name, layer in weight_layers(discriminator).items():
        weight = layer.weight.detach()
        if isinstance(layer, nn.ConvTranspose2d):
            weight = weight.transpose(0, 1)
        values = torch.linalg.svdvals(weight.reshape(outputs[name], -1).double())
        assert values.square().sum().item() == pytest.approx(outputs[name], rel=1e-4)


def test_agrees_with_torchs_own_at_gain_one():
    torch.manual_seed(0)
    ours, theirs = nn.Conv2d(3, 8, 3), nn.Conv2d(3, 8, 3)
    theirs.load_state_dict(ours.state_dict())
    WeightNorm().attach(ours)
    parametrizations.weight_norm(theirs, dim=0)
    theirs.parametrizations.weight.original0.data.fill_(1.0)
    torch.testing.assert_close(ours.weight, theirs.weight)


@pytest.mark.parametrize("layer", [nn.Linear(5, 3), nn.Conv2d(3, 8, 3), nn.ConvTranspose2d(3, 8, 3)])
def test_with_its_gain_attaching_leaves_the_function_as_it_was(layer):
    before = layer.weight.detach().clone()
    WeightNorm(gain=True).attach(layer)
    torch.testing.assert_close(layer.weight.detach(), before)
    names = dict(layer.named_parameters())
    assert "parametrizations.weight.0.gain" in names
    layer.weight.sum().backward()
    assert names["parametrizations.weight.0.gain"].grad.abs().sum() > 0


def test_without_its_gain_nothing_is_learned_but_the_direction():
    layer = nn.Linear(5, 3)
    count = sum(p.numel() for p in layer.parameters())
    WeightNorm().attach(layer)
    assert sum(p.numel() for p in layer.parameters()) == count
    (layer.weight.square().sum() * 7).backward()  # the norm cannot move, so its gradient is zero
    assert layer.parametrizations.weight.original.grad.abs().max() < 1e-5
