"""Data and scores on a GPU: mapped images come as those in its memory do, and the same numbers come out."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from snlab.data import DATASETS, DataSet
from snlab.metrics.frechet import Moments, frechet_distance

pytestmark = pytest.mark.gpu

CUDA = torch.device("cuda")


def small() -> DataSet:
    return DATASETS.build("photos(size=16)")


@pytest.mark.parametrize("noise", [False, True])
def test_mapped_images_are_those_in_memory(noise):
    data = replace(small(), noise=noise, scaling="released")
    memory, mapped = data.to(CUDA), replace(data, mapped=True).to(CUDA)
    assert mapped.train.device.type == "cpu"
    ours, theirs = (torch.Generator(CUDA).manual_seed(3) for _ in range(2))
    busy = torch.randn(4096, 4096, device=CUDA)
    for n in [64, 64, 32] * 8:
        busy = (busy @ busy).tanh()  # so that what is drawn ahead has something to overtake
        x, y = mapped.sample(n, ours)
        expected, labels = memory.sample(n, theirs)
        assert x.device.type == y.device.type == "cuda"
        assert torch.equal(x, expected)
        assert torch.equal(y, labels)
        assert torch.equal(ours.get_state(), theirs.get_state())


@pytest.mark.parametrize("n", [700, 300])
def test_the_frechet_distance_is_that_of_the_cpu(n):
    generator = torch.Generator().manual_seed(0)
    real, fake = (torch.randn(n, 512, generator=generator).relu() * scale for scale in (1.0, 1.1))
    there = frechet_distance(Moments.of(real.to(CUDA)), Moments.of(fake.to(CUDA)))
    assert there == pytest.approx(frechet_distance(Moments.of(real), Moments.of(fake)), rel=1e-6)
