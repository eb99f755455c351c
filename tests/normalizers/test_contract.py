"""What every registered normalizer promises. A later one joins by being registered."""

from __future__ import annotations

import itertools

import pytest
import torch

from snlab.normalizers import NORMALIZERS, Batch, Normalizer, normalizer
from snlab.testing import (
    PROMISES,
    attached,
    check_normalizer,
    effective_weight_is_what_the_layer_multiplies_by,
    evaluation_changes_nothing,
    gradients_reach_the_raw_parameters,
    keeps_shapes_and_gives_a_scalar_penalty,
    samples,
    state_dict_round_trip_goes_on_alike,
    update,
)
from tests.variants import ALL, VARIANTS

NAMES = NORMALIZERS.names()


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
def test_keeps_its_promise(promise, name):
    promise(name)


def undone(pair: tuple[str, ...]) -> bool:
    first, second = (normalizer(name) for name in pair)
    return second.scales.undoes(first.scales)


PAIRS = [pair for pair in itertools.permutations([n for n in NAMES if n != "none"], 2) if not undone(pair)]
PAIRS += [(variant, "gradient_penalty") for variant in VARIANTS]


@pytest.mark.parametrize("pair", PAIRS)
def test_composes_with_the_others(pair):
    chosen, discriminator = attached("+".join(pair))
    parts = [normalizer(name) for name in pair]
    discriminator.eval()
    one_by_one, at_once = (Batch(*samples(), stream=torch.Generator().manual_seed(3)) for _ in range(2))
    alone = sum(part.penalty(discriminator, one_by_one) for part in parts)  # one stream, in the order given
    together = chosen.penalty(discriminator, at_once)
    torch.testing.assert_close(together, alone)
    discriminator.train()
    update(chosen, discriminator, torch.optim.SGD(discriminator.parameters(), lr=0.1))
    assert all(parameter.isfinite().all() for parameter in discriminator.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_says_what_it_is(name):
    assert len(NORMALIZERS.describe(name)) > len(name) + 20


# ---- that the promises can be broken --------------------------------------------------------------------


class NegativePenalty(Normalizer):
    def penalty(self, discriminator, batch):
        return -batch.logits(discriminator)[0].square().mean()


class VectorPenalty(Normalizer):
    def penalty(self, discriminator, batch):
        return batch.logits(discriminator)[0].square()


class Freezes(Normalizer):
    def attach(self, discriminator):
        return discriminator.requires_grad_(False)


class KeepsState(Normalizer):
    """Its penalty grows with each update, which no state dict says."""

    updates = 0

    def penalty(self, discriminator, batch):
        self.updates += 1
        return self.updates * batch.logits(discriminator)[0].square().mean()


class DrawsInEvaluation(Normalizer):
    def attach(self, discriminator):
        discriminator.register_forward_hook(lambda module, inputs, logits: logits + torch.randn(()))
        return discriminator


class AnotherEffectiveWeight(Normalizer):
    def effective_weight(self, layer, parameter="weight"):
        return 2 * super().effective_weight(layer, parameter)


@pytest.mark.parametrize(
    ("breaker", "promise"),
    [
        (NegativePenalty, keeps_shapes_and_gives_a_scalar_penalty),
        (VectorPenalty, keeps_shapes_and_gives_a_scalar_penalty),
        (Freezes, gradients_reach_the_raw_parameters),
        (KeepsState, state_dict_round_trip_goes_on_alike),
        (DrawsInEvaluation, evaluation_changes_nothing),
        (AnotherEffectiveWeight, effective_weight_is_what_the_layer_multiplies_by),
    ],
)
def test_a_broken_promise_is_found(breaker, promise, monkeypatch):
    monkeypatch.setattr(NORMALIZERS, "_factories", {**NORMALIZERS._factories, "broken": breaker})
    with pytest.raises((AssertionError, RuntimeError)):
        promise("broken")
    with pytest.raises((AssertionError, RuntimeError)):
        check_normalizer("broken")
    check_normalizer("none")
