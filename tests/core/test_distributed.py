"""Shares of a batch: three real processes against the whole, and one process that shares with nobody."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from snlab.core.distributed import (
    MaxAcrossRanks,
    all_gather,
    global_count,
    on_all_ranks,
    peer_lost,
    shard,
    world_size,
)
from tests.forked import Command

SCRIPT = Path(__file__).with_name("distributed_processes.py")
PROCESSES = 3
X = torch.arange(14.0, dtype=torch.float64).view(7, 2) / 7  # as in the script
SIZES = (3, 2, 2)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    folder = tmp_path_factory.mktemp("shares")
    script = SCRIPT.read_text(encoding="utf-8")
    running = [
        Command(folder, str(rank), str(PROCESSES), script=script, log=folder / f"log-{rank}")
        for rank in range(PROCESSES)
    ]
    assert [process.wait() for process in running] == [0] * PROCESSES, running[0].err
    return [torch.load(folder / f"{rank}.pt") for rank in range(PROCESSES)]


@pytest.mark.slow
def test_the_parts_in_order_are_the_whole(results):
    assert [len(result["part"]) for result in results] == list(SIZES)
    assert torch.equal(torch.cat([result["part"] for result in results]), X)
    assert [(result["processes"], result["whole"]) for result in results] == [(3, 12)] * 3


def test_every_process_gathers_the_whole(results):
    for result in results:
        assert torch.equal(result["gathered"], X)
        assert torch.equal(result["bytes"], X.to(torch.uint8))


def test_whole_units_are_computed_together_whoever_computes_them(results):
    """Of three processes; with units of 4 rows one of them has none."""
    sizes = [[3, 3, 3, 3, 3, 3, 1], [4, 4, 4, 4, 3, 3, 3]]
    for result in results:
        assert all(torch.equal(rows, X) for rows, _ in result["units"])
        assert [together.tolist() for _, together in result["units"]] == sizes


def test_gathered_is_differentiable_twice(results):
    """The sum of the processes' losses, 1 + 2 + 3 times the same, by its parts."""
    x = X.clone().requires_grad_()
    (first,) = torch.autograd.grad((x.cumsum(0) ** 3).sum() * 6, x, create_graph=True)
    (second,) = torch.autograd.grad(first.pow(2).sum(), x)
    for result, f, s in zip(results, first.split(SIZES), second.split(SIZES), strict=True):
        torch.testing.assert_close(result["derivatives"], (f.detach(), s))


def test_a_failure_in_one_process_is_raised_in_all(results):
    assert {result["failed"] for result in results} == {"ValueError: too hot (in process 1)"}
    assert {result["well"] for result in results} == {"well"}


def test_buffers_become_those_of_the_first(results):
    assert all(torch.equal(result["buffer"], torch.zeros(2)) for result in results)


def test_the_largest_number_is_agreed_on(results):
    assert [result["agreed"] for result in results] == [[15, 0]] * 3


def test_one_process_keeps_everything():
    assert world_size() == 1
    assert shard(X) is X
    assert all_gather(X, 7) is X
    assert global_count(4) == 4
    assert MaxAcrossRanks().max(2) == 2
    with pytest.raises(ValueError, match="too hot"):
        on_all_ranks(lambda: (_ for _ in ()).throw(ValueError("too hot")))


def test_a_lost_neighbour_is_told_from_other_errors():
    assert peer_lost(
        RuntimeError("[/x/gloo/transport/tcp/pair.cc:538] Connection closed by peer [127.0.0.1]:1")
    )
    assert not peer_lost(RuntimeError("CUDA out of memory"))
