"""How fast a run trains, and what watching it costs."""

from __future__ import annotations

import time
from typing import Any

from pytorch_lightning import LightningModule, Trainer

from snlab.callbacks.measurement import Measurement, Metrics
from snlab.core import names
from snlab.core.text import time_now


class Throughput(Measurement):
    """Logs training speed, measurements left out, and the measurements' share of wall time.

    ``time/images_per_second`` counts the real images that pass discriminator updates, of a module that tells
    its ``batch_size`` (and ``n_dis``, where that is not 1). Stands after every other measurement, so that
    theirs of this step are counted.
    """

    def __init__(self, every: float = 0.01) -> None:
        super().__init__(every)
        self.elapsed = 0.0  # seconds of the whole run, over all its sessions
        self.begun: str | None = None  # when its first session began; None where that was not recorded

    def logs(self, module: LightningModule) -> set[str]:
        return {names.GENERATOR_STEPS_PER_SECOND, names.IMAGES_PER_SECOND, names.DIAGNOSTICS_SHARE}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.begun is None and not self.elapsed:
            self.begun = time_now()
        self._before = self.elapsed
        self._start = self._last = time.perf_counter()
        self._last_step = self.steps.now
        self._last_measuring = self._measuring(trainer)

    def measure(self, trainer: Trainer, module: LightningModule) -> Metrics:
        now, measuring = time.perf_counter(), self._measuring(trainer)
        wall = max(now - self._start, 1e-9)
        training = max(now - self._last - (measuring - self._last_measuring), 1e-9)
        step = self.steps.now
        steps = (step - self._last_step) / training
        self.elapsed = self._before + wall
        self._last, self._last_step, self._last_measuring = now, step, measuring
        seen = float(getattr(module, "n_dis", 1) * getattr(module, "batch_size", 0))  # a generator update
        return {
            names.GENERATOR_STEPS_PER_SECOND: steps,
            **({names.IMAGES_PER_SECOND: steps * seen} if seen else {}),
            names.DIAGNOSTICS_SHARE: measuring / wall,
        }

    def state_dict(self) -> dict[str, Any]:
        return {"elapsed": self.elapsed, "begun": self.begun}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.elapsed = state_dict["elapsed"]
        self.begun = state_dict.get("begun")

    @staticmethod
    def _measuring(trainer: Trainer) -> float:
        callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
        return sum((c.seconds for c in callbacks if isinstance(c, Measurement)), start=0.0)
