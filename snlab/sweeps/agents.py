"""One W&B agent a slot, kept running until the sweep has nothing more to give."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType

from rich.console import Console

from snlab.core.errors import INTERRUPTED, REQUEUE, UserError
from snlab.sweeps.register import need_login, reason
from snlab.sweeps.slots import Slot
from snlab.sweeps.supervisor import Supervisor, say, stop_all

POLL_SECONDS = 0.5
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)


def agents(
    sweep: str,
    slots: Sequence[Slot],
    console: Console,
    *,
    restarts: int = 3,
    folder: Path | None = None,
    grace: float = 60.0,
) -> int:
    """Run the sweep ENTITY/PROJECT/ID until it has nothing more to give; returns the exit code.

    0 where every run that was started here ended well, a diverged one included; 1 where one failed, or an
    agent could not be kept; 130 (Ctrl-C) or 75 (told to make room) where it was stopped. UserError, before
    anything starts, where W&B does not know the sweep or its command is not to be found.

    Args:
        sweep: ENTITY/PROJECT/ID.
        slots: where an agent each is to run.
        console: is told what happens, a line each.
        restarts: how often in a row, no run ended in between, an agent that died is started again.
        folder: of the logs; ``runs/ENTITY-PROJECT-ID/HOST-PID`` by default, as machines may share it.
        grace: seconds for a run that is stopped to save itself.
    """
    environment = dict(os.environ)
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', '')}"
    _check(sweep, environment)
    folder = folder or Path("runs") / sweep.replace("/", "-") / f"{socket.gethostname()}-{os.getpid()}"
    folder.mkdir(parents=True, exist_ok=True)
    supervisors = [
        Supervisor(sweep, slot, environment, folder / f"agent-{i}", console, restarts, grace)
        for i, slot in enumerate(slots)
    ]
    with _Signals() as signals:
        try:
            say(console, f"{len(supervisors)} agent(s) of {sweep}; logs: {folder}")
            for supervisor in supervisors:
                supervisor.start()
            while signals.received is None and sum(supervisor.look() for supervisor in supervisors):
                time.sleep(POLL_SECONDS)
        finally:
            stop_all(supervisors, signals, grace)
    if signals.received is not None:
        say(console, f"stopped; snlab agent {sweep} goes on")
        return INTERRUPTED if signals.received == signal.SIGINT else REQUEUE
    return _verdict(supervisors, console)


def _verdict(supervisors: Sequence[Supervisor], console: Console) -> int:
    """Say what became of the runs; returns it as an exit code. The last try of a run counts."""
    notes = sorted((note for s in supervisors for note in s.notes), key=lambda note: note.time)
    last = {note.run: note for note in notes}
    failed = [note.run for note in last.values() if note.failed]
    named = f": {', '.join(failed)}" if failed else ""
    say(console, f"{len(last) - len(failed)} run(s) done, {len(failed)} failed{named}")
    return int(bool(failed) or any(supervisor.given_up for supervisor in supervisors))


def _check(sweep: str, environment: Mapping[str, str]) -> None:
    parts = sweep.split("/")
    if len(parts) != 3 or not all(parts):
        raise UserError(f"{sweep}: ENTITY/PROJECT/ID is wanted, as snlab sweep --wandb prints it")
    need_login()
    import wandb

    try:
        config = wandb.Api().sweep(sweep).config
    except Exception as error:
        raise UserError(f"W&B does not know the sweep {sweep}: {reason(error)}") from error
    program = str((config.get("command") or ["${env}"])[0])
    if not program.startswith("${") and shutil.which(program, path=environment["PATH"]) is None:
        raise UserError(f"the command of sweep {sweep} does not run: no program {program!r} on this machine")


class _Signals:
    """Within it, the first of SIGNALS to arrive is kept in ``received``, and how many came in ``count``."""

    def __init__(self) -> None:
        self.received: int | None = None
        self.count = 0

    def __enter__(self) -> _Signals:
        self._before = {number: signal.signal(number, self._receive) for number in SIGNALS}
        return self

    def _receive(self, number: int, _: FrameType | None) -> None:
        self.received = self.received or number
        self.count += 1

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
