"""Commands of snlab's in processes of their own, most of them forked from a server, as a sweep's runs are.

Importing torch, Lightning and W&B's client takes four seconds of a core, which the server spends but once.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence, Set
from functools import partial
from pathlib import Path

import torch

from snlab.core.messages import flush_or_let_go
from snlab.sweeps.launch import preload
from snlab.sweeps.slots import Slot

IN_CHILD = "forked"


class Command:
    """``snlab WORDS``, started, in a session of its own.

    Args:
        words: the command's.
        log: a folder, made where it is not there, in which ``out`` and ``err`` are added to.
        executed: as ``python -m snlab``, rather than forked: what it does as it imports is tested, too.
        environment: of the process, beside this one's.
        options: of ``_run``, for one that is forked.
    """

    def __init__(
        self,
        *words: str | Path,
        log: Path,
        executed: bool = False,
        environment: Mapping[str, str] | None = None,
        **options: object,
    ) -> None:
        log.mkdir(exist_ok=True)
        self.log = log
        given = [str(word) for word in words]
        around = {**os.environ, **(environment or {})}
        if executed:
            with (log / "out").open("ab") as out, (log / "err").open("ab") as err:
                command = [sys.executable, "-m", "snlab", *given]
                process = subprocess.Popen(
                    command, stdout=out, stderr=err, env=around, start_new_session=True
                )
            self.poll = process.poll
        else:
            preload(Slot("", (), 1))
            # By its file: in the child the name of this module is that of another, in torch-fidelity's tests.
            target = partial(runpy.run_path, __file__, {"GIVEN": (given, around, log, options)}, IN_CHILD)
            process = multiprocessing.get_context("forkserver").Process(target=target)
            process.start()
            self.poll = lambda: process.exitcode
        self.pid = process.pid
        atexit.register(self._end)

    def _end(self) -> None:
        """What a test that failed has left would be waited for."""
        if self.poll() is None:
            self.send_signal(signal.SIGKILL)

    @property
    def out(self) -> str:
        """What it has printed so far."""
        return _read(self.log / "out")

    @property
    def err(self) -> str:
        """What it has said so far on its standard error."""
        return _read(self.log / "err")

    def wait(self, seconds: float = 200) -> int:
        """The exit code, once it has ended."""
        end = time.monotonic() + seconds
        while (code := self.poll()) is None:
            assert time.monotonic() < end, f"still there after {seconds} s: {self.out}{self.err}"
            time.sleep(0.05)
        return code

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _run(
    words: Sequence[str],
    environment: Mapping[str, str],
    log: Path,
    *,
    script: str | None = None,
    cwd: Path | None = None,
    path: Path | None = None,
    cores: Set[int] | None = None,
) -> None:
    """In the child: what ``python -m snlab WORDS`` does.

    Args:
        words: the command's.
        environment: of the process.
        log: where ``out`` and ``err`` are.
        script: Python's, run in the place of snlab.
        cwd: where it runs.
        path: a folder in which it looks for modules first, as for one in PYTHONPATH.
        cores: those that it may use; None for all that the server may.
    """
    os.setsid()
    os.environ.clear()
    os.environ.update(environment)
    if path is not None:
        sys.path.insert(0, str(path))
        os.environ["PYTHONPATH"] = os.pathsep.join(
            [str(path), *filter(None, [environment.get("PYTHONPATH")])]
        )
    if cwd is not None:
        os.chdir(cwd)
    if cores is not None:
        os.sched_setaffinity(0, cores)
    torch.set_num_threads(int(environment["OMP_NUM_THREADS"]))  # the server may be of a slot of another size
    for number, name in ((1, "out"), (2, "err")):
        with (log / name).open("ab") as file:
            os.dup2(file.fileno(), number)
    sys.argv[1:] = words
    try:
        if script is None:
            runpy.run_module("snlab", run_name="__main__", alter_sys=True)
        else:
            exec(script, {"__name__": "__main__"})
    finally:
        atexit._run_exitfuncs()  # a forked process ends without them
        flush_or_let_go()


if __name__ == IN_CHILD:
    *first, options = GIVEN  # noqa: F821
    _run(*first, **options)
