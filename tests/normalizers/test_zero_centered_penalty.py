from __future__ import annotations

import pytest
import torch
from torch import Tensor

from snlab.core.errors import UserError
from snlab.normalizers import Batch, normalizer

A = torch.tensor([[2.0, 1.0, 0.0], [1.0, -3.0, 0.5], [0.0, 0.5, 1.0]], dtype=torch.float64)  # symmetric


def samples(n: int = 50) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    real = torch.randn(n, 3, generator=generator, dtype=torch.float64)
    return real, torch.randn(n, 3, generator=generator, dtype=torch.float64) + 4


def quadratic(x: Tensor) -> Tensor:
    """f = xᵀAx / 2 + x₁, whose gradient is Ax + e₁."""
    return torch.einsum("ni,ij,nj->n", x, A, x) / 2 + x[:, 0]


def closed_form(x: Tensor, weight: float) -> float:
    gradient = x @ A + torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
    return weight / 2 * gradient.square().sum(1).mean().item()


@pytest.mark.parametrize("weight", [10.0, 0.3])
def test_closed_form_on_a_quadratic(weight):
    """(γ/2) mean ‖Ax + e₁‖², R1 over real samples and R2 over generated ones."""
    real, fake = samples()
    r1 = normalizer(f"r1(weight={weight})").penalty(quadratic, Batch(real, fake))
    r2 = normalizer(f"r2(weight={weight})").penalty(quadratic, Batch(real, fake))
    assert r1.item() == pytest.approx(closed_form(real, weight), rel=1e-12)
    assert r2.item() == pytest.approx(closed_form(fake, weight), rel=1e-12)
    both = normalizer(f"r1(weight={weight})+r2(weight={weight})").penalty(quadratic, Batch(real, fake))
    assert both.item() == pytest.approx(r1.item() + r2.item(), rel=1e-12)


@pytest.mark.parametrize(("name", "which"), [("r1", 0), ("r2", 1)])
def test_its_gradient(name, which):
    """f = a‖x‖²/2 has gradient ax: the penalty is (γ/2) a² E‖x‖², and its derivative γ a E‖x‖²."""
    a = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    pair = samples()
    penalty = normalizer(name).penalty(lambda x: a * x.square().sum(1) / 2, Batch(*pair))
    penalty.backward()
    assert a.grad.item() == pytest.approx(10 * 0.7 * pair[which].square().sum(1).mean().item(), rel=1e-12)


@pytest.mark.parametrize("name", ["r1", "r2"])
def test_images_and_samples_without_a_slope(name):
    """Over all of an image's entries; and where the gradient is zero, so is the penalty's own."""
    images = torch.randn(4, 2, 3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    penalty = normalizer(name).penalty(lambda x: x.square().sum((1, 2, 3)) / 2, Batch(images, images))
    assert penalty.item() == pytest.approx(5 * images.flatten(1).square().sum(1).mean().item(), rel=1e-12)
    a = torch.tensor(0.0, requires_grad=True)
    flat = normalizer(name).penalty(lambda x: a * x.flatten(1).sum(1), Batch(images, images))
    flat.backward()
    assert flat.item() == a.grad.item() == 0


def test_generated_samples_of_another_precision():
    real, fake = (x.float() for x in samples())
    penalty = normalizer("r2").penalty(lambda x: x.sum(1), Batch(real, fake.bfloat16()))
    assert penalty.dtype == torch.float32
    assert penalty.item() == pytest.approx(5 * 3)


@pytest.mark.parametrize("name", ["r1", "r2"])
def test_refuses_what_means_nothing(name):
    with pytest.raises(UserError, match="weight wants a finite number of at least 0, got -1"):
        normalizer(f"{name}(weight=-1)")
