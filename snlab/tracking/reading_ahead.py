"""Many large histories at once: other processes put them into the cache while this one reads through them."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from snlab.tracking.history_cache import entry_of, kept_history

WORTH = 64 * 2**20  # bytes of text for each further process, which takes a second to start
_CODE = "from snlab.tracking.reading_ahead import read_all; read_all()"


@contextmanager
def reading_ahead(paths: Sequence[Path], size: int) -> Iterator[None]:
    """Inside, the files are read from the last one on, by as many processes as there are free CPUs.

    Who reads them from the first one on, by ``kept_history``, meets these processes in the middle: each file
    is read by one of them. What goes wrong in one is found again, and said, by who comes to the file.

    Args:
        paths: files that the cache does not hold yet.
        size: of all of them, in bytes.
    """
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            kept = [path for path in reversed(paths) if entry_of(path) is not None]
            count = min(_cpus() - 1, size // WORTH, len(kept) - 1) if sys.executable else 0
            for i in range(count):
                process = _started(kept[i::count])
                stack.callback(process.wait)
                stack.callback(process.kill)
        yield


def _started(paths: Sequence[Path]) -> subprocess.Popen[bytes]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    process = subprocess.Popen(
        [sys.executable, "-c", _CODE],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
    )
    assert process.stdin is not None
    with contextlib.suppress(OSError), process.stdin as stream:
        stream.write(b"\0".join(os.fsencode(path.absolute()) for path in paths))
    return process


def read_all() -> None:
    """Put the files named on standard input, parted by NUL, into the cache."""
    for name in sys.stdin.buffer.read().split(b"\0"):
        with contextlib.suppress(OSError, ValueError, OverflowError):
            kept_history(Path(os.fsdecode(name)))


def _cpus() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # no Linux
        return os.cpu_count() or 1
