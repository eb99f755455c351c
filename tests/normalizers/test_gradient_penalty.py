from __future__ import annotations

import pytest
import torch
from torch import nn

from snlab import GradientPenalty
from snlab.losses import LOSSES
from snlab.normalizers import Batch, normalizer

A = torch.tensor([1.0, -2.0, 2.0], dtype=torch.float64)  # of norm 3


def samples(n: int = 50) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    real = torch.randn(n, 3, generator=generator, dtype=torch.float64)
    return real, torch.randn(n, 3, generator=generator, dtype=torch.float64) + 4


@pytest.mark.parametrize("weight", [10.0, 0.5])
def test_exact_on_a_linear_discriminator(weight):
    """f = aᵀx has gradient a everywhere: λ (‖a‖ - 1)²."""
    real, fake = samples()
    penalty = GradientPenalty(weight=weight).penalty(lambda x: x @ A, Batch(real, fake))
    assert penalty.item() == pytest.approx(weight * (3 - 1) ** 2, rel=1e-12)


def test_exact_on_a_quadratic_discriminator():
    """f = ‖x‖²/2 has gradient x, so the penalty is λ mean (‖x̂‖ - 1)² at the very points that were drawn."""
    real, fake = samples()
    penalty = GradientPenalty().penalty(
        lambda x: x.square().sum(1) / 2, Batch(real, fake, stream=torch.Generator().manual_seed(5))
    )
    epsilon = torch.rand(len(real), generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    between = epsilon[:, None] * real + (1 - epsilon[:, None]) * fake
    assert penalty.item() == pytest.approx(10 * ((between.norm(dim=1) - 1) ** 2).mean().item(), rel=1e-12)


def test_its_gradient_on_a_linear_discriminator():
    """d/da λ (‖a‖ - 1)² = 2 λ (‖a‖ - 1) a / ‖a‖."""
    a = A.clone().requires_grad_()
    real, fake = samples()
    GradientPenalty().penalty(lambda x: x @ a, Batch(real, fake)).backward()
    torch.testing.assert_close(a.grad, 2 * 10 * 2 * A / 3)


def test_points_lie_on_the_lines_between():
    """At ε near 0 and 1 the points reach both ends: the extremes of a one-dimensional coordinate show it."""
    seen = []
    real, fake = torch.ones(20_000, 1), torch.zeros(20_000, 1)

    def discriminator(x: torch.Tensor) -> torch.Tensor:
        seen.append(x.detach())
        return x[:, 0]

    GradientPenalty().penalty(discriminator, Batch(real, fake, stream=torch.Generator().manual_seed(0)))
    points = seen[0].flatten()
    assert points.min() >= 0
    assert points.max() <= 1
    # Uniform: mean 1/2 and variance 1/12, within five standard errors.
    assert points.mean().item() == pytest.approx(0.5, abs=5 * (1 / 12 / 20_000) ** 0.5)
    assert points.var().item() == pytest.approx(1 / 12, rel=0.05)


def test_one_sided_leaves_small_gradients_alone():
    real, fake = samples()
    small, large = 0.2 * A, A  # norms 0.6 and 3
    one_sided = GradientPenalty(kind="one_sided")
    assert one_sided.penalty(lambda x: x @ small, Batch(real, fake)).item() == 0
    assert GradientPenalty().penalty(lambda x: x @ small, Batch(real, fake)).item() == pytest.approx(
        10 * 0.4**2
    )
    assert one_sided.penalty(lambda x: x @ large, Batch(real, fake)).item() == pytest.approx(10 * 4)


@pytest.mark.parametrize("loss", LOSSES.names())
@pytest.mark.parametrize("name", ["gradient_penalty", "spectral_norm+gradient_penalty(weight=1)"])
def test_trains_under_every_loss_and_composed(name, loss):
    torch.manual_seed(0)
    chosen = normalizer(name)
    discriminator = chosen.attach(nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 1), nn.Flatten(0)))
    real, fake = (x.float() for x in samples())
    optimizer = torch.optim.Adam(discriminator.parameters(), lr=0.02)
    totals = []
    for _ in range(60):
        chosen.before_update(discriminator)
        total = LOSSES.build(loss).discriminator(discriminator(real), discriminator(fake))
        total = total + chosen.penalty(
            discriminator, Batch(real, fake, stream=torch.Generator().manual_seed(0))
        )
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(total.item())
    assert totals[-1] < totals[0] - 0.1


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"weight": -1}, "weight"),
        ({"weight": "x"}, "weight wants a finite number"),
        ({"kind": "two_side"}, "two_sided"),
        ({"target": -1}, "target"),
    ],
)
def test_refuses_what_means_nothing(options, what):
    with pytest.raises(ValueError, match=what):
        GradientPenalty(**options)
