"""Stopping a run from outside without losing an update."""

from __future__ import annotations

import math
import signal
import threading
import time
from types import FrameType
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from snlab.callbacks.checkpoint import Checkpoint
from snlab.core.distributed import MaxAcrossRanks
from snlab.tracking.run_folder import TIME_IS_UP

# SIGTERM and SIGUSR1 are how schedulers announce that a job must make room; SIGINT is Ctrl-C.
SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
MAX_TIME = signal.SIGALRM  # stands for the end of the time that the run was given
ECHO_SECONDS = 2.0  # so long may a launcher take to pass on what its processes have received themselves


class Stopped(Exception):  # noqa: N818  not an error
    """The run was asked to stop, or its time is up, and is saved as it was after the last whole update."""

    def __init__(self, number: int) -> None:
        super().__init__(TIME_IS_UP if number == MAX_TIME else f"stopped by {signal.Signals(number).name}")
        self.signal = signal.Signals(number)


class StopOnSignal(Callback):
    """On a signal, lets the update in progress finish, saves, and raises Stopped. Stands last.

    So it does ``seconds`` after training began, by any process's clock. Where another callback has told the
    trainer to stop, it saves and no more.

    A signal to one process of a run stops all of them after the same update. A second Ctrl-C stops at once;
    the others may come twice, for a scheduler tells every process of a job, and a sweep's executor its runs.
    """

    def __init__(self, checkpoint: Checkpoint, seconds: float | None = None) -> None:
        self.checkpoint = checkpoint
        self.seconds = math.inf if seconds is None else seconds
        self.received = 0  # the signal's number
        self._before: dict[int, Any] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        # In the place of Lightning's own handlers, which would end the run without saving it, and talk to the
        # other processes from within the handler, who may be talking of something else.
        trainer._signal_connector.register_signal_handlers = lambda: None  # type: ignore[method-assign]
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._receive) for number in SIGNALS}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._agreement = MaxAcrossRanks()
        self._end = time.monotonic() + self.seconds

    def _receive(self, number: int, _: FrameType | None) -> None:
        if not self.received:
            self.received, self._at = number, time.monotonic()
        elif number == signal.SIGINT and time.monotonic() - self._at > ECHO_SECONDS:
            signal.signal(number, self._before[number])
            signal.raise_signal(number)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step < trainer.max_steps:
            if not self.received and time.monotonic() > self._end:
                self.received = MAX_TIME
            received = self._agreement.max(self.received)
            if received or trainer.should_stop:
                self.checkpoint.save(trainer)
            if received:
                raise Stopped(received)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._restore()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
