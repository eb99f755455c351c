"""The comparison that ``make demo`` shows: the sweep ``demo``, and the report of its runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from snlab.results.findings import findings
from snlab.results.reading import DAMAGED, collect
from snlab.results.report import report
from snlab.results.tables import make, render
from snlab.sweeps.check import plan
from snlab.sweeps.command import SweepOptions, work_off
from snlab.sweeps.distributions import Choice
from snlab.sweeps.document import Sweep, read_sweep
from snlab.sweeps.slots import cores_in_reach
from snlab.tracking.run_folder import CONFIG, OVER

FAST = ("--generator_steps=20", "--measure.every=0.25", "--measure.fidelity_every=20")


def demo(folder: Path, fast: bool = False, workers: int | None = None) -> int:
    """Train what is not trained yet, print the comparison, write ``report.html``; returns the exit code.

    Unless ``workers`` says how many, as many runs at a time as there are cores, of one thread each: two
    processes of one thread are faster than one of two. A ``fast`` demo has a folder of its own beside
    ``folder``, so that it replaces nothing that a whole one left.
    """
    folder = folder if folder.name not in ("", "..") else folder.resolve()
    folder = folder.with_name(f"{folder.name}-fast") if fast else folder
    sweep = replace(read_sweep("demo"), name=folder.name)
    if fast:
        sweep = _shortened(sweep)
    count = cores_in_reach() if workers is None else workers
    code = work_off(sweep, SweepOptions(runs=folder.parent, workers=count))
    if code not in (0, 1):  # stopped
        return code
    folders = [trial.folder for trial in plan(sweep, folder.parent)]
    if not any((place / CONFIG).exists() for place in folders):
        return 1
    found = collect(folder).among(folders)
    done = [run for run in found.runs if run.outcome in (*OVER, DAMAGED)]
    if not done:
        return 1
    for table in make("normalizers", done, found.skipped):
        print(render(table))
    print("\n".join(findings(done)))
    report(done, folder / "report.html", found.skipped)
    print(f"\nThe whole comparison, with figures and samples: {folder / 'report.html'}")
    return code


def _shortened(sweep: Sweep) -> Sweep:
    """Seconds instead of minutes: a few updates, one seed."""
    one = [Choice(p.name, (0,), (1.0,)) if p.name == "seed_everything" else p for p in sweep.parameters]
    return replace(sweep, command=(*sweep.command, *FAST), parameters=tuple(one))
