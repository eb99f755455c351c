"""The critic's loss on training and on held-out samples, of the paper's Figure 15."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from snlab.callbacks.probe import Probe
from snlab.callbacks.ratio import Ratio
from snlab.losses import LOSSES

TRAIN = np.array([1.5, -0.25, 2.0, 0.5])
HELDOUT = np.array([-1.0, 0.75, 0.25])
FAKE = np.array([0.5, -2.0, -0.5, 1.0])


def softplus(x: np.ndarray) -> np.ndarray:
    return np.log1p(np.exp(x))


CLOSED_FORMS = {
    "standard": lambda real, fake: softplus(-real).mean() + softplus(fake).mean(),
    "hinge": lambda real, fake: np.maximum(0, 1 - real).mean() + np.maximum(0, 1 + fake).mean(),
    "wasserstein": lambda real, fake: fake.mean() - real.mean(),
    "relativistic_average": lambda real, fake: (
        softplus(-(real - fake.mean())).mean() + softplus(fake - real.mean()).mean()
    ),
    "relativistic_pairing": lambda real, fake: softplus(fake - real).mean(),
}


def module(loss: Any) -> Any:
    """The discriminator gives each point back as its logit, and the generator each latent as its sample."""
    discriminator = nn.Sequential(nn.Identity(), nn.Flatten(0))
    return SimpleNamespace(
        discriminator=discriminator, generator=nn.Identity(), device=torch.device("cpu"), loss=loss
    )


def probe() -> Probe:
    train, heldout, fake = (torch.tensor(x).float()[:, None] for x in (TRAIN, HELDOUT, FAKE))
    return Probe(train, heldout, fake, torch.zeros(4))


@pytest.mark.parametrize("name", sorted(CLOSED_FORMS))
def test_both_losses_are_those_of_the_closed_form(name: str) -> None:
    measured = Ratio(probe()).measure(None, module(LOSSES.build(name)))  # type: ignore[arg-type]
    fake = FAKE[:3]  # as many as there are held-out samples
    expected = CLOSED_FORMS[name]
    assert measured["loss/discriminator_train"] == pytest.approx(expected(TRAIN[:3], fake), rel=1e-12)
    assert measured["loss/discriminator_heldout"] == pytest.approx(expected(HELDOUT, fake), rel=1e-12)


def test_they_are_announced_where_they_are_measured() -> None:
    pair = {"loss/discriminator_train", "loss/discriminator_heldout"}
    for loss, there in ((LOSSES.build("hinge"), pair), (None, set()), (nn.MSELoss(), set())):
        one, measured = module(loss), Ratio(probe())
        assert {name for name in measured.logs(one) if name.startswith("loss/")} == there
        found = measured.measure(None, one)  # type: ignore[arg-type]
        assert {name for name in found if name.startswith("loss/")} == there


def test_the_process_that_measures_waits_for_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """The relativistic average gathers logits in training; here only one of two processes asks."""
    from snlab.core import distributed

    monkeypatch.setattr(distributed.dist, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed.dist, "get_world_size", lambda: 2)
    monkeypatch.setattr(distributed.dist, "all_gather", lambda *_: pytest.fail("it waits"))
    assert distributed.world_size() == 2
    measured = Ratio(probe()).measure(None, module(LOSSES.build("relativistic_average")))  # type: ignore[arg-type]
    expected = CLOSED_FORMS["relativistic_average"](HELDOUT, FAKE[:3])
    assert measured["loss/discriminator_heldout"] == pytest.approx(expected)
    assert distributed.world_size() == 2
