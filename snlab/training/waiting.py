"""Waiting for a run folder that another process has, as a W&B agent does that was given the same trial."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from filelock import FileLock, Timeout

from snlab.callbacks.stopping import SIGNALS, Stopped
from snlab.tracking.wandb_agent_run import run_id

POLL_SECONDS = 0.5


@contextmanager
def taken(lock: FileLock, folder: Path) -> Iterator[bool]:
    """Inside, ``lock`` is this process's; gives whether it had to wait for another.

    Under a W&B agent alone does it wait: whoever else asks for a run that is being trained is told so, by
    Timeout. Stopped where a signal arrives meanwhile.
    """
    waited = False
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if run_id() is None:
            raise
        waited = True
        print(f"another process trains this run; waiting for it, to show its result: {folder}", flush=True)
        with _stopped_by_signals():
            lock.acquire(poll_interval=POLL_SECONDS)
    try:
        yield waited
    finally:
        lock.release()


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _stop) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(number: int, _: FrameType | None) -> None:
    raise Stopped(number)
