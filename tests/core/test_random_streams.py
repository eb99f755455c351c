from __future__ import annotations

import pytest
import torch

from snlab.core.errors import UserError
from snlab.core.random_streams import Streams, seeded


def test_streams_do_not_touch_one_another():
    """More draws from one leave the other's as they were."""
    a, b = Streams(3, "data", "latents"), Streams(3, "data", "latents")
    torch.rand(100, generator=a["latents"])
    assert torch.equal(torch.rand(5, generator=a["data"]), torch.rand(5, generator=b["data"]))


def test_streams_leave_the_global_one_alone():
    torch.manual_seed(0)
    state = torch.get_rng_state()
    streams = Streams(0, "data")
    torch.rand(3, generator=streams["data"])
    with seeded(0, "weights"):
        torch.rand(3)
    assert torch.equal(torch.get_rng_state(), state)


def test_seeds_and_names_give_different_numbers():
    drawn = [
        torch.rand(4, generator=Streams(seed, name)[name]) for seed in (0, 1) for name in ("data", "latents")
    ]
    assert len({tuple(d.tolist()) for d in drawn}) == 4
    with seeded(0, "weights"):
        first = torch.rand(4)
    with seeded(0, "weights"):
        assert torch.equal(torch.rand(4), first)


def test_the_state_goes_with_the_state_dict():
    streams = Streams(0, "data", "latents")
    torch.rand(7, generator=streams["data"])
    saved = streams.state_dict()
    expected = torch.rand(3, generator=streams["data"])
    other = Streams(5, "data", "latents")
    other.load_state_dict(saved)
    assert torch.equal(torch.rand(3, generator=other["data"]), expected)


def test_a_state_of_another_kind_is_refused():
    with pytest.raises(UserError, match="'data' does not fit"):
        Streams(0, "data").set_extra_state({"data": torch.zeros(3, dtype=torch.uint8)})
    with pytest.raises(UserError, match="'data' does not fit"):
        Streams(0, "data").set_extra_state({})
