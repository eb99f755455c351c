"""Checkpoints that are either whole or not there.

Lightning writes to the system's temporary folder and moves the file; across file systems that is a copy, and
a kill in the middle leaves a damaged file in the place of a good one. Here the bytes are written beside their
place, flushed to disk and renamed, with their SHA-256 in a file of its own that is checked on reading.
"""

from __future__ import annotations

import hashlib
import io
import re
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from snlab.core.errors import UserError
from snlab.core.files import write_atomically

SUFFIX = ".ckpt"


def checkpoint_path(folder: Path, generator_step: int) -> Path:
    return folder / f"step-{generator_step:08d}{SUFFIX}"


def checkpoint_step(path: Path) -> int:
    """The generator step in a checkpoint's name; -1 where there is none."""
    found = re.fullmatch(rf"step-(\d+){re.escape(SUFFIX)}", path.name)
    return int(found[1]) if found else -1


def best_path(folder: Path, generator_step: int) -> Path:
    """Where the checkpoint of the best score so far is kept; it is none of those that a run goes on from."""
    return folder / f"best-{generator_step:08d}{SUFFIX}"


def best_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints that were the best at their time, the best of all first."""
    return sorted(folder.glob(f"best-*{SUFFIX}"), reverse=True)


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints in ``folder``, newest first."""
    found = [path for path in folder.glob(f"*{SUFFIX}") if checkpoint_step(path) >= 0]
    return sorted(found, key=checkpoint_step, reverse=True)


def newest_good(folder: Path) -> Path | None:
    """The newest checkpoint in ``folder`` whose content is what was written, or None."""
    return next((path for path in checkpoints(folder) if is_whole(path)), None)


def is_whole(path: Path) -> bool:
    try:
        return (
            hashlib.sha256(path.read_bytes()).hexdigest()
            == _digest_path(path).read_text(encoding="utf-8").strip()
        )
    except OSError:
        return False


def remove(path: Path) -> None:
    """Remove a checkpoint and its checksum, the file first: a checksum alone misleads nobody."""
    path.unlink(missing_ok=True)
    _digest_path(path).unlink(missing_ok=True)


def _digest_path(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


class AtomicCheckpointIO(TorchCheckpointIO):
    """Lightning plugin: ``Trainer(plugins=[AtomicCheckpointIO()])``."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        data = buffer.getvalue()
        # The checksum first: a kill between the two leaves no checkpoint rather than one that looks damaged.
        write_atomically(_digest_path(Path(path)), hashlib.sha256(data).hexdigest() + "\n")
        write_atomically(Path(path), data)

    def load_checkpoint(
        self, path: Any, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        if not is_whole(Path(path)):
            raise UserError(f"{path} is damaged, or has no {_digest_path(Path(path)).name} beside it")
        return torch.load(path, map_location=map_location or "cpu", weights_only=True)
