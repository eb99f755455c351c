"""Measuring changes nothing: weights, buffers, gradients, flags, hooks, the global random state."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from snlab.diagnostics.gradient import logit_gradients
from snlab.diagnostics.lipschitz import gradient_norms, lipschitz
from snlab.diagnostics.sigma import sigma, spectrum


def discriminator() -> nn.Sequential:
    """A user's own: torch's normalizations, batch statistics, dropout, a frozen part, one in evaluation."""
    torch.manual_seed(0)
    net = nn.Sequential(
        spectral_norm(nn.Conv2d(1, 4, 3, 1, 1)),
        nn.BatchNorm2d(4),
        nn.LeakyReLU(0.1),
        weight_norm(nn.Conv2d(4, 4, 4, 2, 1)),
        nn.Dropout(0.5),
        nn.Flatten(),
        spectral_norm(nn.Linear(4 * 16, 1)),
        nn.Flatten(0),
    )
    net(torch.randn(8, 1, 8, 8)).sum().backward()  # gradients to leave alone
    net[3].requires_grad_(False)
    net[1].eval()
    return net


MEASURES = {
    "sigma": lambda net, x: sigma(net, x),
    "spectrum": lambda net, x: spectrum(net),
    "gradient_norms": lambda net, x: gradient_norms(net, x),
    "logit_gradients": lambda net, x: torch.cat([part.flatten() for part in logit_gradients(net, x)]),
    "lipschitz": lambda net, x: lipschitz(net, x, x, torch.full((len(x),), 0.5), {}),
}


def state(net: nn.Module) -> dict[str, object]:
    return {
        "tensors": {name: tensor.clone() for name, tensor in net.state_dict().items()},
        "gradients": {n: None if p.grad is None else p.grad.clone() for n, p in net.named_parameters()},
        "requires_grad": {name: p.requires_grad for name, p in net.named_parameters()},
        "training": {name: module.training for name, module in net.named_modules()},
        "hooks": {
            name: (len(module._forward_pre_hooks), len(module._forward_hooks), len(module._backward_hooks))
            for name, module in net.named_modules()
        },
        "random": torch.get_rng_state(),
        "grad mode": torch.is_grad_enabled(),
        "cudnn": (torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic),
    }


def assert_same(before, after) -> None:
    assert type(before) is type(after)
    if isinstance(before, dict):
        assert before.keys() == after.keys()
        for key in before:
            assert_same(before[key], after[key])
    elif isinstance(before, torch.Tensor):
        assert torch.equal(before, after)
    else:
        assert before == after


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize("training", [True, False])
def test_nothing_is_changed_by_measuring(name, training):
    net, x = discriminator(), torch.randn(6, 1, 8, 8)
    if not training:
        net.eval()
    before = state(net)
    MEASURES[name](net, x)
    assert_same(before, state(net))


@pytest.mark.parametrize("name", MEASURES)
def test_measuring_twice_gives_the_same(name):
    net, x = discriminator(), torch.randn(6, 1, 8, 8)
    first, second = MEASURES[name](net, x), MEASURES[name](net, x)
    assert torch.equal(first, second) if isinstance(first, torch.Tensor) else first == second


def test_a_training_step_would_have_been_noticed():
    net = discriminator()
    before = state(net)
    net(torch.randn(6, 1, 8, 8))  # one power iteration, and dropout's draw
    with pytest.raises(AssertionError):
        assert_same(before["tensors"], state(net)["tensors"])
    with pytest.raises(AssertionError):
        assert_same(before["random"], state(net)["random"])
