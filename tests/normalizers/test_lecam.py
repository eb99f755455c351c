from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from snlab.normalizers import Batch
from snlab.normalizers.lecam import LeCam


def identity(x: Tensor) -> Tensor:
    """A discriminator whose logits are its inputs, (batch, 1)."""
    return x[:, 0]


def batches(count: int = 4) -> list[Batch]:
    generator = torch.Generator().manual_seed(0)
    draw = [torch.randn(2, 5, 1, generator=generator, dtype=torch.float64) for _ in range(count)]
    return [Batch(real + 2, fake - 1) for real, fake in draw]


def test_closed_form_over_several_batches():
    """a_t = γᵗ m_0 + (1 - γ) Σ γᵗ⁻ⁱ m_i of each side; real held near a_F, generated near a_R."""
    lecam = LeCam(weight=0.7, decay=0.9)
    means: dict[str, list[float]] = {"real": [], "fake": []}
    for t, batch in enumerate(batches()):
        got = lecam.penalty(identity, batch).item()
        for name in means:
            means[name].append(getattr(batch, name).mean().item())
        average = {
            name: 0.9**t * values[0] + sum(0.1 * 0.9 ** (t - i) * values[i] for i in range(1, t + 1))
            for name, values in means.items()
        }
        expected = (batch.real - average["fake"]).square().mean()
        expected = expected + (batch.fake - average["real"]).square().mean()
        assert got == pytest.approx(0.7 * expected.item(), rel=1e-12)
    assert lecam.averages.tolist() == pytest.approx([average["real"], average["fake"]], rel=1e-12)


def test_the_averages_are_constants_of_the_gradient():
    """d/df(x_i) = 2 λ (f(x_i) - a_F) / n, and likewise for generated samples."""
    real = torch.tensor([1.0, 2.0, 6.0], requires_grad=True)
    fake = torch.tensor([-1.0, 0.0, 4.0], requires_grad=True)
    LeCam(weight=3).penalty(identity, Batch(real, fake, real_logits=real, fake_logits=fake)).backward()
    assert real.grad.tolist() == pytest.approx([2 * 3 * (x - 1) / 3 for x in (1, 2, 6)])
    assert fake.grad.tolist() == pytest.approx([2 * 3 * (x - 3) / 3 for x in (-1, 0, 4)])


def test_the_state_goes_on_exactly():
    whole, stopped = LeCam(), LeCam()
    expected = [whole.penalty(identity, batch) for batch in batches()]
    got = [stopped.penalty(identity, batch) for batch in batches()[:2]]
    resumed = LeCam()
    resumed.load_state_dict(copy.deepcopy(stopped.state_dict()))
    got += [resumed.penalty(identity, batch) for batch in batches()[2:]]
    assert torch.equal(torch.stack(got), torch.stack(expected))
    before = LeCam()
    before.load_state_dict(LeCam().state_dict())
    assert torch.equal(before.penalty(identity, batches()[0]), expected[0])


def test_it_judges_nothing_again_that_was_judged():
    def discriminator(x: Tensor) -> Tensor:
        raise AssertionError("called")

    (batch,) = batches(1)
    judged = Batch(batch.real, batch.fake, real_logits=identity(batch.real), fake_logits=identity(batch.fake))
    assert torch.equal(LeCam().penalty(discriminator, judged), LeCam().penalty(identity, batch))


def test_averages_of_autocasts_logits_are_kept_in_single_precision():
    lecam = LeCam(decay=0.999)
    for value in (1.0, 2.0):
        logits = torch.full((4,), value, dtype=torch.bfloat16)
        penalty = lecam.penalty(identity, Batch(logits, logits, real_logits=logits, fake_logits=logits))
    assert penalty.dtype == lecam.averages.dtype == torch.float32
    assert lecam.averages.tolist() == pytest.approx([1.001, 1.001], rel=1e-6)


@pytest.mark.parametrize(
    ("options", "what"),
    [({"weight": -1}, "weight"), ({"decay": -0.1}, "decay"), ({"decay": 1}, "decay wants a number below 1")],
)
def test_refuses_what_means_nothing(options, what):
    with pytest.raises(ValueError, match=what):
        LeCam(**options)
