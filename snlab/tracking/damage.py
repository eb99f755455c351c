"""Whether a finished run's record is all that it logged. Never imports torch."""

from __future__ import annotations

from snlab.tracking.run_folder import FINISHED, METRICS, SUMMARY, Run, read_metrics


def damage(run: Run) -> str | None:
    """Why the record of a finished run is not all that it logged; None where nothing speaks against it.

    OSError where its metrics cannot be read.
    """
    if run.outcome != FINISHED:
        return None
    path = run.folder / METRICS
    if not path.exists():
        return f"its {METRICS} is gone"
    with path.open("rb") as file:
        lines = sum(1 for line in file if line.strip())
    broken = lines - sum(1 for _ in read_metrics(path))
    if broken:
        return f"{METRICS} has {broken} broken line{'s' if broken > 1 else ''}"
    last = max(run.rows, default=0)
    if last < run.generator_steps:  # the last update is always measured
        return f"{METRICS} ends at update {last} of {run.generator_steps}"
    told = run.summary.get("metrics") or {}
    logged = {name: value for row in run.rows.values() for name, value in row.items()}
    differing = [name for name, value in told.items() if logged.get(name) != value]
    return f"{METRICS} and {SUMMARY} differ in {differing[0]}" if differing else None
