"""What a sweep will cost, from updates that are run and timed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from snlab.sweeps.check import Planned, quiet
from snlab.training.arguments import FitCLI
from snlab.training.claim import Claim

BUDGET_SECONDS = 20.0  # for measuring
STEPS = 3  # timed for each setting, after one that warms up


class _Clock(Callback):
    def __init__(self) -> None:
        self.times: list[float] = []

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if pl_module.device.type == "cuda":
            torch.cuda.synchronize()
        self.times.append(time.perf_counter())


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
                if seconds and time.perf_counter() - started > BUDGET_SECONDS:
                    break
                seconds[setting] = seconds_a_step(trial.arguments)
        finally:
            torch.set_num_threads(before)
    mean = sum(seconds.values()) / len(seconds)
    total = sum(count * seconds.get(setting, mean) for setting, count in steps.items())
    return total, len(seconds), len(steps)


def seconds_a_step(arguments: Sequence[str]) -> float:
    """Seconds of one generator update of the run that ``arguments`` describe: the median of a few."""
    cli = FitCLI([*arguments, f"--generator_steps={STEPS + 1}"])
    cli.build()
    clock = _Clock()
    trainer = cli.trainer_with([clock], [], logger=False)
    trainer.fit(cli.model, cli.datamodule)
    times = torch.tensor(clock.times, dtype=torch.float64)
    return float(times.diff().median())
