"""The environment variables that snlab reads, and what they say of the processes of one run.

Clusters set ``RANK``, ``LOCAL_RANK`` and their like for whatever they start, and shells hand them on. A
variable alone makes no rank: it counts where torchrun started this process, or the first one of its run did.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

CACHE = "SNLAB_CACHE"  # folder of extractors and converted data sets; the user's cache folder if unset
DATA = "SNLAB_DATA"  # folder of downloaded data sets; one inside the cache folder if unset
DEVICES = "SNLAB_DEVICES"  # devices of a run whose configuration does not say; 1 if unset
RUN_LOG = "SNLAB_RUN_LOG"  # file that `snlab agent` reads its runs' exit codes from; set by it alone
LAUNCHER = "SNLAB_LAUNCHER"  # process id of a run's first process, set by it for those that it starts

# What launchers tell the processes that they start, and what those hand on to processes of their own.
_TORCHRUN = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "TORCHELASTIC_RUN_ID")
_OF_LAUNCHERS = {*_TORCHRUN, "GROUP_RANK", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT", LAUNCHER}
_OF_LAUNCHERS |= {"JSM_NAMESPACE_RANK", "JSM_NAMESPACE_LOCAL_RANK", "JSM_NAMESPACE_SIZE"}
_PREFIXES = ("SLURM_", "TORCHELASTIC_", "GROUP_", "ROLE_")


def started_by_torchrun() -> bool:
    """Whether torchrun started this process."""
    return all(name in os.environ for name in _TORCHRUN)


def started_by_first_process() -> bool:
    """Whether the first process of this run started this one, as Lightning does on several devices."""
    started = os.environ.get(LAUNCHER, "") not in ("", str(os.getpid()))
    return started and os.environ.get("LOCAL_RANK", "0") not in ("", "0")


def started_by_srun(count: int) -> bool:
    """Whether SLURM's srun started this process as one of ``count``, which are those of one run.

    Inside a job, with other counts, or with a run of one process, tasks are runs of their own.
    """
    known = all(f"SLURM_{name}" in os.environ for name in ("PROCID", "LOCALID", "NODEID"))
    return known and count > 1 and os.environ.get("SLURM_STEP_NUM_TASKS") == str(count)


def rank() -> int:
    """This process's place among those that one run was started as, before the run's options are known."""
    if started_by_torchrun():
        return int(os.environ["RANK"])
    return int(os.environ["LOCAL_RANK"]) if started_by_first_process() else 0


def first_process() -> bool:
    """Whether this is the first of the processes that one run was started as: the one that speaks."""
    return rank() == 0


def without_launcher(environment: Mapping[str, str]) -> dict[str, str]:
    """``environment`` for a process that is a run of its own, whatever started this one."""
    return {
        name: value
        for name, value in environment.items()
        if name not in _OF_LAUNCHERS and not name.startswith(_PREFIXES)
    }
