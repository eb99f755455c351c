"""How far something long has come, on stderr: a bar on a terminal, in a log a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")
LINE_SECONDS = 30.0  # between two lines in a log


@contextmanager
def progress(what: str, total: float | None = None) -> Iterator[Callable[[float], None]]:
    """Inside, ``what`` goes on; what this gives is called with how much more of ``total`` is done.

    Its end is told only if it did not fail.
    """
    with (_bar if sys.stderr.isatty() else _lines)(what, total) as done:
        yield done


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Inside, ``what`` goes on: a terminal shows that it does; in a log there is no word of it."""
    if not sys.stderr.isatty():
        yield
        return
    with _bar(what, None):
        yield


def counted(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    """The items, of which there are ``total``, while ``progress`` shows how many have been taken."""
    with progress(f"{what} ({total:,})", total) as done:
        for item in items:
            yield item
            done(1)


@contextmanager
def _bar(what: str, total: float | None) -> Iterator[Callable[[float], None]]:
    from rich.console import Console  # here: most runs convert nothing
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda more: bar.advance(task, more)


@contextmanager
def _lines(what: str, total: float | None) -> Iterator[Callable[[float], None]]:
    start = said = time.monotonic()
    so_far = 0.0

    def done(more: float) -> None:
        nonlocal said, so_far
        so_far += more
        if total and time.monotonic() - said > LINE_SECONDS:
            said = time.monotonic()
            _say(f"{what}: {so_far / total:.0%}")

    _say(what)
    yield done
    _say(f"{what}: done in {time.monotonic() - start:.0f} s")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
