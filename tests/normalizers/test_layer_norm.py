from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from snlab.nn.evaluation import evaluating
from snlab.normalizers import normalizer


def normalised(layer: nn.Module, x: torch.Tensor, text: str = "layer_norm") -> tuple[nn.Module, torch.Tensor]:
    """The module of ``layer`` and an activation, and what that activation computes with for ``x``."""
    module = normalizer(text).attach(nn.Sequential(layer, nn.Hardtanh(-1e9, 1e9)))  # as good as none
    return module, module(x).detach()


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Conv2d(3, 8, 3), (5, 3, 9, 7)),
        (nn.Conv2d(3, 8, 3).to(memory_format=torch.channels_last), (5, 3, 9, 7)),
        (nn.ConvTranspose1d(3, 8, 3), (5, 3, 9)),
        (nn.Conv3d(2, 4, 2), (5, 2, 3, 4, 5)),
        (nn.Linear(6, 40), (5, 6)),
    ],
)
def test_each_sample_has_mean_0_and_variance_1_over_all_but_the_batch(layer, shape):
    torch.manual_seed(0)
    _, y = normalised(copy.deepcopy(layer), 4 * torch.randn(shape) + 3)
    variance, mean = torch.var_mean(y.flatten(1), 1, correction=0)
    torch.testing.assert_close(mean, torch.zeros(5), rtol=0, atol=1e-5)
    torch.testing.assert_close(variance, torch.ones(5), rtol=0, atol=1e-3)
    per_channel = y.transpose(0, 1).flatten(1).mean(1)
    assert per_channel.abs().max() > 0.01  # not each channel by itself


def test_it_is_torchs_layer_norm():
    torch.manual_seed(0)
    layer, x = nn.Conv2d(3, 8, 3), torch.randn(5, 3, 9, 9)
    h = layer(x).detach()
    _, y = normalised(layer, x)
    torch.testing.assert_close(y, nn.LayerNorm((8, 7, 7), elementwise_affine=False)(h), atol=1e-5, rtol=1e-5)


def test_a_sample_is_the_same_in_any_batch_and_in_evaluation():
    torch.manual_seed(0)
    module = normalizer("layer_norm").attach(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()))
    x = torch.randn(6, 3, 8, 8)
    torch.testing.assert_close(module(x)[2:3], module(x[2:3]))
    with evaluating(module):
        torch.testing.assert_close(module(x), module.train()(x))


@pytest.mark.parametrize(("text", "learned"), [("layer_norm", 4), ("layer_norm(gain=true)", 8)])
def test_a_bias_a_channel_is_learned_and_a_gain_if_asked(text, learned):
    torch.manual_seed(0)
    x = torch.randn(5, 3, 6, 6)
    module, before = normalised(nn.Conv2d(3, 4, 3), x, text)
    inserted = module[1].layer_norm
    assert sum(p.numel() for p in inserted.parameters()) == learned
    with torch.no_grad():
        inserted.bias.copy_(torch.tensor([1.0, 2.0, 3.0, 4.0]))
    moved = (module(x) - before).detach()
    torch.testing.assert_close(
        moved, inserted.bias.detach().view(4, 1, 1).expand_as(moved), atol=1e-5, rtol=0
    )


def test_the_scale_of_the_weights_before_it_has_no_effect():
    torch.manual_seed(0)
    layer, x = nn.Linear(6, 40, bias=False), torch.randn(5, 6)
    module, before = normalised(layer, x)
    layer.weight.data *= 7
    torch.testing.assert_close(module(x).detach(), before, rtol=1e-4, atol=1e-4)
