"""How far a run is: a bar in a terminal, a line now and then in a log."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from snlab.callbacks.steps import due

REFRESH_SECONDS = 0.2
LINE_EVERY = 0.05  # of the run, in a log
LINE_SECONDS = 60.0  # between two lines at the most


class ProgressReport(Callback):
    """Counts generator updates; refreshed by the clock, so that a fast step is not slowed by its bar."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._shown = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._start, self._start_step = time.perf_counter(), trainer.global_step
        if trainer.is_global_zero and sys.stderr.isatty():
            self._bar = Progress(
                TextColumn("generator_step"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]:.1f}/s"),
                TimeRemainingColumn(),
                auto_refresh=False,
            )
            self._task = self._bar.add_task("", total=trainer.max_steps, rate=0.0)
            self._bar.start()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not trainer.is_global_zero:
            return
        step, now = trainer.global_step, time.perf_counter()
        rate = (step - self._start_step) / max(now - self._start, 1e-9)
        if self._bar is not None:
            if now - self._shown > REFRESH_SECONDS or step == trainer.max_steps:
                self._bar.update(self._task, completed=step, rate=rate, refresh=True)
                self._shown = now
        elif (
            due(step, LINE_EVERY, trainer.max_steps)
            or step == self._start_step + 1
            or now - self._shown > LINE_SECONDS
        ):
            print(f"generator_step {step}/{trainer.max_steps}  {rate:.1f}/s", flush=True)
            self._shown = now

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._stop()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._stop()

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def progress_in(log: Path) -> tuple[int, int] | None:
    """The generator step that a run's log ends at, and that it goes to; None where it has not begun."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    for line in reversed(lines):
        found = re.match(r"generator_step (\d+)/(\d+)", line)
        if found:
            return int(found[1]), int(found[2])
    return None
