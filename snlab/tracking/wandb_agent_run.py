"""A run that a W&B agent started: its sweep's parameters, and what the supervisor learns of its end."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from snlab.core.environment import RUN_LOG, first_process
from snlab.core.nesting import nested

POLL_SECONDS = 0.5


def run_id() -> str | None:
    """The name that a W&B sweep's server gave this run; None for a run of no such sweep."""
    return os.environ.get("WANDB_RUN_ID") if os.environ.get("WANDB_SWEEP_ID") else None


def parameters() -> dict[str, Any]:
    """The sweep's parameters and their values in this run, as its agent wrote them down."""
    path = Path(os.environ.get("WANDB_SWEEP_PARAM_PATH", ""))
    if not path.is_file():
        return {}
    written = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {name: item["value"] for name, item in written.items() if name != "wandb_version"}


def beside(config: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """What a configuration says beyond a sweep's parameters, so that W&B shows nothing twice.

    A group of options that is itself a parameter belongs to the sweep: the rest of it is spelled flat.

    >>> config = {"seed": 1, "model": {"n_dis": 1, "loss": "hinge"}}
    >>> beside(config, {"seed": 1, "model.loss": "hinge"})
    {'model': {'n_dis': 1}}
    >>> beside(config, {"model": {"loss": "hinge"}})
    {'seed': 1, 'model.n_dis': 1}
    """
    owned = [path for path, _ in _leaves(given)]
    rest = []
    for path, value in _leaves(config):
        if not any(path == name or path.startswith(f"{name}.") for name in owned):
            words = path.split(".")
            rest.append(([path] if words[0] in given else words, value))
    return nested(rest)


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every value that is no mapping, with its dotted path."""
    for name, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def wanted_again(number: int) -> bool:
    """Whether a run that this signal stopped is one that its sweep is to give to an agent again.

    SIGTERM may mean either: it is also how a W&B agent stops a run that the sweep wants no more of. Below
    ``snlab agent``, which uses SIGUSR1 to make room, it means that alone.
    """
    if run_id() is None:
        return False
    if number == signal.SIGALRM:  # its own trainer.max_time
        return True
    return number == signal.SIGUSR1 or (number == signal.SIGTERM and RUN_LOG not in os.environ)


def noted(run: Callable[[], int]) -> int:
    """``run()``, an exit code. Where SNLAB_RUN_LOG names a file, its start and its end are noted there.

    Such a run, of an agent below ``snlab agent``, also ends where that agent has ended.
    """
    path = os.environ.get(RUN_LOG)
    if path is None or not first_process():  # one process speaks for a run
        return run()
    over = threading.Event()
    if sys.platform == "linux":
        threading.Thread(target=_end_with_agent, args=(os.getsid(0), over), daemon=True).start()
    _note(path, None)
    code = 1
    try:
        code = run()
    finally:
        over.set()
        _note(path, code)
    return code


def _end_with_agent(agent: int, over: threading.Event) -> None:
    """Until ``over``, ask this process to save and end once the agent, which leads its session, is gone.

    Before it has a handler, from its first update on, it would die without a word to W&B, and be lost to the
    sweep.
    """
    while not over.wait(POLL_SECONDS):
        if not _lives(agent) and callable(signal.getsignal(signal.SIGUSR1)):
            os.kill(os.getpid(), signal.SIGUSR1)
            return


def _lives(process: int) -> bool:
    """Whether a process runs; one that nobody has waited for yet does not. Linux only."""
    try:
        fields = Path(f"/proc/{process}/stat").read_bytes().rpartition(b")")[2].split()
        return fields[0] != b"Z"
    except OSError:
        return False


def _note(path: str, code: int | None) -> None:
    line = {"run": run_id(), "exit_code": code, "time": time.time()}
    with Path(path).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
