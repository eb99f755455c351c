"""``snlab fit`` in a process of its own, as a sweep starts it: it ends with the sweep, and writes to a log.

Without GPUs a run is forked from a server process that has imported everything and done nothing, which saves
it the seconds that importing takes. With GPUs it is an ordinary process: CUDA need not survive a fork, and
runs there are long.
"""

from __future__ import annotations

import atexit
import ctypes
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import forkserver
from pathlib import Path
from typing import Protocol

from snlab.core.messages import flush_or_let_go
from snlab.sweeps.slots import Slot

FORKS = sys.platform == "linux"
# Without wandb: its temporary folder is made at import, and removed at each exit.
PRELOADED = ["snlab.training.fit"]
PR_SET_PDEATHSIG = 1  # of Linux's prctl
SERVER_LOST = 255  # what multiprocessing says of a process whose fork server has ended before it
POLL_SECONDS = 0.1


class Process(Protocol):
    """A started process; as far as it goes, ``subprocess.Popen``."""

    pid: int

    def poll(self) -> int | None: ...

    def wait(self) -> int: ...

    def terminate(self) -> None: ...


def launch(arguments: Sequence[str], slot: Slot, log: Path) -> Process:
    """Start ``snlab fit`` with these arguments in a slot; what it prints is added to ``log``.

    OSError where the log cannot be written.
    """
    with log.open("ab") as file:
        if FORKS and not slot.gpus:
            return _Forked(arguments, slot, log)
        return subprocess.Popen(
            [sys.executable, "-m", "snlab", "fit", *arguments],
            env=slot.environment(os.environ),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,  # a Ctrl-C in the terminal is the executor's to pass on
            preexec_fn=end_with_parent(signal.SIGTERM),
        )


def end_with_parent(number: int) -> Callable[[], None] | None:
    """What a child does first, to be sent this signal where its parent dies without a word. Linux only."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl  # found before the fork
    return lambda: prctl(PR_SET_PDEATHSIG, number)


# ---- forking --------------------------------------------------------------------------------------------


def preload(slot: Slot) -> None:
    """Have the server import everything, in the background, for runs in ``slot`` and those like it."""
    if FORKS and not slot.gpus:
        multiprocessing.get_context("forkserver").set_forkserver_preload(PRELOADED)
        with _environment(slot.environment(os.environ)):  # libraries read their number of threads but once
            forkserver.ensure_running()


def wait_until_preloaded(slot: Slot) -> None:
    """So that starting the first run does not wait, while its trial is claimed."""
    if FORKS and not slot.gpus:
        first = multiprocessing.get_context("forkserver").Process(target=os.getpid)
        first.start()
        first.join()


class _Forked:
    """A process of the server's, with the interface of ``subprocess.Popen``."""

    def __init__(self, arguments: Sequence[str], slot: Slot, log: Path) -> None:
        preload(slot)
        given = (list(arguments), slot.environment(os.environ), log)
        self._process = multiprocessing.get_context("forkserver").Process(target=_fit, args=given)
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def poll(self) -> int | None:
        code = self._process.exitcode
        if code != SERVER_LOST:
            return code
        return None if _lives(self.pid) else -signal.SIGKILL  # how it ended is not known: at worst so

    def wait(self) -> int:
        while (code := self.poll()) is None:
            time.sleep(POLL_SECONDS)
        return code

    def terminate(self) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)


def _lives(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _fit(arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
    """In the child: what ``python -m snlab fit`` does."""
    os.setsid()
    threading.Thread(target=_stop_without_parent, daemon=True).start()
    os.environ.clear()
    os.environ.update(environment)
    _set_threads(int(environment["OMP_NUM_THREADS"]))
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.argv[1:] = ["fit", *arguments]
    try:
        runpy.run_module("snlab", run_name="__main__", alter_sys=True)
    finally:
        atexit._run_exitfuncs()  # a forked process ends without them, and W&B's temporary folders would stay
        flush_or_let_go()  # else what it could not write takes the place of its exit code


def _set_threads(count: int) -> None:
    """Those of this run's slot: the server may have been started for slots of another size."""
    import torch

    torch.set_num_threads(count)


def _stop_without_parent() -> None:
    """As ``end_with_parent``, whose parent would be the server, which lives as long as any run does."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def _environment(environment: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(environment)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
