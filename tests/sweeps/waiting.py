"""Waiting for what other processes do."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(
    condition: Callable[[], T], seconds: float = 120, what: str = "what was waited for", every: float = 0.05
) -> T:
    """What ``condition`` gives, as soon as that is true: asked ``every`` so many seconds."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, f"after {seconds} s: not {what}"
        time.sleep(every)
    return value
