"""A script of ``test_distributed.py``: one of N ranks. ``distributed_processes.py FOLDER RANK N``"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn

from snlab.core.distributed import (
    MaxAcrossRanks,
    all_gather,
    broadcast_buffers,
    by_units,
    global_count,
    leave_process_group,
    on_all_ranks,
    shard,
    world_size,
)


def derivatives(x: Tensor) -> tuple[Tensor, Tensor]:
    """Of a loss of the whole that every process computes from what all gathered: first and second."""
    own = shard(x).clone().requires_grad_()
    loss = (all_gather(own, len(x)).cumsum(0) ** 3).sum() * (dist.get_rank() + 1)
    (first,) = torch.autograd.grad(loss, own, create_graph=True)
    (second,) = torch.autograd.grad(first.pow(2).sum(), own)
    return first.detach(), second


def units_of(x: Tensor, unit: int) -> tuple[Tensor, Tensor]:
    """Rows of ``x``, and beside each how many were looked at together."""

    def compute(rows: slice) -> tuple[Tensor, Tensor]:
        return x[rows], torch.full((rows.stop - rows.start,), rows.stop - rows.start)

    return by_units(len(x), unit, compute)


def failure_of(compute: object) -> str:
    try:
        return str(on_all_ranks(compute))  # type: ignore[arg-type]
    except RuntimeError as error:
        return str(error)


def second_fails() -> str:
    if dist.get_rank() == 1:
        raise ValueError("too hot")
    return "well"


if __name__ == "__main__":
    folder, rank, n = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=n)
    x = torch.arange(14.0, dtype=torch.float64).view(7, 2) / 7
    batch_norm = nn.BatchNorm1d(2)
    batch_norm.running_mean.fill_(rank)
    broadcast_buffers([batch_norm])
    agreement = MaxAcrossRanks()
    result = {
        "processes": world_size(),
        "whole": global_count(4),
        "part": shard(x),
        "gathered": all_gather(shard(x), 7),
        "bytes": all_gather(shard(x).to(torch.uint8), 7),
        "derivatives": derivatives(x),
        "units": [units_of(x, 3), units_of(x, 4)],
        "failed": failure_of(second_fails),
        "well": failure_of(lambda: "well"),
        "buffer": batch_norm.running_mean,
        "agreed": [agreement.max(15 * (rank == 1)), agreement.max(0)],
    }
    torch.save(result, folder / f"{rank}.pt")
    leave_process_group()
