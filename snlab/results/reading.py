"""The runs that results are made of: what is damaged is set apart, and what cannot be read is named."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from snlab.core import names
from snlab.core.errors import UserError
from snlab.tracking.damage import damage
from snlab.tracking.identity import identity
from snlab.tracking.run_folder import Run, Skipped, read_runs

DAMAGED = "damaged"  # it finished, and its record does not bear that out: no result


@dataclass(frozen=True)
class Collected:
    """The runs below a folder, and the folders of runs that cannot be read."""

    runs: list[Run]
    skipped: list[Skipped] = field(default_factory=list)

    def among(self, folders: Iterable[Path]) -> Collected:
        """Only what lies in one of these folders."""
        wanted = {folder.resolve() for folder in folders}
        runs = [run for run in self.runs if run.folder.resolve() in wanted]
        return Collected(runs, [skip for skip in self.skipped if skip.folder.resolve() in wanted])


def collect(*roots: str | Path) -> Collected:
    """Every run below each of ``roots``, once, the outcome of damaged ones DAMAGED.

    UserError where there is none below one of them, or where none can be read.
    """
    found: dict[Path, Run] = {}
    broken: dict[Path, Skipped] = {}
    for root in roots:
        readable, unreadable = read_runs(root)
        found |= {run.folder.resolve(): run for run in readable}
        broken |= {skip.folder.resolve(): skip for skip in unreadable}
    runs, skipped = [], [*broken.values()]
    for run in found.values():
        try:
            runs.append(examined(run))
        except (AttributeError, OSError, OverflowError, TypeError, ValueError) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            skipped.append(Skipped(run.folder, f"it holds what no run writes: {reason}"))
    if not runs:
        reasons = "; ".join(f"{skip.folder.name}: {skip.reason}" for skip in skipped)
        raise UserError(f"no run in {', '.join(map(str, roots))} can be read: {reasons}")
    return Collected(runs, sorted(skipped))


def examined(run: Run) -> Run:
    """``run`` itself, or, where its record is damaged, the same with that as its outcome and reason.

    Any of Python's errors where the configuration or the metrics are not of a run's shape.
    """
    model: Mapping[str, Any] = run.config.get("model", {})
    data: Mapping[str, Any] = run.config.get("data", {})
    if not (isinstance(model, Mapping) and isinstance(data, Mapping)):
        raise TypeError("model and data want settings of their own")
    _ = run.seed, run.generator_steps, run.rows, identity(run.config)  # each is read once, and may fail
    reason = damage(run)
    return (
        run if reason is None else replace(run, summary=run.summary | {"outcome": DAMAGED, "reason": reason})
    )


# ---- numbers of one run ----------------------------------------------------------------------------------


def final(run: Run, name: str) -> float:
    """What was logged as ``name`` at the run's last measured update; NaN where nothing was, or no number.

    An earlier value is none: it would stand in a table under more updates than it saw.
    """
    value = run.rows[max(run.rows)].get(name) if run.rows else None
    return float(value) if isinstance(value, int | float) else math.nan


def sigmas(run: Run, prefix: str = names.SIGMA_EXACT) -> list[float]:
    """σ of every layer at every measurement but that before training; finite values only."""
    rows = [row for step, row in run.rows.items() if step > 0]
    values = [value for row in rows for name, value in row.items() if name.startswith(f"{prefix}/")]
    return [float(value) for value in values if isinstance(value, int | float) and math.isfinite(value)]


def ratio_name(runs: Iterable[Run], metric: str) -> str:
    """The logged name of a density-ratio metric: the calibrated one where logits are no log ratio.

    That is so for every loss but the standard one (hinge, Wasserstein), and where it was logged.
    """
    calibrated = f"{names.RATIO}/{names.CALIBRATED}/{metric}"
    for run in runs:
        loss = str(run.config.get("model", {}).get("loss", "standard"))
        if loss.split("(")[0] != "standard" and calibrated in run.names(calibrated):
            return calibrated
    return f"{names.RATIO}/{metric}"


# ---- tidy records ----------------------------------------------------------------------------------------


def record(run: Run) -> dict[str, Any]:
    """One flat row of a run: what it was, how it ended, and the last value of every scalar that it logged."""
    model = run.config.get("model", {})
    scalars = [name for name in run.names() if isinstance(run.series(name)[1][-1], int | float)]
    return {
        "run": run.folder.name,
        "dataset": run.dataset,
        "network": model.get("network"),
        "loss": model.get("loss"),
        "normalizer": run.normalizer,
        "seed": run.seed,
        "outcome": run.outcome,
        "reason": run.summary.get("reason"),
        names.GENERATOR_STEP: run.summary.get("generator_step", max(run.rows, default=0)),
        "seconds": run.summary.get("seconds"),
        "identity": run.summary.get("identity") or identity(run.config),
        **{name: run.last(name) for name in scalars},
    }


def records(runs: Iterable[Run]) -> list[dict[str, Any]]:
    """One record a run, in the order given."""
    return [record(run) for run in runs]
