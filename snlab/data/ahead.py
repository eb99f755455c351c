"""Batches that are read from the disk while the one before is trained on."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from typing import NamedTuple

import torch
from torch import Tensor

Batch = tuple[Tensor, Tensor | None]


class _Drawn(NamedTuple):
    batch: Batch
    after: Tensor  # the state in which drawing it leaves the random stream
    ready: torch.cuda.Event | None


class _Next(NamedTuple):
    n: int
    before: Tensor  # the random stream's state
    drawn: Future[_Drawn]


class Ahead:
    """Draws in a thread what the next call will ask for: which samples those are, the stream's state tells.

    So the batches, and the stream, are those of drawing at each call: a checkpoint knows nothing of it. How
    many the next call asks for is told from what followed the last time; where it asks for another number,
    its batch is drawn then.

    Args:
        draw: n samples and labels from a random stream, on its device.
        device: that device. On a GPU, what is drawn ahead waits for nothing that is queued there.
    """

    def __init__(self, draw: Callable[[int, torch.Generator], Batch], device: torch.device) -> None:
        self.draw = draw
        self.device = device
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="snlab-data")
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._next: _Next | None = None
        self._last, self._repeats = 0, 0  # the number last asked for, and how many times in a row
        self._turns: dict[tuple[int, int], int] = {}  # what then followed, if another

    def take(self, n: int, generator: torch.Generator) -> Batch:
        """What ``draw(n, generator)`` gives; the generator is left as that leaves it."""
        before, ahead = generator.get_state(), self._next
        if ahead is not None and ahead.n == n and torch.equal(ahead.before, before):
            drawn = ahead.drawn.result()
        else:
            drawn = self._draw(n, before)
        generator.set_state(drawn.after)
        following = self._following(n)
        self._next = _Next(following, drawn.after, self._thread.submit(self._draw, following, drawn.after))
        if drawn.ready is not None:
            present = torch.cuda.current_stream(self.device)
            present.wait_event(drawn.ready)
            for tensor in drawn.batch:
                if tensor is not None:
                    tensor.record_stream(present)
        return drawn.batch

    def _following(self, n: int) -> int:
        """How many the call after this one, of ``n``, is likely to ask for: n_dis of one, then of another."""
        row = (self._last, self._repeats)
        if n == self._last:
            self._turns.pop(row, None)
            self._repeats += 1
        else:
            if self._repeats:
                self._turns[row] = n
            self._last, self._repeats = n, 1
        return self._turns.get((n, self._repeats), n)

    @torch.no_grad()
    def _draw(self, n: int, before: Tensor) -> _Drawn:
        generator = torch.Generator(self.device)
        generator.set_state(before)
        with torch.cuda.stream(self._stream) if self._stream is not None else nullcontext():
            batch = self.draw(n, generator)
            ready = self._stream.record_event() if self._stream is not None else None
            return _Drawn(batch, generator.get_state(), ready)
