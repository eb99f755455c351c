"""Importing W&B's client early, which is quick, rather than late, which is not."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress


def import_for_run(arguments: Sequence[str]) -> None:
    """``import_early``, where a run of these arguments may need it."""
    told = [*arguments, os.environ.get("WANDB_MODE", "")]
    if not any("disabled" in word for word in told):
        import_early()


def import_early() -> None:
    """Import what ``wandb.init`` will, and what spells a sweep's arguments, before anything else is.

    Each of its models looks through all modules that are there for its own source: after torch and Lightning,
    which are 4,000, that takes a second.
    """
    if "torch" in sys.modules:
        return
    with suppress(Exception):  # the mirror finds out, and says it
        import wandb.sdk.launch.inputs.internal  # noqa: F401
