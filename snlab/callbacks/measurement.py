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

from snlab.core.errors import UserError

Metrics = Mapping[str, float | list[float]]


def checked(every: float, name: str = "every") -> float:
    """``every`` as it is; UserError where it tells no interval."""
    if not 0 < every < float("inf"):
        raise UserError(f"{name} is {every}; a number of steps, or a share of the run above 0, is needed")
    return every


def interval(every: float, total: int) -> int:
    """``every`` as a number of generator steps: below 1 it is a share of the ``total``.

    >>> interval(0.01, 100_000), interval(0.01, 20), interval(500, 100_000)
    (1000, 1, 500)
    """
    if every >= 1:
        return int(every)
    if total < 1:
        raise UserError(
            f"measuring every {every} of a run wants a run of known length; give a number of steps"
        )
    return max(1, round(every * total))


def due(step: int, every: float, total: int) -> bool:
    """Whether something done ``every`` so often is done after ``step``; it always is after the last one.

    >>> [step for step in range(1, 11) if due(step, 0.4, 10)]
    [4, 8, 10]
    """
    return step == total or step % interval(every, total) == 0


class Measurement(Callback, ABC):
    """Measures a run every so often and logs what it found; a subclass says what.

    What cannot be measured is said in one line and left out: training goes on.

    Of the processes of one run the first measures alone, where a subclass does not say otherwise.

    Args:
        every: generator steps between two measurements, or below 1 the share of the run between them.
    """

    everywhere = False  # whether every process of the run takes part

    def __init__(self, every: float = 0.01) -> None:
        self.every = checked(every)
        self.seconds = 0.0  # spent in measuring and logging

    @abstractmethod
    def measure(self, trainer: Trainer, module: LightningModule) -> Metrics:
        """Numbers, or lists of numbers, by the name under which each is logged."""

    def logs(self, module: LightningModule) -> set[str]:
        """The names that ``measure`` gives in a run of ``module``, where all goes well; none unless told."""
        return set()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not (self.everywhere or trainer.is_global_zero):
            return
        if not due(trainer.global_step, self.every, trainer.max_steps):
            return
        start = time.perf_counter()
        try:
            log(trainer, self.measure(trainer, pl_module))
        except (ArithmeticError, RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())
            name = type(self).__name__
            rank_zero_warn(f"{name} left out at generator step {trainer.global_step}: {reason}")
        self.seconds += time.perf_counter() - start


def log(trainer: Trainer, metrics: Metrics) -> None:
    """Hand ``metrics`` to every logger, at the present generator step; lists only to those that take them.

    The numbers among them become ``trainer.callback_metrics``.
    """
    numbers = {name: value for name, value in metrics.items() if not isinstance(value, list)}
    trainer.callback_metrics.update({n: torch.tensor(v, dtype=torch.float64) for n, v in numbers.items()})
    for logger in trainer.loggers:
        taken = metrics if hasattr(logger, "log_samples") else numbers
        if taken:
            logger.log_metrics(taken, step=trainer.global_step)  # type: ignore[arg-type]


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
