"""When to measure, and what becomes of it."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor

from snlab.callbacks.steps import checked, due, steps_of

Metrics = Mapping[str, float | list[float]]


class Measurement(Callback, ABC):
    """Measures a run every so often and logs what it found; a subclass says what.

    What cannot be measured is said in one line and left out: training goes on.

    Of the processes of one run the first measures alone, where a subclass does not say otherwise.

    ``steps`` counts the generator's updates, in any LightningModule with a ``generator``. Its last update is
    always measured.

    Args:
        every: generator steps between two measurements, or below 1 the share of the run between them.
    """

    everywhere = False  # whether every process of the run takes part

    def __init__(self, every: float = 0.01) -> None:
        self.every = checked(every)
        self.seconds = 0.0  # spent in measuring and logging
        self._measured_at = 0  # the step last measured

    @abstractmethod
    def measure(self, trainer: Trainer, module: LightningModule) -> Metrics:
        """Numbers, or lists of numbers, by the name under which each is logged."""

    def logs(self, module: LightningModule) -> set[str]:
        """The names that ``measure`` gives in a run of ``module``, where all goes well; none unless told."""
        return set()

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self.steps = steps_of(trainer, pl_module)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if (self.everywhere or trainer.is_global_zero) and self.steps.due(self.every):
            self._take(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if (self.everywhere or trainer.is_global_zero) and self.steps.left_over(self._measured_at):
            self._take(trainer, pl_module)

    def _take(self, trainer: Trainer, module: LightningModule) -> None:
        start = time.perf_counter()
        self._measured_at = self.steps.now
        try:
            log(trainer, self.measure(trainer, module), self._measured_at)
        except (ArithmeticError, RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())
            name = type(self).__name__
            rank_zero_warn(f"{name} left out at generator step {self._measured_at}: {reason}")
        self.seconds += time.perf_counter() - start


def log(trainer: Trainer, metrics: Metrics, step: int) -> None:
    """Hand ``metrics`` to every logger, at a generator step; lists only to those that take them.

    The numbers among them become ``trainer.callback_metrics``.
    """
    numbers = {name: value for name, value in metrics.items() if not isinstance(value, list)}
    trainer.callback_metrics.update({n: torch.tensor(v, dtype=torch.float64) for n, v in numbers.items()})
    for logger in trainer.loggers:
        taken = metrics if hasattr(logger, "log_samples") else numbers
        if taken:
            logger.log_metrics(taken, step=step)  # type: ignore[arg-type]


class AfterMeasurements(Callback):
    """Tells other callbacks of new numbers, by the hook that Lightning calls after a validation.

    By then ``trainer.callback_metrics`` holds them, in every process of the run. A callback that monitors one
    (EarlyStopping does) is told where that one is new. Stands behind every measurement.

    Args:
        listeners: who is told.
        measurements: whose numbers they are.
    """

    def __init__(self, listeners: Sequence[Callback], measurements: Sequence[Measurement]) -> None:
        self.listeners = listeners
        self.measurements = measurements
        self._known: dict[str, Tensor] = {}

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not self.listeners or not any(
            due(trainer.global_step, one.every, trainer.max_steps) for one in self.measurements
        ):
            return
        known, self._known = self._known, dict(trainer.callback_metrics)
        new = {name: value for name, value in self._known.items() if known.get(name) is not value}
        new = trainer.strategy.broadcast(new)
        trainer.callback_metrics.update(new)
        for listener in self.listeners:
            monitor = getattr(listener, "monitor", None)
            if monitor in new or (monitor is None and new):
                listener.on_validation_end(trainer, pl_module)
