"""What penalties share: the gradient at samples, and random numbers for them."""

from __future__ import annotations

import torch
from torch import Tensor

from snlab.normalizers import Batch


def samples(n: int = 6) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randn(n, 3, 4, generator=generator, dtype=torch.float64) for _ in range(2))


def test_the_gradient_is_that_of_finite_differences():
    real, fake = samples()
    direction = torch.randn_like(real)

    def f(x: Tensor) -> Tensor:
        return (x.sin() * x.roll(1, 2)).sum((1, 2))

    got = (Batch(real, fake).gradient(f, fake) * direction).sum((1, 2))
    step = 1e-6 * direction
    torch.testing.assert_close(got, (f(fake + step) - f(fake - step)) / 2e-6)


def test_the_gradient_is_given_labels_and_has_a_graph_to_parameters_alone():
    real, fake = samples()
    labels = torch.arange(6)
    scale = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    batch = Batch(real, fake, labels=labels)
    got = batch.gradient(lambda x, labels: scale * labels * x.sum((1, 2)), real)
    torch.testing.assert_close(got, (3.0 * labels)[:, None, None].expand_as(real).double())
    got.sum().backward()
    assert scale.grad.item() == 15 * 12
    assert not real.requires_grad


def test_a_draw_is_the_streams_for_each_sample_in_the_samples_dtype():
    real, fake = samples()
    batch = Batch(real, fake, stream=torch.Generator().manual_seed(7))
    wanted = torch.randn(6, 2, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    assert torch.equal(batch.draw(torch.randn, 2), wanted)
    assert not torch.equal(batch.draw(torch.randn, 2), wanted)
    assert batch.draw(torch.rand).shape == (6,)
