"""Failures that are the environment's and not a run's own: a full disk, a device that is lost, no memory.

The same run may well succeed later, or elsewhere. What is wrong is read off an exception, off a process's
exit code (the disk that is full may be the one with the log), or off what it said last.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Cause:
    """One kind of such failure.

    Args:
        name: as the user reads it.
        errors: the system's error numbers.
        words: what messages say that carry no such number, in lower case.
        exit_code: of a command that ends for it, as in sysexits.h; None where its last words tell.
    """

    name: str
    errors: tuple[int, ...] = ()
    words: tuple[str, ...] = ()
    exit_code: int | None = None

    def said_in(self, text: str) -> bool:
        numbers = [f"[errno {number}]" for number in self.errors]
        names = [os.strerror(number).lower() for number in self.errors]
        return any(words in text for words in (*numbers, *names, *self.words))


# Sought in this order: CUDA has words of its own for being out of memory, and not permitted.
CAUSES = (
    Cause("out of memory", (errno.ENOMEM,), ("out of memory", "outofmemoryerror", "memoryerror")),
    Cause(
        "device lost",
        (errno.ENODEV, errno.ENXIO),
        (
            "cuda error",
            "cudnn error",
            "cudnn_status",
            "cublas_status",
            "nccl error",
            "hip error",
            "no cuda gpus",
        ),
    ),
    Cause("no space", (errno.ENOSPC, errno.EDQUOT, errno.EFBIG), ("disk is full",), exit_code=73),
    Cause("read-only disk", (errno.EROFS,), exit_code=72),
    Cause("disk error", (errno.EIO, errno.ESTALE), exit_code=74),
    Cause("no permission", (errno.EACCES, errno.EPERM)),
    Cause("too many open files", (errno.EMFILE, errno.ENFILE), ("can't start new thread",)),
)
# Of a folder that somebody took away, or put a file in the place of. Elsewhere such errors are a run's own.
NO_FOLDER = Cause("no folder", (errno.ENOENT, errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ELOOP))
NAMES = frozenset(cause.name for cause in (*CAUSES, NO_FOLDER))
# Of a program that is wrong, and would be so on any device.
_ITS_OWN = ("device-side assert", "no kernel image")


def of_error(error: BaseException | None) -> Cause | None:
    """What an exception is the environment's failure by, by its error number."""
    number = error.errno if isinstance(error, OSError) else None
    return next((cause for cause in CAUSES if number in cause.errors), None)


def of_exit_code(code: int) -> Cause | None:
    return next((cause for cause in CAUSES if cause.exit_code == code), None)


def of_text(text: str) -> Cause | None:
    """What a process that failed said of the environment, if it did.

    >>> of_text("RuntimeError: CUDA error: an illegal memory access was encountered").name
    'device lost'
    >>> of_text("OSError: [Errno 28] No space left on device").name
    'no space'
    >>> of_text("ValueError: broken") is None
    True
    """
    text = text.lower()
    if any(words in text for words in _ITS_OWN):
        return None
    return next((cause for cause in CAUSES if cause.said_in(text)), None)
