"""Whether a finished run's record is all that it logged. Never imports torch."""

from __future__ import annotations

from snlab.tracking.run_folder import FINISHED, METRICS, SUMMARY, Run


def damage(run: Run) -> str | None:
    """Why the record of a finished run is not all that it logged; None where nothing speaks against it.

    OSError where its metrics cannot be read.
    """
    if run.outcome != FINISHED:
        return None
    if run.loaded is None and not (run.folder / METRICS).exists():
        return f"its {METRICS} is gone"
    name = METRICS if run.loaded is None else "its history"
    broken = run.history.broken
    if broken:
        return f"{name} has {broken} broken line{'s' if broken > 1 else ''}"
    if run.last_step < run.generator_steps:  # the last update is always measured
        return f"{name} ends at update {run.last_step} of {run.generator_steps}"
    told = run.summary.get("metrics") or {}
    differing = [metric for metric, value in told.items() if run.history.last(metric) != value]
    return f"{name} and {SUMMARY} differ in {differing[0]}" if differing else None
