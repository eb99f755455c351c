"""Stopping a run from outside without losing an update."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from snlab.callbacks.checkpoint import Checkpoint

# SIGTERM and SIGUSR1 are how schedulers announce that a job must make room; SIGINT is Ctrl-C.
SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


class Stopped(Exception):  # noqa: N818  not an error
    """The run was asked to stop, and is saved as it was after the last whole update."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.signal = signal.Signals(number)


class StopOnSignal(Callback):
    """On a signal, lets the update in progress finish, saves, and raises Stopped. Stands last.

    A second signal of the same kind does what it did before the run: a second Ctrl-C stops at once.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self.received: int | None = None
        self._before: dict[int, Any] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Here, after Lightning has set its own handlers, which would end the run without saving it.
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._receive) for number in SIGNALS}

    def _receive(self, number: int, _: FrameType | None) -> None:
        self.received = number
        signal.signal(number, self._before[number])

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self.received is not None and trainer.global_step < trainer.max_steps:
            self.checkpoint.save(trainer)
            raise Stopped(self.received)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._restore()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
