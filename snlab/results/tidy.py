"""Runs as tidy data, for plots and statistics of one's own: one row a run and metric."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snlab.core import names
from snlab.core.errors import UserError
from snlab.results.reading import collect, record
from snlab.tracking.run_folder import Run

if TYPE_CHECKING:
    import pandas

# What a row says of its run; every other column of a run's record is a metric.
OF_RUN = (
    *("run", "dataset", "network", "loss", "normalizer", "seed", "outcome", "reason"),
    *(names.GENERATOR_STEP, "seconds", "identity"),
)


def tidy(runs: Iterable[Run], every: bool = False) -> list[dict[str, Any]]:
    """One row a run and metric, with ``metric``, ``value`` and what the run was.

    Args:
        runs: in their order.
        every: one row a measurement rather than the last one alone; ``generator_step`` is then its update.
    """
    rows = []
    for run in runs:
        found = record(run)
        of_run = {key: found[key] for key in OF_RUN}
        for metric in (key for key in found if key not in OF_RUN):
            steps, values = run.series(metric)
            pairs = list(zip(steps, values, strict=True)) if every else [(steps[-1], found[metric])]
            for step, value in pairs:
                rows.append(of_run | {names.GENERATOR_STEP: step, "metric": metric, "value": value})
    return rows


def frame(runs: Iterable[Run] | str | Path, every: bool = False) -> pandas.DataFrame:
    """``tidy`` as a pandas DataFrame, of runs or of all below a folder.

        fid = frame("runs/").query("metric == 'fid/embedded-digits'")
        fid.groupby("normalizer").value.agg(["mean", "std"])

    UserError where pandas is not installed, or where no run can be read.
    """
    try:
        import pandas
    except ImportError as error:
        raise UserError("a data frame wants pandas: pip install 'snlab[pandas]'") from error
    found = collect(runs).runs if isinstance(runs, str | Path) else runs
    return pandas.DataFrame(tidy(found, every), columns=[*OF_RUN, "metric", "value"])
