"""What a user is shown of what libraries say: warnings as one line each, announcements not at all."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from snlab.core.environment import first_process
from snlab.core.errors import USER_MISTAKE
from snlab.core.failures import Cause

LIBRARIES = ("pytorch_lightning", "lightning.pytorch", "lightning_fabric", "lightning.fabric")


@contextmanager
def plain_messages() -> Iterator[None]:
    """Inside, Lightning keeps its announcements to itself and a warning of ours is one line on stderr."""
    loggers = [logging.getLogger(name) for name in LIBRARIES]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", module="pytorch_lightning|lightning|wandb|jsonargparse|torch|PIL"
            )
            warnings.showwarning = _show
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def told(line: str, cause: Cause | None) -> int:
    """Say why a command ends; returns its exit code: a full disk has its own, and may lose the line."""
    with suppress(OSError):
        if first_process():
            print(f"snlab: {line}", file=sys.stderr)
    flush_or_let_go()
    return cause.exit_code if cause is not None and cause.exit_code is not None else USER_MISTAKE


def flush_or_let_go() -> None:
    """Write out what was printed; where that cannot be, as on a full disk, no more is tried."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.dup2(nowhere, sys.stderr.fileno())


def _show(message: Warning | str, *_: Any, **__: Any) -> None:
    if first_process():
        print(f"warning: {' '.join(str(message).split())}", file=sys.stderr)
