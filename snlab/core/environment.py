"""The environment variables that snlab reads."""

from __future__ import annotations

import os

CACHE = "SNLAB_CACHE"  # folder of trained feature extractors; the user's cache folder if unset
DEVICES = "SNLAB_DEVICES"  # devices of a run whose configuration does not say; 1 if unset
RUN_LOG = "SNLAB_RUN_LOG"  # file that `snlab agent` reads its runs' exit codes from; set by it alone
LAUNCHER = "SNLAB_LAUNCHER"  # process id of a run's first process, set by it for those that it starts


def first_process() -> bool:
    """Whether this is the first of the processes that one run was started as (by Lightning or torchrun)."""
    return int(os.environ.get("RANK") or os.environ.get("LOCAL_RANK") or 0) == 0
