"""Every registered normalizer under every loss, in a loop without the harness."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from snlab.data import DATASETS
from snlab.losses import LOSSES
from snlab.networks import NETWORKS
from snlab.normalizers import NORMALIZERS, Batch, normalizer

RING = DATASETS.build("mixture(kind=ring)").train


def finite(module: nn.Module) -> bool:
    return all(bool(tensor.isfinite().all()) for tensor in module.state_dict().values())


@pytest.mark.slow
@pytest.mark.parametrize("loss", LOSSES.names())
@pytest.mark.parametrize("name", NORMALIZERS.names())
def test_twenty_updates_are_finite(name, loss):
    """Of both networks, whose weights move."""
    torch.manual_seed(0)
    network, chosen, objective = NETWORKS.build("mlp(width=8, depth=1)"), normalizer(name), LOSSES.build(loss)
    generator, discriminator = network.generator((2,)), chosen.attach(network.discriminator((2,)))
    adams = [torch.optim.Adam(m.parameters(), lr=1e-3) for m in (generator, discriminator)]
    matrices = [p for m in (generator, discriminator) for p in m.parameters() if p.ndim == 2]
    before = [p.clone() for p in matrices]
    for _ in range(20):
        real = RING[torch.randint(len(RING), (16,))]
        fake = generator(torch.randn(16, 2))
        chosen.before_update(discriminator)
        total = objective.discriminator(discriminator(real), discriminator(fake.detach()))
        total = total + chosen.penalty(discriminator, Batch(real, fake.detach()))
        adams[1].zero_grad()
        total.backward()
        adams[1].step()
        chosen.after_update(discriminator)
        adams[0].zero_grad()
        objective.generator(discriminator(fake), discriminator(real)).backward()
        adams[0].step()
    assert total.isfinite()
    assert finite(generator)
    assert finite(discriminator)
    assert not any(torch.equal(old, new) for old, new in zip(before, matrices, strict=True))
