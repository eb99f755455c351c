"""Collectives over the ranks of one run: a batch in shards, and what each rank made of its own, all-gathered.

With one process every function here gives back what it was given.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

T = TypeVar("T")


_ALONE = ContextVar("alone", default=False)


@contextmanager
def alone() -> Iterator[None]:
    """Inside, this rank is the only one for every function here: none waits for ranks that do not call it."""
    token = _ALONE.set(True)
    try:
        yield
    finally:
        _ALONE.reset(token)


def world_size() -> int:
    """How many ranks train together; 1 outside of distributed training, and for who is ``alone``."""
    if _ALONE.get():
        return 1
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def leave_process_group() -> None:
    """Destroy the process group: the threads of gloo, left alone, may abort a process that exits."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


def shard(x: Tensor) -> Tensor:
    """This rank's contiguous shard of ``x`` (n, ...): all ranks' shards, in order, are ``x``."""
    return x if world_size() == 1 else x.tensor_split(world_size())[dist.get_rank()]


def global_count(n: int) -> int:
    """How many there are over all ranks, where each has ``n``."""
    return n * world_size()


def all_gather(x: Tensor, n: int) -> Tensor:
    """The shards of all ranks, joined in order: (n, ...) on each of them, differentiable any number of times.

    Args:
        x: this rank's shard, of the size that ``shard`` gives of n rows.
        n: how many rows all shards have.
    """
    return x if world_size() == 1 else _AllGather.apply(x, n)


def global_mean(x: Tensor) -> Tensor:
    """The mean over all ranks' shards of ``x``, each of the same size, differentiable like ``all_gather``."""
    return all_gather(x, global_count(len(x))).mean()


@torch.no_grad()
def by_units(n: int, unit: int, compute: Callable[[slice], tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    """``compute`` of n rows, ``unit`` at a time: what it gives of each, joined in order, on every rank.

    Ranks share out whole units: so which rows are computed together, and how that rounds, is the same however
    many ranks there are. RuntimeError on all of them where it fails on one.

    Args:
        n: how many rows; at least 1.
        unit: rows at a time; at the end there may be fewer.
        compute: of a slice of m rows, tensors (m, ...).
    """
    starts = torch.arange(0, n, unit).tensor_split(world_size())
    shares = [[slice(i, min(i + unit, n)) for i in part.tolist()] for part in starts]
    sizes = [sum(rows.stop - rows.start for rows in share) for share in shares]
    rank = dist.get_rank() if world_size() > 1 else 0

    def own() -> tuple[Tensor, ...]:
        # One row tells a rank that has none the shapes.
        found = [compute(rows) for rows in shares[rank] or [slice(0, 1)]]
        return tuple(torch.cat(parts)[: sizes[rank]] for parts in zip(*found, strict=True))

    return tuple(_gathered(part, sizes) for part in on_all_ranks(own))


def on_all_ranks(compute: Callable[[], T]) -> T:
    """What ``compute()`` gives, once it gave it on every rank.

    So a later collective finds every process there: RuntimeError in all of them where it failed in one.
    """
    if world_size() == 1:
        return compute()
    result, error = None, None
    try:
        result = compute()
    except Exception as raised:
        error = raised
    reasons: list[str | None] = [None] * world_size()
    dist.all_gather_object(reasons, None if error is None else f"{type(error).__name__}: {error}")
    failed = [f"{reason} (in process {i})" for i, reason in enumerate(reasons) if reason is not None]
    if failed:
        raise RuntimeError(failed[0]) from error
    return result  # type: ignore[return-value]


@torch.no_grad()
def broadcast_buffers(modules: Iterable[nn.Module]) -> None:
    """Give the buffers of ``modules`` the values that they have on rank 0, which are those kept.

    They differ where batch norm is not synchronised.
    """
    if world_size() > 1:
        for module in modules:
            for buffer in module.buffers():
                dist.broadcast(buffer, src=0)


class MaxAcrossRanks:
    """All-reduces one number at a time by its maximum, over a CPU group of its own: no GPU is waited for."""

    def __init__(self) -> None:
        self._group: Any = dist.new_group(backend="gloo") if world_size() > 1 else None

    def max(self, number: int) -> int:
        """The largest of the ranks' numbers; every rank has to call."""
        if self._group is None:
            return number
        agreed = torch.tensor(number)
        dist.all_reduce(agreed, dist.ReduceOp.MAX, group=self._group)
        return int(agreed)


def peer_lost(error: BaseException) -> bool:
    """Whether ``error`` is that of a process whose neighbour has ended."""
    return isinstance(error, dist.DistError) or "gloo" in str(error)


def not_met(error: BaseException) -> bool:
    """Whether ``error`` is that of a process whose run's processes have not found one another at all."""
    return isinstance(error, dist.DistError) and not dist.is_initialized()


def why_not_met(error: BaseException) -> str:
    """The reason for ``not_met``, and what to do, in one line."""
    place = f"{os.environ.get('MASTER_ADDR', '127.0.0.1')}:{os.environ.get('MASTER_PORT', '?')}"
    if "EADDRINUSE" in str(error):
        return (
            f"another program has the port {place}, where the processes of this run are to meet; set "
            "MASTER_PORT to another port, or unset it: a free one is found"
        )
    reason = " ".join(str(error).split("\n", 1)[0].split())
    return f"the processes of this run do not meet at {place} (MASTER_ADDR, MASTER_PORT): {reason}"


def _gathered(x: Tensor, sizes: Sequence[int]) -> Tensor:
    """What every rank has, joined: ``sizes[rank]`` rows of each."""
    if world_size() == 1:
        return x
    padded = x.new_zeros(max(sizes), *x.shape[1:])
    padded[: len(x)] = x
    parts = [torch.empty_like(padded) for _ in sizes]
    dist.all_gather(parts, padded)
    return torch.cat([rows[:size] for rows, size in zip(parts, sizes, strict=True)])


# ---- differentiable collectives -------------------------------------------------------------------------


class _AllGather(torch.autograd.Function):
    """A shard's gradient is the sum of what every rank's copy of the whole received for it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, n: int) -> Tensor:
        sizes = [len(rows) for rows in torch.arange(n).tensor_split(world_size())]
        return _gathered(x, sizes)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return shard(_AllReduceSum.apply(gradient)), None


class _AllReduceSum(torch.autograd.Function):
    """The sum over ranks, on each of them."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _AllReduceSum.apply(gradient)
