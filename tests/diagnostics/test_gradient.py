"""What a discriminator leaves to a generator, against closed forms and autograd."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from snlab.diagnostics.gradient import generator_gradients, logit_gradients


class Between(nn.Module):
    """The exact log ratio of N(m, 1) against N(0, 1): m x - m²/2."""

    def __init__(self, m: float) -> None:
        super().__init__()
        self.m = m

    def forward(self, x: Tensor) -> Tensor:
        return (self.m * x - self.m**2 / 2).flatten()


def fakes(n: int = 500) -> Tensor:
    return torch.randn(n, 1, generator=torch.Generator().manual_seed(0))


def test_logits_and_gradients_are_autograds():
    torch.manual_seed(0)
    f = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1), nn.Flatten(0))
    x = torch.randn(5, 3)
    with torch.no_grad():
        logits, gradients = logit_gradients(f, x)
    assert not logits.requires_grad
    assert torch.equal(logits, f(x))
    for row, gradient in zip(x, gradients, strict=True):
        torch.testing.assert_close(gradient, torch.func.jacrev(lambda one: f(one[None])[0])(row))
    assert all(p.grad is None for p in f.parameters())


@pytest.mark.parametrize("m", [0.5, 3.0])
def test_they_are_the_gradients_of_the_two_losses(m):
    f, x = Between(m), fakes().requires_grad_()
    found = generator_gradients(*logit_gradients(f, x))
    losses = {"saturating": -F.softplus(f(x)), "non_saturating": F.softplus(-f(x))}  # log(1 - D), -log D
    for name, loss in losses.items():
        (gradient,) = torch.autograd.grad(loss.sum(), x)
        expected = gradient.flatten(1).norm(dim=1).mean().item()
        assert found[f"ratio/generator_gradient_{name}"] == pytest.approx(expected, rel=1e-5)


def test_a_perfect_discriminator_halts_the_saturating_loss_alone():
    near, far, apart = (generator_gradients(*logit_gradients(Between(m), fakes())) for m in (1.0, 6.0, 40.0))
    name = "ratio/generator_gradient_saturating"
    assert near[name] > 5 * far[name] > 0
    assert apart[name] < 1e-200
    assert apart["ratio/generator_gradient_non_saturating"] == pytest.approx(40)


@pytest.mark.parametrize("far", [1000.0, -1000.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_logits_far_out(dtype, far):
    found = generator_gradients(torch.full((4,), far, dtype=dtype), torch.ones(4, 1, 3, 3, dtype=dtype))
    expected = (3, 0) if far > 0 else (0, 3)
    assert tuple(found.values()) == pytest.approx(expected)
    assert all(math.isfinite(value) for value in found.values())
