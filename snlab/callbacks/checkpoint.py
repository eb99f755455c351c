"""Saving a run, so that it can go on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from snlab.callbacks.steps import checked, due
from snlab.tracking.checkpoints import checkpoint_path, checkpoints, is_whole, remove


class Checkpoint(Callback):
    """Saves after the measurements of the same step, so stands behind them; keeps the newest few.

    Args:
        folder: where to.
        every: generator steps between two, or below 1 the share of the run between them.
        keep: how many to keep.
    """

    def __init__(self, folder: Path, every: float = 0.1, keep: int = 2) -> None:
        self.folder = folder
        self.every = checked(every, "checkpoint_every")
        self.keep = keep

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if due(trainer.global_step, self.every, trainer.max_steps):
            self.save(trainer)

    def save(self, trainer: Trainer) -> None:
        """Save the run as it is after the present generator step, and drop the oldest beyond ``keep``."""
        path = checkpoint_path(self.folder, trainer.global_step)
        if not trainer.strategy.broadcast(is_whole(path)):  # saving takes every process
            trainer.save_checkpoint(path)
        if trainer.is_global_zero:
            for old in checkpoints(self.folder)[self.keep :]:
                remove(old)
