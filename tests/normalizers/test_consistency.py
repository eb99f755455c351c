from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from snlab.core.errors import UserError
from snlab.normalizers import Batch
from snlab.normalizers.consistency import Consistency, moved


def images(n: int = 6, size: tuple[int, int] = (7, 5)) -> Tensor:
    return torch.randn(n, 2, *size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def stream() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def convolution(x: Tensor) -> Tensor:
    """A discriminator that no shift or flip leaves alone."""
    weight = torch.randn(1, 2, 3, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    y = F.conv2d(x, weight).tanh()
    return (y * torch.arange(y[0].numel(), dtype=y.dtype).view_as(y[0])).sum((1, 2, 3))


@pytest.mark.parametrize("down", [-4, 0, 3])
@pytest.mark.parametrize("right", [-2, 0, 4])
@pytest.mark.parametrize("flipped", [False, True])
def test_moved_is_a_crop_of_the_image_mirrored_at_its_edges(down, right, flipped):
    x = images(1)
    padded = F.pad(x, (4, 4, 4, 4), mode="reflect")
    expected = padded[:, :, 4 - down : 11 - down, 4 - right : 9 - right]
    expected = expected.flip(3) if flipped else expected
    assert torch.equal(moved(x, torch.tensor([[down, right]]), torch.tensor([flipped])), expected)


def test_each_image_has_a_draw_of_its_own():
    x = images(4)
    by, flipped = torch.tensor([[0, 0], [1, -1], [0, 2], [-3, 0]]), torch.tensor([0, 1, 0, 1]).bool()
    together = moved(x, by, flipped)
    for i in range(4):
        assert torch.equal(together[i : i + 1], moved(x[i : i + 1], by[i : i + 1], flipped[i : i + 1]))


def test_every_shift_and_flip_is_drawn_equally_often():
    """An image whose entries tell their place tells where it went."""
    n, shift = 40_000, 2
    x = torch.arange(49.0, dtype=torch.float64).view(1, 1, 7, 7).expand(n, 1, 7, 7)
    seen = Consistency(shift=shift).augmented(Batch(x, x, stream=stream()))[:, 0]
    flipped = seen[:, 3, 3] > seen[:, 3, 4]
    upright = torch.where(flipped[:, None, None], seen.flip(2), seen)
    down, right = 3 - upright[:, 3, 3] // 7, 3 - upright[:, 3, 3] % 7
    kinds = ((down + 2) * 5 + (right + 2)) * 2 + flipped
    counts = torch.bincount(kinds.long(), minlength=50)
    assert counts.sum() == n
    assert len(counts) == 50
    # Binomial: all within five standard errors.
    assert (counts - n / 50).abs().max() < 5 * (n / 50) ** 0.5


def test_zero_under_the_identity():
    x = images()
    still = Consistency(shift=0, flip=False, noise=0)
    assert torch.equal(still.augmented(Batch(x, x)), x)
    assert still.penalty(convolution, Batch(x, x)).item() == 0
    assert still.penalty(lambda v: v.sin().sum(1), Batch(x[:, 0, 0], x[:, 0, 0])).item() == 0
    assert Consistency(shift=2).penalty(convolution, Batch(x, x)).item() > 0


def test_it_is_the_mean_square_of_the_difference_and_of_real_samples_alone():
    x = images()
    chosen = Consistency(weight=3, shift=2)
    penalty = chosen.penalty(convolution, Batch(x, torch.full_like(x, float("nan")), stream=stream()))
    augmented = chosen.augmented(Batch(x, x, stream=stream()))
    expected = 3 * (convolution(x) - convolution(augmented)).square().mean()
    assert penalty.item() == pytest.approx(expected.item(), rel=1e-12)


def test_its_gradient_is_through_both_sides():
    """f = ax: the penalty is λ a² E[(x - T(x))²], and its derivative twice that over a."""
    a = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    x = images()
    penalty = Consistency(shift=2).penalty(lambda v: a * v[:, 0, 0, 0], Batch(x, x))
    penalty.backward()
    assert a.grad.item() == pytest.approx(2 * penalty.item() / 0.5, rel=1e-12)


def test_vectors_have_noise_added():
    v = torch.zeros(50_000, 3, dtype=torch.float64)
    noisy = Consistency(noise=0.2).augmented(Batch(v, v, stream=stream()))
    assert noisy.std().item() == pytest.approx(0.2, rel=0.02)
    assert noisy.mean().abs().item() < 5 * 0.2 / 150_000**0.5


def test_real_logits_that_are_there_are_not_computed_again():
    calls = []

    class Counted(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            calls.append(len(x))
            return convolution(x)

    x, chosen = images(), Consistency(shift=2)
    once = chosen.penalty(Counted(), Batch(x, x, real_logits=convolution(x), stream=stream()))
    assert calls == [6]
    assert torch.equal(once, chosen.penalty(Counted(), Batch(x, x, stream=stream())))
    assert calls == [6, 6, 6]


def test_a_shift_as_wide_as_the_image_is_refused():
    x = images()
    with pytest.raises(UserError, match="shift is 5; images of 7 x 5 want one below 5"):
        Consistency(shift=5).penalty(convolution, Batch(x, x))
    Consistency(shift=4).penalty(convolution, Batch(x, x))


@pytest.mark.parametrize(
    ("options", "what"),
    [({"weight": -1}, "weight"), ({"shift": -1}, "shift"), ({"flip": 2}, "flip"), ({"noise": -1}, "noise")],
)
def test_refuses_what_means_nothing(options, what):
    with pytest.raises(ValueError, match=f"{what} wants"):
        Consistency(**options)
