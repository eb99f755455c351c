"""What a run's folder is called, and how it is kept to one process, or moved aside. Never imports torch."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from snlab.core.errors import UserError
from snlab.core.registry import label
from snlab.tracking.run_folder import BEFORE, CONFIG

LOCK = ".lock"


def folder_words(dataset: Any, normalizer: Any, seed: int) -> str:
    """How a run's folder begins; its identity ends it.

    >>> folder_words("digits", "gradient_penalty(weight=2)", 0)
    'digits-gradient_penalty_weight=2-seed0'
    """
    return f"{_word(dataset)}-{_word(normalizer)}-seed{seed}"


def _word(value: Any) -> str:
    """A name with its options as part of a file name."""
    return re.sub(r"[^\w.+=-]+", "_", label(value)).strip("_")[:80]


def repeats(folder: Path) -> int:
    """How often the run of a folder was begun anew."""
    folder = folder.resolve()
    names = [path.name for path in folder.parent.glob(f"{escape(folder.name)}{BEFORE}*")]
    numbers = [name.rpartition(BEFORE)[2] for name in names]
    return max((int(number) for number in numbers if number.isdecimal()), default=0)


def move_aside(folder: Path) -> None:
    """Keep what a run's folder holds, if anything, as FOLDER.before-N; Timeout where it is in use."""
    folder = folder.resolve()  # where a sweep links to another's run
    if (folder / CONFIG).exists():
        with FileLock(folder / LOCK, timeout=0):
            folder.rename(f"{folder}{BEFORE}{repeats(folder) + 1}")


def in_use(folder: Path) -> bool:
    """Whether a process of this machine trains in a run's folder; nothing is written to find out.

    False where that cannot be known: in a folder that cannot be read, or where locks do not work.
    """
    import fcntl  # of Unix alone, which a run's own loop can do without

    try:
        with (folder / LOCK).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # which goes as the file is closed
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False


@contextmanager
def told(folder: Path, what: str) -> Iterator[None]:
    """Inside, UserError where ``folder`` is in use, or the system does not let it be read or written."""
    try:
        yield
    except Timeout:
        raise UserError(f"run folder {folder} is in use by another process") from None
    except OSError as error:
        raise UserError(f"run folder {folder} cannot be {what}: {error.strerror}") from error
