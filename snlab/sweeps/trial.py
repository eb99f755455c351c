"""One trial of a sweep in a process of its own: ``snlab fit`` in a slot, watched through its run folder."""

from __future__ import annotations

import math
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from snlab.callbacks.progress import progress_in
from snlab.core.errors import INTERRUPTED, REQUEUE
from snlab.sweeps.check import Planned
from snlab.sweeps.launch import Process, launch
from snlab.sweeps.slots import Slot
from snlab.sweeps.study import Claimed
from snlab.tracking.run_folder import CONFIG, OVER, Run, read_metrics
from snlab.training.claim import LOCK

LOG = "train.log"

ERROR = "error"  # would only repeat itself
KILLED = "killed"
OUT_OF_MEMORY = "out of memory"


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

    # ---- running ----------------------------------------------------------------------------------------

    @property
    def over(self) -> Run | None:
        """The run, where it has ended with a result."""
        if not (self.folder / CONFIG).exists():
            return None
        run = Run.read(self.folder)
        return run if run.outcome in OVER else None

    @property
    def busy(self) -> bool:
        """Whether another process trains in the folder, such as another sweep that has the same trial."""
        try:
            with FileLock(self.folder / LOCK, timeout=0):
                return False
        except Timeout:
            return True

    def start(self) -> None:
        self.process = launch(self.planned.arguments, self.slot, self.folder / LOG)

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
        path = self.folder / "metrics.jsonl"
        rows = read_metrics(path) if path.exists() else iter(())
        return [math.nan if row[metric] is None else float(row[metric]) for row in rows if metric in row]

    def failure(self, code: int) -> tuple[str, str]:
        """What kind of failure the exit code and the folder tell of, and the reason in one line."""
        reason = self._reason() or f"exit code {code}"
        if "out of memory" in reason.lower() or "OutOfMemoryError" in reason:
            return OUT_OF_MEMORY, reason
        if code < 0:
            return KILLED, f"killed by {signal.Signals(-code).name}"
        if code in (REQUEUE, INTERRUPTED) or "in use by another process" in reason:
            return KILLED, reason
        return ERROR, reason

    def _reason(self) -> str | None:
        if (self.folder / CONFIG).exists():
            reason = Run.read(self.folder).summary.get("reason")
            if reason:
                return str(reason)
        log = self.folder / LOG
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() if log.exists() else []
        return lines[-1] if lines else None


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
        elsewhere = [p for p in root.glob(f"*/*-{planned.identity}") if not p.is_symlink()]
        elsewhere += [p for p in root.glob(f"*-{planned.identity}") if not p.is_symlink()]
        if not elsewhere:
            planned.folder.mkdir(parents=True)
            return planned.folder
        sweep_folder.mkdir(parents=True, exist_ok=True)
        link = sweep_folder / elsewhere[0].name
        link.symlink_to(os.path.relpath(elsewhere[0], sweep_folder), target_is_directory=True)
        return link
