"""Batches drawn ahead are those of drawing at each call, whatever is asked for."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from snlab.data import DataSet
from snlab.data.ahead import Ahead

N = 50
IMAGES = torch.randint(256, (N, 1, 4, 4), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
MEMORY = DataSet("here", IMAGES, IMAGES[:5], torch.arange(N) % 7, torch.arange(5) % 7, classes=7)
CPU = torch.device("cpu")


def sequences() -> dict[str, list[int]]:
    return {
        "one": [8] * 12,
        "n_dis of 2, then another number": [8, 8, 3] * 5,
        "n_dis of 5": [4, 4, 4, 4, 4, 9] * 4,
        "in turns": [5, 7] * 6,
        "never alike": [1, 9, 2, 2, 8, 3, 3, 3, 1, 1, 7, 4],
    }


@pytest.mark.parametrize("noise", [False, True])
@pytest.mark.parametrize("kind", sequences())
def test_each_batch_and_the_stream_after_it_are_those_of_drawing_directly(kind, noise):
    memory = replace(MEMORY, noise=noise, scaling="released")
    mapped = replace(memory, mapped=True).to("cpu")
    assert mapped.ahead is not None
    assert mapped.ahead.draw(4, torch.Generator())[0].shape == (4, 1, 4, 4)
    ours, theirs = torch.Generator().manual_seed(3), torch.Generator().manual_seed(3)
    for n in sequences()[kind]:
        x, y = mapped.sample(n, ours)
        expected, labels = memory.sample(n, theirs)
        assert torch.equal(x, expected)
        assert torch.equal(y, labels)
        assert torch.equal(ours.get_state(), theirs.get_state())


def test_a_stream_that_is_set_back_or_used_elsewhere_is_followed():
    mapped = replace(MEMORY, mapped=True).to("cpu")
    ours, theirs = torch.Generator().manual_seed(3), torch.Generator().manual_seed(3)
    start = ours.get_state()
    for turn in range(6):
        if turn == 2:
            ours.set_state(start), theirs.set_state(start)
        if turn == 4:
            torch.rand(3, generator=ours), torch.rand(3, generator=theirs)
        assert torch.equal(mapped.sample(6, ours)[0], MEMORY.sample(6, theirs)[0])


class Counting:
    """Draws nothing but the numbers; counts how often, and by which thread."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, str]] = []

    def __call__(self, n: int, generator: torch.Generator) -> tuple[Tensor, None]:
        self.asked.append((n, threading.current_thread().name))
        return torch.rand(n, generator=generator), None


@pytest.mark.parametrize("cycle", [[8], [8, 3], [8, 8, 3], [4, 4, 4, 4, 4, 9]])
def test_once_the_turns_are_known_every_batch_is_drawn_ahead_and_none_in_vain(cycle):
    draw = Counting()
    ahead = Ahead(draw, CPU)
    generator = torch.Generator().manual_seed(0)
    for n in cycle * 2:
        ahead.take(n, generator)
    learnt = len(draw.asked)
    for n in cycle * 5:
        ahead.take(n, generator)
    ahead._thread.shutdown()
    later = draw.asked[learnt:]
    assert len(later) in (5 * len(cycle), 5 * len(cycle) + 1)  # the thread may have begun the first before
    assert all(name.startswith("snlab-data") for _, name in later)


def test_it_draws_while_the_one_before_is_trained_on():
    begun = threading.Event()

    def draw(n: int, generator: torch.Generator) -> tuple[Tensor, None]:
        if threading.current_thread() is not threading.main_thread():
            begun.set()
        return torch.rand(n, generator=generator), None

    Ahead(draw, CPU).take(4, torch.Generator())
    assert begun.wait(10)


def test_an_error_of_the_thread_is_raised_by_the_call_that_wants_it():
    calls = iter(range(10))

    def draw(n: int, generator: torch.Generator) -> tuple[Tensor, None]:
        if next(calls) == 1:
            raise OSError("the disk is gone")
        return torch.rand(n, generator=generator), None

    ahead = Ahead(draw, CPU)
    generator = torch.Generator()
    ahead.take(4, generator)
    with pytest.raises(OSError, match="the disk is gone"):
        ahead.take(4, generator)


def test_a_run_has_one_thread_however_often_lightning_moves_its_data():
    data = replace(MEMORY, mapped=True).to("cpu")
    assert data.to("cpu") is data
    assert data.to(CPU) is data


def test_its_thread_ends_with_it():
    data = replace(MEMORY, mapped=True).to("cpu")
    data.sample(4, torch.Generator())
    assert data.ahead is not None
    (thread,) = data.ahead._thread._threads
    del data
    for _ in range(100):
        if not thread.is_alive():
            break
        time.sleep(0.05)
    assert not thread.is_alive()
