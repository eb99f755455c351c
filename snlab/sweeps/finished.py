"""What updates of runs took that are over: the best estimate of others like them."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from snlab.core import names
from snlab.core.errors import UserError
from snlab.core.machine import machine, processor
from snlab.sweeps.slots import Slot
from snlab.sweeps.work import Kind
from snlab.tracking.run_folder import OVER, Run, run_folders


class Finished(NamedTuple):
    """What an update of a run took."""

    kind: Kind
    n_dis: int
    seconds: float  # of an update, over the whole run
    machine: str


def finished_runs(runs: Path, kinds: Iterable[Kind], slot: Slot | None) -> Iterator[Finished]:
    """Runs of networks of ``kinds`` below a folder that ended with a result, on a machine like this one."""
    wanted = {kind.networks for kind in kinds}
    for folder in run_folders(runs)[0] if runs.is_dir() else ():
        try:
            run = Run.read(folder)
            if run.outcome not in OVER or not _alike(run.summary, slot):
                continue
            kind = Kind.of(run.config)
            if kind.networks not in wanted:
                continue
            rates = run.numbers(names.GENERATOR_STEPS_PER_SECOND)
            n_dis = int(run.config["model"]["n_dis"])
        except (UserError, OSError, KeyError, TypeError):
            continue  # it cannot be read, or is of a module of the user's
        if rates is not None and (rates[1] > 0).any():
            seconds = float(np.mean(1 / rates[1][rates[1] > 0]))
            yield Finished(kind, n_dis, seconds, str(run.summary.get("machine")))


def _alike(summary: Mapping[str, Any], slot: Slot | None) -> bool:
    """Whether a run was on this machine's GPU, or on as many threads of its processor; without one, a GPU."""
    if slot is None:
        return str(summary.get("device")).startswith("cuda")
    device = torch.device("cuda" if slot.gpus else "cpu")
    if summary.get("machine") != machine(device, slot.threads):
        return False
    return bool(slot.gpus) or summary.get("processor", processor()) == processor()


def medians(finished: Iterable[Finished], kind: Kind) -> dict[int, float]:
    """Seconds of an update of that kind, by n_dis: medians, as other processes slow down a run or two."""
    found: dict[int, list[float]] = {}
    for run in finished:
        if run.kind == kind:
            found.setdefault(run.n_dis, []).append(run.seconds)
    return {n_dis: statistics.median(seconds) for n_dis, seconds in found.items()}
