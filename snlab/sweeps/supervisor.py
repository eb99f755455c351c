"""Supervises a slot's W&B agent: restarts it, and stops runs whose agent is gone."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rich.console import Console

from snlab.core.environment import RUN_LOG
from snlab.core.errors import INTERRUPTED, REQUEUE
from snlab.sweeps.launch import end_with_parent
from snlab.sweeps.slots import Slot

STOPPED = (REQUEUE, INTERRUPTED)  # exit codes of a run that was stopped, and can go on
POLL_SECONDS = 0.2


class Counter(Protocol):
    count: int


@dataclass(frozen=True)
class Note:
    """What a run wrote of itself: that it started (no exit code) or how it ended."""

    run: str
    exit_code: int | None
    time: float

    @property
    def failed(self) -> bool:
        """As a run's last note. One that started and never said how it ended was killed."""
        return self.exit_code not in (0, *STOPPED)


class Supervisor:
    """One slot, with one agent in a session of its own.

    The agent starts each run in a process group of its own, within its session: so the runs of an agent are
    found, also when it is gone.

    Args:
        sweep: ENTITY/PROJECT/ID.
        slot: what the agent and its runs may use.
        environment: theirs otherwise.
        path: of the agent's log, without its suffix.
        console: is told what happens.
        restarts: how often in a row an agent that died is started again.
        grace: seconds for a run that is stopped to save itself.
    """

    def __init__(
        self,
        sweep: str,
        slot: Slot,
        environment: Mapping[str, str],
        path: Path,
        console: Console,
        restarts: int,
        grace: float,
    ) -> None:
        self.sweep, self.slot, self.console = sweep, slot, console
        self.restarts, self.grace = restarts, grace
        self.log, self.run_log = path.with_suffix(".log"), path.with_suffix(".jsonl").absolute()
        self.environment = slot.environment(environment) | {
            RUN_LOG: str(self.run_log),
            "WANDB_AGENT_DISABLE_FLAPPING": "true",  # three runs that fail at once are no reason to end
        }
        self.notes: list[Note] = []
        self.given_up = False
        self._died = 0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "wandb", "agent", self.sweep],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=end_with_parent(signal.SIGKILL),  # its run notices, saves and ends
            )

    def look(self) -> bool:
        """Say what is new, and start the agent again if it died; returns whether there is one."""
        self._read_notes()
        if self._process is None:
            return False
        code = self._process.poll()
        if code is None:
            return True
        session, self._process = self._process.pid, None
        if code == 0:
            return False
        self._say(f"its agent died (exit code {code}, {self.log})")
        stop_runs([session], self.grace)
        self._read_notes()
        if self._died >= self.restarts:
            self.given_up = True
            self._say(f"given up after {self.restarts} restart(s)")
            return False
        self._died += 1
        self._say(f"its agent is started again ({self._died} of {self.restarts})")
        self.start()
        return True

    @property
    def agent(self) -> int | None:
        """The process id of the agent, which is its session's; None where there is none."""
        return self._process.pid if self._process else None

    def ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def _read_notes(self) -> None:
        if not self.run_log.exists():
            return
        lines = self.run_log.read_text(encoding="utf-8").splitlines()
        for line in lines[len(self.notes) :]:
            note = Note(**json.loads(line))
            self.notes.append(note)
            if note.exit_code is None:
                self._say(f"run {note.run} started")
            else:
                self._died = 0
                failed = f"failed (exit code {note.exit_code}, {self.log})"
                self._say(
                    f"run {note.run} {failed if note.failed else 'stopped' if note.exit_code else 'done'}"
                )

    def _say(self, what: str) -> None:
        say(self.console, f"{self.slot.name}: {what}")


def say(console: Console, line: str) -> None:
    """One line, as it is, however narrow the console."""
    console.print(line, highlight=False, markup=False, soft_wrap=True)


# ---- stopping -------------------------------------------------------------------------------------------


def stop_all(supervisors: Sequence[Supervisor], signals: Counter, grace: float) -> None:
    """End every agent, and its runs once they have saved; at once where a second signal says so."""
    sessions = [supervisor.agent for supervisor in supervisors if supervisor.agent is not None]
    for supervisor in supervisors:
        if not supervisor.ended():
            _send(
                supervisor.agent, signal.SIGINT
            )  # an agent takes no further run, and waits for the one it has
    asked = signals.count
    stop_runs(sessions, grace, lambda: signals.count > asked)
    _wait(lambda: all(supervisor.ended() for supervisor in supervisors), 5)
    for supervisor in supervisors:
        if not supervisor.ended():
            _send(supervisor.agent, signal.SIGKILL)
    stop_runs(sessions, 0)  # what an agent had just begun to start


def stop_runs(sessions: Iterable[int], grace: float, hurry: Callable[[], bool] = lambda: False) -> None:
    """End the runs of agents, which may be gone: asked to save first, killed after ``grace`` seconds.

    A run is asked, by SIGUSR1, once it has a handler for it, which is from its first update to its last.
    Before, it would die without a word to W&B, and be lost to the sweep; after, it ends by itself.
    """
    sessions, asked = list(sessions), set[int]()

    def gone() -> bool:
        for leader in runs_of(sessions) - asked:
            if _catches(leader, signal.SIGUSR1):
                _send(leader, signal.SIGUSR1)
                asked.add(leader)
        return hurry() or not runs_of(sessions)

    _wait(gone, grace)
    for leader in runs_of(sessions):
        with suppress(ProcessLookupError):
            os.killpg(leader, signal.SIGKILL)


def runs_of(sessions: Iterable[int]) -> set[int]:
    """The process groups, other than an agent's own, of living processes in these sessions. Linux only."""
    wanted = set(sessions)
    groups = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended since
            state, _, group, session = path.read_text(encoding="utf-8").rpartition(")")[2].split()[:4]
            if int(session) in wanted and group != session and state != "Z":
                groups.add(int(group))
    return groups


def _catches(process: int, number: int) -> bool:
    """Whether a process has a handler for a signal."""
    try:
        caught = re.search(
            r"^SigCgt:\s*(\w+)", Path(f"/proc/{process}/status").read_text(encoding="utf-8"), re.MULTILINE
        )
    except OSError:  # it has ended since
        return False
    return bool(caught and int(caught[1], 16) >> (number - 1) & 1)


def _send(process: int | None, number: int) -> None:
    with suppress(ProcessLookupError):
        if process is not None:
            os.kill(process, number)


def _wait(condition: Callable[[], bool], seconds: float) -> None:
    """Until ``condition()``, or for ``seconds``."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(POLL_SECONDS)
