"""Writing a result where the user asked for it."""

from __future__ import annotations

from pathlib import Path

from snlab.core.errors import UserError
from snlab.core.files import write_atomically


def write(out: str | Path, content: str | bytes) -> None:
    """Write a file in one piece, its folder made where it is missing; UserError where that cannot be."""
    try:
        write_atomically(Path(out), content)
    except OSError as error:
        raise UserError(f"cannot write {out}: {error.strerror or error}") from error
