"""Importing what is heavy, quickly."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def importing() -> Iterator[None]:
    """Inside, and of what was made there ever after, no garbage is collected.

    Modules stay as long as the process does. Searching their hundreds of thousands of objects time and again
    is a fifth of the time that importing Lightning takes, and a part of every collection thereafter.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
