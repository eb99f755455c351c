"""Where runs go: each slot holds one run at a time, with GPUs of its own or a share of the cores."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from snlab.core.environment import DEVICES, without_launcher
from snlab.core.errors import UserError


@dataclass(frozen=True)
class Slot:
    """A place for one run at a time.

    Args:
        name: what the user is shown, as in ``GPU 0,1`` or ``CPU 0``.
        gpus: the GPUs that a run here sees, by CUDA's number or UUID; none for a CPU slot of a machine
            without any.
        threads: CPU threads of each process of a run here, of which there is one a GPU.
    """

    name: str
    gpus: tuple[str, ...]
    threads: int

    def environment(self, base: Mapping[str, str]) -> dict[str, str]:
        """``base`` for a process in this slot: a run there sees its GPUs alone, and uses all of them.

        A run is one process to whatever started this one, SLURM or torchrun, and finds a port of its own.
        """
        return without_launcher(base) | {
            "CUDA_VISIBLE_DEVICES": ",".join(self.gpus),
            "OMP_NUM_THREADS": str(self.threads),
            DEVICES: str(max(1, len(self.gpus))),
        }


def slots(
    gpus: str | None = None, gpus_per_run: int = 1, runs_per_gpu: int = 1, workers: int | None = None
) -> list[Slot]:
    """The slots that the options of ``snlab sweep`` and ``snlab agent`` describe.

    Without ``gpus`` and ``workers``: every GPU in reach, or on a machine without one a slot a core. UserError
    for GPUs that are not there, or too few of them.

    Args:
        gpus: ``all``, or numbers as in ``0,2``.
        gpus_per_run: GPUs of one run.
        runs_per_gpu: runs that share a GPU.
        workers: runs at a time on the CPU.
    """
    for option, value in (
        ("--gpus-per-run", gpus_per_run),
        ("--runs-per-gpu", runs_per_gpu),
        ("--workers", workers),
    ):
        if value is not None and value < 1:
            raise UserError(f"{option} is {value}; at least 1 is needed")
    if gpus is not None and workers is not None:
        raise UserError("--gpus and --workers exclude one another: --workers counts runs on the CPU")
    chosen = _chosen(gpus) if workers is None else []
    cores = cores_in_reach()
    if not chosen:
        if gpus_per_run > 1 or runs_per_gpu > 1:
            raise UserError("--gpus-per-run and --runs-per-gpu want GPUs, and no GPU is in reach")
        count = workers or cores
        return [Slot(f"CPU {i}", (), max(1, cores // count)) for i in range(count)]
    if len(chosen) < gpus_per_run:
        raise UserError(f"--gpus-per-run is {gpus_per_run}, but there are {len(chosen)} GPUs")
    groups = [
        tuple(chosen[i : i + gpus_per_run])
        for i in range(0, len(chosen) - gpus_per_run + 1, gpus_per_run)  # what is left over stays idle
    ]
    threads = max(1, cores // (len(groups) * gpus_per_run * runs_per_gpu))
    return [
        Slot(f"GPU {','.join(group)}" + (f" #{share}" if runs_per_gpu > 1 else ""), group, threads)
        for share in range(runs_per_gpu)
        for group in groups
    ]


def absent(gpus: str | None, workers: int | None = None) -> bool:
    """Whether GPUs are asked for where there is none, as on a cluster's login node."""
    return gpus is not None and workers is None and not gpus_in_reach()


def _chosen(gpus: str | None) -> list[str]:
    there = gpus_in_reach()
    if gpus is None:
        return there
    if gpus == "all":
        if not there:
            raise UserError("--gpus all: no GPU is in reach; --workers N runs on the CPU")
        return there
    wanted = [name.strip() for name in gpus.split(",")]
    for name in wanted:
        if name not in there:
            raise UserError(f"--gpus {gpus}: no GPU {name!r}; in reach: {', '.join(there) or 'none'}")
    if len(set(wanted)) < len(wanted):
        raise UserError(f"--gpus {gpus} names a GPU twice; --runs-per-gpu shares one")
    return wanted


def gpus_in_reach() -> list[str]:
    """The GPUs that this process may use: those that CUDA_VISIBLE_DEVICES grants it, else all."""
    granted = os.environ.get("CUDA_VISIBLE_DEVICES")
    if granted is not None:
        return [name.strip() for name in granted.split(",") if name.strip() not in ("", "-1", "NoDevFiles")]
    import torch

    return [str(i) for i in range(torch.cuda.device_count())]


def cores_in_reach() -> int:
    """The CPU cores that this process may use. SLURM need not bind a job to those that it grants."""
    bound = len(os.sched_getaffinity(0))
    return min(bound, int(os.environ.get("SLURM_CPUS_PER_TASK", bound)))
