"""How a sweep goes, live in a terminal, a line an event in a log."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from snlab.core.text import duration
from snlab.sweeps.attempts import Task
from snlab.sweeps.objective import Metric
from snlab.sweeps.study import STOPPED_EARLY
from snlab.sweeps.trial import TrialProcess

REFRESH_SECONDS = 0.5


class SweepDisplay:
    """The whole (done, running, waiting, failed, best, time left) and a line for each slot.

    Args:
        console: where to.
        name: the sweep's.
        metric: what is best, if the sweep says.
    """

    def __init__(self, console: Console, name: str, metric: Metric | None) -> None:
        self.console = console
        self.name = name
        self.metric = metric
        self._started = time.monotonic()
        self._shown = 0.0
        self._began: dict[Path, float] = {}  # how far each run was when it was first shown here
        self._live = (
            Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None
        )

    def __enter__(self) -> SweepDisplay:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, line: str) -> None:
        self.console.print(Text(line), soft_wrap=True)

    def update(self, running: Sequence[TrialProcess], tasks: Sequence[Task]) -> None:
        if self._live is None or time.monotonic() - self._shown < REFRESH_SECONDS or not tasks:
            return
        self._shown = time.monotonic()
        rows = Table.grid(padding=(0, 1))
        progress: dict[Path, float] = {}
        for trial in running:
            step, total = trial.progress or (0, 0)
            if trial.process is not None:
                progress[trial.folder] = step / (total or 1)
            waits = "" if trial.process is not None else "waits for the process that trains it"
            rows.add_row(
                trial.slot.name,
                ProgressBar(total=total or 1, completed=step, width=24),
                f"{step}/{total}" if total else "starting",
                waits or trial.folder.name,
            )
        whole = self.line(tasks) + self._time_left(progress, tasks)
        self._live.update(Group(Text(whole), rows), refresh=True)

    def _time_left(self, progress: Mapping[Path, float], tasks: Sequence[Task]) -> str:
        """At the speed of what was trained since this began, in runs and parts of them."""
        for folder, part in progress.items():
            self._began.setdefault(folder, part)
        trained = sum(progress.get(folder, 1.0) - part for folder, part in self._began.items())
        left = sum(not task.ended for task in tasks) - sum(progress.values())
        if trained <= 0:
            return ""
        return f", about {duration((time.monotonic() - self._started) / trained * left)} left"

    def line(self, tasks: Sequence[Task]) -> str:
        """The whole in one line."""
        counts = Counter(task.state for task in tasks)
        words = [f"{self.name}: {counts['done']} of {len(tasks)} done"]
        others = ("running", "waiting", "failed", "not needed")
        words += [f"{counts[state]} {state}" for state in others if counts[state]]
        early = sum(task.outcome == STOPPED_EARLY for task in tasks)
        words += [f"{early} stopped early"] if early else []
        best = best_of(tasks, self.metric)
        if best is not None and self.metric is not None:
            words.append(f"best {self.metric.name} {best.score:.4g}")
        return ", ".join(words)


def best_of(tasks: Sequence[Task], metric: Metric | None) -> Task | None:
    """The task with the best score, if any has one."""
    if metric is None:
        return None
    best: Task | None = None
    for task in tasks:
        if task.score is None or not math.isfinite(task.score):
            continue
        if best is None or best.score is None or metric.better(task.score, best.score):
            best = task
    return best
