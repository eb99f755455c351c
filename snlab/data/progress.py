"""How far the reading of a data set is: a bar in a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
LINE_SECONDS = 30.0  # between two lines in a log


def counted(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    """The items, while stderr shows how many of ``total`` have been taken.

    Args:
        items: any.
        total: how many there are.
        what: the words before the numbers, as in ``mnist: converting``.
    """
    if not sys.stderr.isatty():
        yield from _in_lines(items, total, what)
        return
    from rich.console import Console  # here: most runs convert nothing
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield from bar.track(items, total, description=what)


def _in_lines(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    said = time.monotonic()
    print(f"{what} {total:,}", file=sys.stderr, flush=True)
    for i, item in enumerate(items):
        if time.monotonic() - said > LINE_SECONDS:
            print(f"{what} {i:,}/{total:,}", file=sys.stderr, flush=True)
            said = time.monotonic()
        yield item
