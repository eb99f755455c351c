"""A user's mistake, told in one line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

# Exit codes of the commands.
USER_MISTAKE = 2
REQUEUE = 75  # told to make room, and saved: sysexits.h's "try again later"
INTERRUPTED = 130  # by Ctrl-C, as shells say it


class UserError(Exception):
    """Something the user can put right: the command line prints its one line and exits with code 2."""


def nearest(name: str, known: Iterable[str]) -> str:
    """The hint that ends an "unknown name" line: the nearest valid name, else all of them.

    >>> nearest("spectral_nrom", ["none", "spectral_norm"])
    "did you mean 'spectral_norm'?"
    >>> nearest("xyz", ["none", "spectral_norm"])
    'known: none, spectral_norm'
    """
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"known: {', '.join(known)}" if known else "there is none"
