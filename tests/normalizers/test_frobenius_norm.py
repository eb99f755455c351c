from __future__ import annotations

import pytest
import torch
from torch import nn

from snlab.nn.layers import estimated_sigma, raw_weight, weight_layers
from snlab.normalizers.frobenius_norm import FrobeniusNorm


def network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ConvTranspose2d(8, 4, 4, stride=2), nn.Linear(16, 7), nn.Linear(7, 1)
    )


def test_squared_singular_values_sum_to_1():
    """Equation 26."""
    torch.manual_seed(0)
    discriminator = FrobeniusNorm().attach(network().double())
    for layer in weight_layers(discriminator).values():
        weight = layer.weight.detach()
        if isinstance(layer, nn.ConvTranspose2d):
            weight = weight.transpose(0, 1)
        values = torch.linalg.svdvals(weight.flatten(1))
        assert values.square().sum().item() == pytest.approx(1, rel=1e-12)
        rank = min(weight.shape[0], weight[0].numel())
        assert rank**-0.5 - 1e-12 <= values[0].item() <= 1 + 1e-12
        raw = raw_weight(layer).detach()
        torch.testing.assert_close(layer.weight.detach() * raw.square().sum().sqrt(), raw)
        assert estimated_sigma(layer) is None  # the Frobenius norm is no estimate of σ


def test_its_gradient_cannot_move_the_norm_and_is_that_of_finite_differences():
    torch.manual_seed(0)
    layer = FrobeniusNorm().attach(nn.Linear(5, 3).double())
    direction = torch.randn(3, 5, dtype=torch.float64)
    (layer.weight * direction).sum().backward()
    raw = raw_weight(layer)
    assert abs((raw.grad * raw).sum().item()) < 1e-12
    step = 1e-6 * torch.randn(3, 5, dtype=torch.float64)
    values = [((w / w.norm()) * direction).sum() for w in (raw.detach() + step, raw.detach() - step)]
    assert (raw.grad * step).sum().item() * 2 == pytest.approx((values[0] - values[1]).item(), rel=1e-6)


def test_zeros_stay_zeros():
    layer = nn.Linear(4, 3, bias=False)
    nn.init.zeros_(layer.weight)
    FrobeniusNorm().attach(layer)
    layer(torch.ones(2, 4)).sum().backward()
    assert torch.equal(layer.weight, torch.zeros(3, 4))
    assert raw_weight(layer).grad.isfinite().all()
