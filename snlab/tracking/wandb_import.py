"""Importing W&B's client early, which is quick, rather than late, which is not."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress


def import_early(arguments: Sequence[str]) -> None:
    """Import what ``wandb.init`` will, where a run of these arguments may need it, before anything else is.

    Each of its models looks through all modules that are there for its own source: after torch and Lightning,
    which are 4,000, that takes a second.
    """
    told = [*arguments, os.environ.get("WANDB_MODE", "")]
    if "torch" in sys.modules or any("disabled" in word for word in told):
        return
    with suppress(Exception):  # the mirror finds out, and says it
        import wandb.sdk.launch.inputs.internal  # noqa: F401
