"""How long updates of a run take here: a few are run, on blank data, and timed."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Sequence
from typing import Any, cast

import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from snlab.gan import GAN
from snlab.training.arguments import FitCLI

TIMES = 2  # that each n_dis is timed, after an update that warms up
MANY = 5  # discriminator updates: what more of them take is on the line through 1 and as many


class Clock(Callback):
    """Times one update after the other, each at its own n_dis, and ends training in time.

    The first, which warms up, counts only where no other was run. No update is begun that, as fast as those
    before it, would end after ``budget`` seconds.

    Args:
        asked: the n_dis of each update.
        budget: seconds.
        processor: count this process's seconds on the processor, which others beside it do not prolong: right
            where it has one thread.
    """

    def __init__(self, asked: Sequence[int], budget: float = math.inf, processor: bool = False) -> None:
        self.asked = asked
        self.budget = budget
        self.now = time.process_time if processor else time.perf_counter
        self.seconds: list[float] = []  # of each update that was run

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._began = time.perf_counter()

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        cast(GAN, pl_module).n_dis = self.asked[len(self.seconds)]
        self._start = self.now()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if pl_module.device.type == "cuda":
            torch.cuda.synchronize()
        self.seconds.append(self.now() - self._start)
        done = len(self.seconds)
        if done < len(self.asked):
            fastest = min(seconds / n for seconds, n in zip(self.seconds, self.asked, strict=False))
            left = self.budget - (time.perf_counter() - self._began)
            trainer.should_stop = fastest * self.asked[done] > left

    @property
    def found(self) -> dict[int, float]:
        """Seconds of an update by n_dis, the median of those timed."""
        timed: dict[int, list[float]] = {}
        skipped = min(1, len(self.seconds) - 1)
        for n_dis, seconds in list(zip(self.asked, self.seconds, strict=False))[skipped:]:
            timed.setdefault(n_dis, []).append(seconds)
        return {n_dis: statistics.median(values) for n_dis, values in timed.items()}


def seconds_an_update(
    arguments: Sequence[str], most: int, budget: float = math.inf, cpu: bool = False
) -> dict[int, float]:
    """Seconds of a generator update of the run that ``arguments`` describe, by n_dis: at 1, and at a larger.

    As far as the budget goes; at n_dis 1 in any case.

    Args:
        arguments: of ``snlab fit``.
        most: discriminator updates that runs will have; 1 where no larger one is wanted.
        budget: seconds.
        cpu: on the CPU, where there is a GPU, too.
    """
    asked = [1, *(n for _ in range(TIMES) for n in dict.fromkeys((1, min(most, MANY))))]
    device = ["--trainer.accelerator=cpu"] if cpu else []
    cli = FitCLI([*arguments, f"--generator_steps={len(asked)}", "--model.decay_from=null", *device])
    cli.build(load=False)  # an update takes as long on blank samples
    on_cpu = cpu or not torch.cuda.is_available()
    clock = Clock(asked, budget, processor=on_cpu and torch.get_num_threads() == 1)
    trainer = cli.trainer_with([clock], [], logger=False)
    trainer.fit(cli.model, cli.datamodule)
    return clock.found
