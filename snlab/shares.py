"""What the processes of one run share: a batch in parts, and what each made of its part, together again.

With one process every function here gives back what it was given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

T = TypeVar("T")


def processes() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def leave() -> None:
    """End what this process shares; the threads of gloo, left alone, may abort a process that exits."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


def part(x: Tensor) -> Tensor:
    """This process's contiguous share of ``x`` (n, ...): with those of all others, in order, it is ``x``."""
    return x if processes() == 1 else x.tensor_split(processes())[dist.get_rank()]


def whole(n: int) -> int:
    """How many there are in all processes, where each has ``n``."""
    return n * processes()


def gathered(x: Tensor, n: int) -> Tensor:
    """The shares of all processes, joined in order: (n, ...) on each of them, differentiable ever again.

    Args:
        x: this process's share, of the size that ``part`` gives of n rows.
        n: how many rows all shares have.
    """
    return x if processes() == 1 else _Gathered.apply(x, n)


def together(compute: Callable[[], T]) -> T:
    """What ``compute()`` gives, once it gave it in every process.

    So a later collective finds every process there: RuntimeError in all of them where it failed in one.
    """
    if processes() == 1:
        return compute()
    result, error = None, None
    try:
        result = compute()
    except Exception as raised:
        error = raised
    reasons: list[str | None] = [None] * processes()
    dist.all_gather_object(reasons, None if error is None else f"{type(error).__name__}: {error}")
    failed = [f"{reason} (in process {i})" for i, reason in enumerate(reasons) if reason is not None]
    if failed:
        raise RuntimeError(failed[0]) from error
    return result  # type: ignore[return-value]


@torch.no_grad()
def buffers_of_the_first(modules: Iterable[nn.Module]) -> None:
    """Give the buffers of ``modules`` the values that they have in the first process, which are those kept.

    They differ where batch norm is not synchronised.
    """
    if processes() > 1:
        for module in modules:
            for buffer in module.buffers():
                dist.broadcast(buffer, src=0)


class Agreement:
    """Agrees on a number at a time, over a group of its own on the CPU: no GPU is waited for."""

    def __init__(self) -> None:
        self._group: Any = dist.new_group(backend="gloo") if processes() > 1 else None

    def largest(self, number: int) -> int:
        """The largest of the numbers that the processes ask for; every process has to ask."""
        if self._group is None:
            return number
        agreed = torch.tensor(number)
        dist.all_reduce(agreed, dist.ReduceOp.MAX, group=self._group)
        return int(agreed)


def lost(error: BaseException) -> bool:
    """Whether ``error`` is that of a process whose neighbour has ended."""
    return isinstance(error, dist.DistError) or "gloo" in str(error)


# ---- differentiable collectives -------------------------------------------------------------------------


class _Gathered(torch.autograd.Function):
    """Each share's gradient is what the copies of the whole in all processes have received for it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, n: int) -> Tensor:
        sizes = [len(rows) for rows in torch.arange(n).tensor_split(processes())]  # the first is the largest
        padded = x.new_zeros(sizes[0], *x.shape[1:])
        padded[: len(x)] = x
        parts = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(parts, padded)
        return torch.cat([rows[:size] for rows, size in zip(parts, sizes, strict=True)])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return part(_Summed.apply(gradient)), None


class _Summed(torch.autograd.Function):
    """The sum over processes, in each of them."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _Summed.apply(gradient)
