"""What Lightning and all measuring cost beside one generator update."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from benchmarks.timing import CPU, no_garbage_collection, seconds
from benchmarks.update import direct
from snlab.callbacks.checkpoint import Checkpoint
from snlab.callbacks.measurement import log
from snlab.callbacks.progress import ProgressReport
from snlab.callbacks.steps import due
from snlab.callbacks.stopping import StopOnSignal
from snlab.gan import GAN
from snlab.tracking.checkpoints import AtomicCheckpointIO
from snlab.tracking.run_folder import RunWriter
from snlab.tracking.run_folder_logger import RunFolderLogger
from snlab.tracking.wandb_mirror import WandbMirror, WandbOptions
from snlab.training.build import build_data, build_gan
from snlab.training.measurements import MeasureOptions, measurements

STEPS = 100_000  # of the run in which measurements come at their default cadence


class Timed(Callback):
    """Notes when each step ends, and ends the run after ``count`` of them."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.ends: list[float] = []

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        self.ends.append(time.perf_counter())
        trainer.should_stop = len(self.ends) >= self.count


def trainer(
    gan: GAN, dataset: Any, folder: Path, extra: list[Callback], device: torch.device = CPU
) -> Trainer:
    """As ``snlab fit`` makes it, with every measurement and logger, for a run of STEPS."""
    writer = RunWriter(folder)
    writer.write_config({})
    checkpoint = Checkpoint(folder / "checkpoints")
    return Trainer(
        max_steps=STEPS,
        max_epochs=-1,
        accelerator=device.type,
        devices=1,
        logger=[RunFolderLogger(writer), WandbMirror(WandbOptions(mode="offline"), folder, "benchmark", {})],
        callbacks=[
            *measurements(MeasureOptions(), gan, dataset, 0),
            ProgressReport(),
            checkpoint,
            StopOnSignal(checkpoint),
            *extra,
        ],
        plugins=[AtomicCheckpointIO()],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def lightning(count: int = 400) -> dict[str, float]:
    """Seconds that Lightning and the callbacks' waiting add to a step: measured where a step is short.

    The same network's step is timed bare and under the Trainer, no measurement falling in between. What is
    added is work of the CPU and does not depend on the network.
    """
    data = build_data("mixture(kind=ring)")
    options = {"network": "mlp(width=8)", "batch_size": 4}
    step = direct(build_gan(list(data.sample_shape), **options), data.dataset)
    gan = build_gan(list(data.sample_shape), **options)
    timed = Timed(count)
    with tempfile.TemporaryDirectory() as folder, no_garbage_collection():
        bare = [seconds(step) for _ in range(count)]
        trainer(gan, data.dataset, Path(folder), [timed]).fit(gan, data)
    driven = [after - before for before, after in zip(timed.ends, timed.ends[1:], strict=False)]
    return {"bare": statistics.median(bare[20:]), "driven": statistics.median(driven[20:])}


def measuring(dataset: str, network: str, device: torch.device = CPU) -> dict[str, dict[str, float]]:
    """For each measurement: seconds of one on the real network, and how many a run of STEPS takes."""
    data = build_data(dataset)
    gan = build_gan(list(data.sample_shape), network=network).to(device)
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder, no_garbage_collection():
        run = trainer(gan, data.dataset, Path(folder), [], device)
        for measurement in measurements(MeasureOptions(), gan, data.dataset, 0)[:-1]:
            measurement.setup(run, gan, "fit")
            measurement.measure(run, gan)  # the first of a run prepares what the others use
            taken = seconds(lambda m=measurement: log(run, m.measure(run, gan), 0), device)
            count = sum(due(step, measurement.every, STEPS) for step in range(1, STEPS + 1))
            found[type(measurement).__name__] = {"seconds": taken, "count": count}
        for logger in run.loggers:
            if isinstance(logger, WandbMirror):
                logger.close("finished", failed=False)
    return found
