"""One trial of a sweep in a process of its own: ``snlab fit`` in a slot, watched through its run folder."""

from __future__ import annotations

import math
import os
import re
import signal
import time
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from snlab.callbacks.progress import progress_in
from snlab.core import failures
from snlab.core.errors import INTERRUPTED, REQUEUE, UserError
from snlab.sweeps.attempts import ERROR, KILLED, Failure
from snlab.sweeps.check import Planned
from snlab.sweeps.launch import Process, launch
from snlab.sweeps.slots import Slot
from snlab.sweeps.study import Claimed
from snlab.tracking.checkpoints import checkpoint_step, newest_good
from snlab.tracking.damage import damage
from snlab.tracking.history import read_rows
from snlab.tracking.places import LOCK
from snlab.tracking.run_folder import CHECKPOINTS, LOST, METRICS, OVER, SUMMARY, Run

LOG = "train.log"
LAST_LINES = 20  # of a process that crashed: C++ says why, and then where


class TrialProcess:
    """A claimed trial in its slot. Nothing runs before ``start``, for another process may have the folder."""

    def __init__(self, claimed: Claimed, planned: Planned, slot: Slot, folder: Path) -> None:
        self.claimed = claimed
        self.planned = planned
        self.slot = slot
        self.folder = folder
        self.process: Process | None = None
        self.stopped_early = False
        self.reported = 0  # logged values of the metric that the study knows
        self._asked_at: float | None = None  # when it was asked to stop
        self._log_before = 0  # bytes of the log, and the summary, that an earlier attempt left
        self._summary_before: tuple[int, int] | None = None

    # ---- running ----------------------------------------------------------------------------------------

    @property
    def over(self) -> Run | None:
        """The run, where it has ended with a result that can be read."""
        try:
            return result(self.folder)
        except UserError:
            return None

    @property
    def busy(self) -> bool:
        """Whether another process trains in the folder, such as another sweep that has the same trial.

        OSError where the folder cannot be locked: then no run can be trained there.
        """
        try:
            with FileLock(self.folder / LOCK, timeout=0):
                return False
        except Timeout:
            return True

    def start(self) -> None:
        """OSError where the folder cannot be written, for one."""
        log = self.folder / LOG
        self._log_before = log.stat().st_size if log.exists() else 0
        self._summary_before = _stamp(self.folder / SUMMARY)
        self.process = launch(self.planned.arguments, self.slot, log)

    def poll(self) -> int | None:
        """The exit code, or None while it runs."""
        return None if self.process is None else self.process.poll()

    def stop(self) -> None:
        """Ask the run to save and end."""
        if self.process is not None and self._asked_at is None:
            self.process.terminate()
            self._asked_at = time.monotonic()

    def kill_after(self, seconds: float) -> None:
        """End a run that was asked to, ``seconds`` ago, and has not."""
        asked = self._asked_at
        if self.process is not None and asked is not None and time.monotonic() - asked > seconds:
            with suppress(ProcessLookupError):  # it has ended since
                os.killpg(self.process.pid, signal.SIGKILL)

    # ---- what its folder says ---------------------------------------------------------------------------

    @property
    def progress(self) -> tuple[int, int] | None:
        """The generator step that it is at, and that it goes to."""
        return progress_in(self.folder / LOG)

    def values(self, metric: str) -> list[float]:
        """What was logged of a metric so far, in order."""
        try:
            rows = list(read_rows(self.folder / METRICS))
        except OSError:  # nothing was logged yet, or it is damaged, which its end will tell
            return []
        return [_number(row[metric]) for row in rows if metric in row]

    def failure(self, code: int) -> Failure:
        """What kind of failure the exit code, and what this attempt left in the folder, tell of."""
        lines = self._said()
        reason = self._reason() or (lines[-1] if lines else f"exit code {code}")
        told = "\n".join(lines[-LAST_LINES:]) if code < 0 else reason
        cause = failures.of_exit_code(code) or failures.of_text(told)
        if cause is not None:
            return Failure(cause.name, reason)
        if code < 0:
            return Failure(KILLED, f"killed by {signal.Signals(-code).name}")
        if code in (REQUEUE, INTERRUPTED) or reason == LOST or "in use by another process" in reason:
            return Failure(KILLED, reason)
        return Failure(ERROR, reason if code else self._damage() or reason)

    def _reason(self) -> str | None:
        """Of the summary, where this attempt wrote one that can be read."""
        if _stamp(self.folder / SUMMARY) == self._summary_before:
            return None
        try:
            reason = Run.read(self.folder).summary.get("reason")
        except UserError:
            return None
        return " ".join(str(reason).split()) if reason else None

    def _said(self) -> list[str]:
        """The lines that this attempt added to the log, but how far it was."""
        try:
            with (self.folder / LOG).open("rb") as file:
                file.seek(self._log_before)
                lines = file.read().decode(errors="replace").splitlines()
        except OSError:
            return []
        return [line.strip() for line in lines if line.strip() and not re.match(r"generator_step \d", line)]

    def _damage(self) -> str | None:
        try:
            result(self.folder)
        except UserError as error:
            return str(error)
        return None


# ---- reading its run ------------------------------------------------------------------------------------


def result(folder: Path) -> Run | None:
    """The run in a folder, where it is over; UserError where what it left is damaged."""
    run = Run.read(folder)
    if run.outcome not in OVER:
        return None
    try:
        reason = damage(run)
    except OSError as error:
        raise UserError(f"{folder} is not a readable run folder: {METRICS}: {error.strerror}") from error
    if reason is not None:
        raise UserError(f"{folder} is damaged: {reason}; delete it to have it run again")
    return run


def score(run: Run, metric: str) -> float:
    """The metric's last logged value; NaN where there is none, or it is no number."""
    _, values = run.series(metric)
    return _number(values[-1]) if values else math.nan


def saved_step(folder: Path) -> int:
    """The generator step of the newest good checkpoint in a run's folder; 0 where there is none."""
    checkpoint = newest_good(folder / CHECKPOINTS)
    return checkpoint_step(checkpoint) if checkpoint is not None else 0


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


def _stamp(path: Path) -> tuple[int, int] | None:
    """What changes when a file is written anew; None where there is none."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_mtime_ns


# ---- where its run lands --------------------------------------------------------------------------------


def settle(planned: Planned, root: Path) -> Path:
    """The trial's run folder, made; a link where another sweep below ``root`` has the same trial.

    So a trial that two sweeps ask for is run once and shown in both.
    """
    sweep_folder = planned.folder.parent
    with FileLock(root / ".settle.lock"):
        if planned.folder.exists():
            return planned.folder
        planned.folder.unlink(missing_ok=True)  # a link that leads nowhere any more
        there = elsewhere(planned, root)
        if there is None:
            planned.folder.mkdir(parents=True)
            return planned.folder
        sweep_folder.mkdir(parents=True, exist_ok=True)
        link = sweep_folder / there.name
        link.symlink_to(os.path.relpath(there, sweep_folder), target_is_directory=True)
        return link


def elsewhere(planned: Planned, root: Path) -> Path | None:
    """The folder of the same trial in another sweep below ``root``, or in ``root`` itself."""
    found = (*root.glob(f"*/*-{planned.identity}"), *root.glob(f"*-{planned.identity}"))
    return next((path for path in found if not path.is_symlink()), None)
