"""Saving a run, so that it can go on."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from snlab.callbacks.fidelity import Fidelity
from snlab.callbacks.steps import checked, due
from snlab.core.names import GENERATOR_STEP
from snlab.tracking.checkpoints import (
    best_checkpoints,
    best_path,
    checkpoint_path,
    checkpoints,
    is_whole,
    remove,
)


class BestCheckpoint(Callback):
    """Also keeps the checkpoint at which the logged Fréchet distance was lowest.

    Stands behind ``fidelity`` and before `Checkpoint`, which tells it what may go: a run that is killed goes
    on from an earlier step, and the best until then has to be there still.

    Args:
        folder: where to.
        fidelity: whose distance it is.
    """

    def __init__(self, folder: Path, fidelity: Fidelity) -> None:
        self.folder = folder
        self.fidelity = fidelity
        self.value = math.inf
        self.step = 0  # of the lowest value; 0 where there is none yet
        self.measured = 0  # distances that it is the lowest of

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.is_global_zero:
            self.tidy()  # what is later than where the run goes on from may not come again
        if not trainer.strategy.broadcast(is_whole(best_path(self.folder, self.step))):
            self.value, self.step, self.measured = math.inf, 0, 0  # lost: the best is that of the rest

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not due(trainer.global_step, self.fidelity.every, trainer.max_steps):
            return
        found = trainer.callback_metrics.get(self.fidelity.distance)  # the first process's
        value = trainer.strategy.broadcast(math.nan if found is None else float(found))
        self.measured += 1
        if value < self.value:
            self.value, self.step = value, trainer.global_step
            path = best_path(self.folder, self.step)
            if not trainer.strategy.broadcast(is_whole(path)):
                trainer.save_checkpoint(path)

    def tidy(self) -> None:
        """Keep no other than the best of all."""
        for path in best_checkpoints(self.folder):
            if path != best_path(self.folder, self.step):
                remove(path)

    def state_dict(self) -> dict[str, Any]:
        return {
            "metric": self.fidelity.distance,
            "value": self.value,
            GENERATOR_STEP: self.step,
            "measured": self.measured,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.value, self.step = state_dict["value"], state_dict[GENERATOR_STEP]
        self.measured = state_dict["measured"]


class Checkpoint(Callback):
    """Saves after the measurements of the same step, so stands behind them; keeps the newest few.

    Args:
        folder: where to.
        every: generator steps between two, or below 1 the share of the run between them.
        keep: how many to keep.
        best: what keeps the best beside them, if any.
    """

    def __init__(
        self, folder: Path, every: float = 0.1, keep: int = 2, best: BestCheckpoint | None = None
    ) -> None:
        self.folder = folder
        self.every = checked(every, "checkpoint_every")
        self.keep = keep
        self.best = best

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
            if self.best is not None:
                self.best.tidy()
