from __future__ import annotations

import pytest
import torch
from torch import Tensor

from snlab.normalizers import Batch
from snlab.normalizers.dragan import Dragan, standard_deviation

A = torch.tensor([1.0, -2.0, 2.0], dtype=torch.float64)  # of norm 3


def samples(n: int = 50) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    real = 2 * torch.randn(n, 3, generator=generator, dtype=torch.float64) + 5
    return real, torch.randn(n, 3, generator=generator, dtype=torch.float64)


def stream() -> torch.Generator:
    return torch.Generator().manual_seed(5)


def test_exact_on_a_linear_discriminator():
    """f = aᵀx has gradient a everywhere: λ (‖a‖ - k)²."""
    assert Dragan().penalty(lambda x: x @ A, Batch(*samples())).item() == pytest.approx(10 * 2**2)
    wanted = Dragan(weight=0.5, target=2).penalty(lambda x: x @ A, Batch(*samples()))
    assert wanted.item() == pytest.approx(0.5 * 1**2)


def test_exact_on_a_quadratic_discriminator():
    """f = ‖x‖²/2 has gradient x: λ mean (‖x + δ‖ - 1)² at the points as the authors' code draws them."""
    real, fake = samples()
    penalty = Dragan().penalty(lambda x: x.square().sum(1) / 2, Batch(real, fake, stream=stream()))
    generator = stream()
    u = torch.rand(50, 3, generator=generator, dtype=torch.float64)
    alpha = torch.rand(50, 1, generator=generator, dtype=torch.float64)
    perturbed = real + 0.5 * real.std(correction=0) * u
    points = real + alpha * (perturbed - real)
    assert penalty.item() == pytest.approx(10 * ((points.norm(dim=1) - 1) ** 2).mean().item(), rel=1e-12)


def test_points_lie_above_the_real_samples_up_to_half_a_standard_deviation():
    """Each entry moves by α u s / 2, in distribution: of mean s / 8 and largest value s / 2."""
    real = torch.randn(20_000, 1, 2, generator=torch.Generator().manual_seed(0))
    moves = Dragan().points(Batch(real, torch.zeros_like(real), stream=stream())) - real
    scale = real.std().item()
    assert moves.min().item() >= -1e-6
    assert 0.45 * scale < moves.max().item() <= 0.5 * scale + 1e-6
    assert moves.mean().item() == pytest.approx(scale / 8, rel=0.02)
    # u is drawn for each entry, α for each sample: E[α²] E[u]² = 1/12 for two entries of one sample.
    both = (moves[:, 0, 0] * moves[:, 0, 1]).mean().item()
    assert both == pytest.approx(scale**2 / 4 / 12, rel=0.03)


def test_the_standard_deviation_is_of_all_entries():
    x, _ = samples()
    assert standard_deviation(x).item() == pytest.approx(x.std(correction=0).item(), rel=1e-12)


def test_without_spread_it_is_at_the_samples():
    real, fake = samples()
    assert torch.equal(Dragan(spread=0).points(Batch(real, fake)), real)


@pytest.mark.parametrize("option", ["weight", "spread", "target"])
def test_refuses_what_means_nothing(option):
    with pytest.raises(ValueError, match=f"{option} wants a finite number of at least 0, got -1"):
        Dragan(**{option: -1})
