from __future__ import annotations

import pytest
import torch
from torch import nn

from snlab.losses import LOSSES

REAL = torch.tensor([-40.0, -1.0, 0.0, 0.5, 2.0, 40.0], dtype=torch.float64)
FAKE = torch.tensor([3.0, -0.2, 1.0, -30.0, 0.0, 30.0], dtype=torch.float64)


def test_standard_is_torchs_cross_entropy():
    loss, cross_entropy = LOSSES.build("standard"), nn.BCEWithLogitsLoss()
    expected = cross_entropy(REAL, torch.ones_like(REAL)) + cross_entropy(FAKE, torch.zeros_like(FAKE))
    torch.testing.assert_close(loss.discriminator(REAL, FAKE), expected)
    torch.testing.assert_close(loss.generator(FAKE), cross_entropy(FAKE, torch.ones_like(FAKE)))


def test_hinge_is_torchs_margin_loss():
    loss = LOSSES.build("hinge")
    logits = torch.cat([REAL, FAKE])
    sides = torch.cat([torch.ones_like(REAL), -torch.ones_like(FAKE)])
    # HingeEmbeddingLoss charges margin - x where its label is -1; on -f·y that is relu(1 + ...).
    per_point = nn.HingeEmbeddingLoss(margin=1.0, reduction="none")(logits * sides, -torch.ones_like(logits))
    expected = per_point[: len(REAL)].mean() + per_point[len(REAL) :].mean()
    torch.testing.assert_close(loss.discriminator(REAL, FAKE), expected)
    torch.testing.assert_close(loss.generator(FAKE), -FAKE.mean())


def test_wasserstein_is_a_difference_of_means():
    loss = LOSSES.build("wasserstein")
    assert loss.discriminator(REAL, FAKE).item() == pytest.approx(FAKE.mean().item() - REAL.mean().item())
    assert loss.generator(FAKE).item() == pytest.approx(-FAKE.mean().item())


def test_least_squares_is_torchs_squared_error():
    loss, squared = LOSSES.build("least_squares"), nn.MSELoss()
    expected = squared(REAL, torch.ones_like(REAL)) / 2 + squared(FAKE, torch.zeros_like(FAKE)) / 2
    torch.testing.assert_close(loss.discriminator(REAL, FAKE), expected)
    torch.testing.assert_close(loss.generator(FAKE), squared(FAKE, torch.ones_like(FAKE)) / 2)


def test_relativistic_average_is_cross_entropy_against_the_others_mean():
    loss, cross_entropy = LOSSES.build("relativistic_average"), nn.BCEWithLogitsLoss()
    real, fake = REAL - FAKE.mean(), FAKE - REAL.mean()
    ones, zeros = torch.ones_like(REAL), torch.zeros_like(REAL)
    torch.testing.assert_close(
        loss.discriminator(REAL, FAKE), cross_entropy(real, ones) + cross_entropy(fake, zeros)
    )
    torch.testing.assert_close(
        loss.generator(FAKE, REAL), cross_entropy(real, zeros) + cross_entropy(fake, ones)
    )


def test_relativistic_pairing_is_cross_entropy_of_differences():
    loss, cross_entropy = LOSSES.build("relativistic_pairing"), nn.BCEWithLogitsLoss()
    ones = torch.ones_like(REAL)
    torch.testing.assert_close(loss.discriminator(REAL, FAKE), cross_entropy(REAL - FAKE, ones))
    torch.testing.assert_close(loss.generator(FAKE, REAL), cross_entropy(FAKE - REAL, ones))


@pytest.mark.parametrize("name", ["relativistic_average", "relativistic_pairing"])
def test_a_relativistic_loss_sees_differences_alone(name):
    loss = LOSSES.build(name)
    torch.testing.assert_close(loss.discriminator(REAL + 7, FAKE + 7), loss.discriminator(REAL, FAKE))
    torch.testing.assert_close(loss.generator(FAKE + 7, REAL + 7), loss.generator(FAKE, REAL))


@pytest.mark.parametrize("name", LOSSES.names())
def test_directions(name):
    """The discriminator wants real logits up and fake ones down, the generator fakes up."""
    loss = LOSSES.build(name)
    logits = torch.zeros(4)
    assert loss.discriminator(logits + 0.1, logits - 0.1) < loss.discriminator(logits, logits)
    assert loss.generator(logits + 0.1, logits) < loss.generator(logits, logits)
    assert loss.discriminator(logits, logits).shape == ()
