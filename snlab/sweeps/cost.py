"""What a sweep will cost, from updates that are run and timed."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from snlab.sweeps.check import Planned, quiet
from snlab.training.arguments import FitCLI
from snlab.training.claim import Claim

BUDGET_SECONDS = 5.0  # for measuring, beyond the first update of the first setting
STEPS = 3  # timed for each setting, after one that warms up, as far as the budget goes


class _Clock(Callback):
    """When training began and each update ended; training ends after ``budget`` seconds."""

    def __init__(self, budget: float) -> None:
        self.budget = budget
        self.times: list[float] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.times.append(time.perf_counter())

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if pl_module.device.type == "cuda":
            torch.cuda.synchronize()
        self.times.append(time.perf_counter())
        trainer.should_stop = self.times[-1] - self.times[0] > self.budget

    @property
    def seconds(self) -> float:
        """Of one update: the median, without the first where there is another."""
        updates = torch.tensor(self.times, dtype=torch.float64).diff()
        return float(updates[min(1, len(updates) - 1) :].median())


def estimate(trials: Sequence[Planned], threads: int) -> tuple[float, int, int]:
    """Seconds of training of all ``trials``, one after the other, measurements left out.

    Each setting, which seeds share, is timed over a few updates while the budget lasts; the others are taken
    to cost the mean of those timed.

    Returns:
        seconds; settings timed; settings in all.
    """
    steps: dict[str, int] = {}  # generator steps of all seeds of each setting
    first: dict[str, Planned] = {}
    with quiet():
        for trial in trials:
            settings = FitCLI(trial.arguments).settings
            setting = Claim.of({**settings, "seed_everything": 0}).identity
            steps[setting] = steps.get(setting, 0) + settings["generator_steps"]
            first.setdefault(setting, trial)
        seconds: dict[str, float] = {}
        started, before = time.perf_counter(), torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            for setting, trial in first.items():
                left = BUDGET_SECONDS - (time.perf_counter() - started)
                if seconds and left < 0:
                    break
                seconds[setting] = seconds_a_step(trial.arguments, left)
        finally:
            torch.set_num_threads(before)
    mean = sum(seconds.values()) / len(seconds)
    total = sum(count * seconds.get(setting, mean) for setting, count in steps.items())
    return total, len(seconds), len(steps)


def seconds_a_step(arguments: Sequence[str], budget: float = math.inf) -> float:
    """Seconds of one generator update of the run that ``arguments`` describe: the median of a few.

    After ``budget`` seconds no further one is begun.
    """
    cli = FitCLI([*arguments, f"--generator_steps={STEPS + 1}"])
    cli.build(load=False)  # an update takes as long on blank samples
    clock = _Clock(budget)
    trainer = cli.trainer_with([clock], [], logger=False)
    trainer.fit(cli.model, cli.datamodule)
    return clock.seconds
