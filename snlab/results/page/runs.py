"""What the page says of each run: how it ended, on what it ran, and how to repeat it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import yaml

from snlab.core import names
from snlab.core.registry import label
from snlab.results.reading import record, recorded
from snlab.results.repeating import command
from snlab.tracking.run_folder import Run


def about(run: Run) -> dict[str, Any]:
    """The run's record in words, its configuration, versions and machine, and the command to repeat it."""
    row = record(run)
    versions = run.summary.get("versions")
    told = {
        "name": run.folder.name,
        "folder": str(run.folder),
        "dataset": run.dataset,
        "network": label(row["network"] or ""),
        "loss": label(row["loss"] or ""),
        "seed": run.seed,
        "outcome": run.outcome,
        "reason": str(row["reason"]) if row["reason"] else "",
        "step": row[names.GENERATOR_STEP],
        "steps": run.generator_steps,
        "seconds": row["seconds"] if isinstance(row["seconds"], int | float) else None,
        "begun": _moment(recorded(run, "begun")),
        "ended": _moment(recorded(run, "ended")),
        "identity": str(row["identity"]),
        "machine": str(run.summary.get("machine") or ""),
        "device": str(run.summary.get("device") or ""),
        "commit": str(run.summary.get("commit") or ""),
        "versions": {str(k): str(v) for k, v in versions.items()} if isinstance(versions, Mapping) else {},
        "command": command(run) or "",
        "config": yaml.dump(run.config, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=100),
    }
    return told | ({"wandb": run.wandb_url} if run.wandb_url else {})


def _moment(then: datetime | None) -> str:
    return f"{then:%Y-%m-%d %H:%M:%S} UTC" if then else ""


Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # the one in C, where it was built


def environment(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Machines, devices, commits and versions, each with all values that some run has."""
    found: dict[str, dict[str, None]] = {}
    for run in runs:
        versions = run.summary.get("versions")
        told = {key: run.summary.get(key) for key in ("machine", "device", "commit")}
        told |= versions if isinstance(versions, Mapping) else {}
        for name, value in told.items():
            if value is not None:
                found.setdefault(str(name), {})[str(value)] = None
    return [{"name": name, "values": list(values)} for name, values in found.items()]
