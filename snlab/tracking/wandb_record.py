"""What W&B does not keep as it was: a run's configuration and summary to the letter, the order of its names.

W&B's client writes 1.0 as 1, leaves out empty mappings and sorts names anew. So the mirror sends all of it
once more, as one text in the summary, and who reads runs from W&B reads the same as from their folders.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from snlab.core.errors import UserError
from snlab.tracking.run_folder import Run

RECORD = "_snlab"  # in the summary; the name begins as those that W&B does not show


class Record(NamedTuple):
    """A run's configuration; its summary, {} while it runs; its logged names, in order of appearance."""

    config: dict[str, Any]
    summary: dict[str, Any]
    names: list[str]


def written(folder: Path, config: Mapping[str, Any]) -> str:
    """The record of a run with this configuration: with its end, as far as its folder tells of one."""
    summary: dict[str, Any] = {}
    names: list[str] = []
    try:
        run = Run.read(folder)
        summary = {name: value for name, value in run.summary.items() if name != "metrics"}
        names = run.names()
    except (OSError, UserError):  # the folder of a run that has not begun, or that was taken away
        pass
    return json.dumps(Record(dict(config), summary, names)._asdict(), default=str)


def read(text: Any) -> Record | None:
    """The record of a W&B summary; None where there is none, as of runs that others logged."""
    try:
        found = Record(**json.loads(text))
    except (TypeError, ValueError, RecursionError):
        return None
    whole = (
        isinstance(found.config, dict) and isinstance(found.summary, dict) and isinstance(found.names, list)
    )
    return found if whole else None
