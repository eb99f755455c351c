"""What takes long to make and is the same every time: made once, kept in a file, verified when it is read."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path

import filelock

from snlab.core.files import write_atomically

log = logging.getLogger(__name__)


def cached(path: Path, make: Callable[[], bytes], wait: float) -> bytes:
    """The bytes at ``path``, else those that ``make`` gives, which are written there if that can be done.

    Their sha256 is kept beside them: a file that is not what was written is made again. Of several processes
    that want it, one makes it. Where nothing can be kept it is made all the same; the log says so.

    Args:
        path: the file; it and ``path`` with the suffixes ``.sha256`` and ``.lock`` are written.
        make: what makes it.
        wait: seconds to wait for another process that makes it, before this one does too.
    """
    if (found := _verified(path)) is not None:  # without the lock: a folder that is only read needs none
        return found
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(path.with_suffix(".lock"), timeout=wait):
            if (found := _verified(path)) is not None:  # another process made it meanwhile
                return found
            if path.exists():
                log.warning("%s is not what was written there: making it again", path)
            found = make()
            write_atomically(path, found)
            write_atomically(path.with_suffix(".sha256"), hashlib.sha256(found).hexdigest() + "\n")
    except (OSError, NotImplementedError) as error:  # the second: a file system without locks
        # The cache saves time and no more: what cannot be kept is the same when made again.
        log.warning("cannot keep %s in %s (%s): going on without", path.name, path.parent, error)
        found = found or make()
    return found


def _verified(path: Path) -> bytes | None:
    """What ``path`` holds if its checksum agrees, else None."""
    try:
        content = path.read_bytes()
        checksum = path.with_suffix(".sha256").read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return content if hashlib.sha256(content).hexdigest() == checksum else None
