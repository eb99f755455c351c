"""Training one GAN: from the command line's words to a finished run folder."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import torch
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.utilities import rank_zero_warn

from snlab.callbacks.checkpoint import Checkpoint
from snlab.callbacks.fidelity import Fidelity
from snlab.callbacks.losses import Diverged
from snlab.callbacks.progress import ProgressReport
from snlab.callbacks.stopping import StopOnSignal, Stopped
from snlab.callbacks.throughput import Throughput
from snlab.core.distributed import leave_process_group, not_met, peer_lost, why_not_met
from snlab.core.errors import UserError
from snlab.core.messages import plain_messages
from snlab.tracking.checkpoints import AtomicCheckpointIO, checkpoint_step, newest_good
from snlab.tracking.run_folder import (
    CHECKPOINTS,
    DIVERGED,
    FAILED,
    FINISHED,
    KILLED,
    LOST,
    OVER,
    Run,
    RunWriter,
)
from snlab.tracking.run_folder_logger import RunFolderLogger
from snlab.tracking.wandb_agent_run import wanted_again
from snlab.tracking.wandb_mirror import WandbMirror, WandbOptions, replay
from snlab.training.arguments import FitCLI
from snlab.training.claim import Claim
from snlab.training.measurements import MeasureOptions, measurements
from snlab.training.parallel import end_with_launcher, leading, speak_by_rank

VERSIONS = ("snlab", "torch", "pytorch-lightning", "torchmetrics", "torch-fidelity", "wandb", "numpy")


def fit(arguments: Sequence[str]) -> Run:
    """Train the GAN that ``arguments`` describe, as on the command line; returns its run, read back.

    On several devices each has a process that comes through here; the first of them keeps the run's folder.
    A run that is over already is returned as it is. UserError for what the user can put right.
    """
    end_with_launcher()
    speak_by_rank()
    with plain_messages():
        cli = FitCLI(arguments)
        place = Claim.of(cli.settings)
        over = place.finished()
        if over is not None:
            replay(over, WandbOptions(**cli.settings["wandb"]), cli.settings)
            return over
        cli.build()
        writer = RunWriter(place.folder)
        options = WandbOptions(**cli.settings["wandb"])
        mirror = WandbMirror(options, place.folder, place.identity, cli.settings)
        trainer = cli.trainer_with(
            _callbacks(cli, place), logger=[RunFolderLogger(writer), mirror], plugins=[AtomicCheckpointIO()]
        )
        cli.model.check_sharding(trainer.world_size)
        if not trainer.is_global_zero:
            with leading():  # on another machine than the first, of the processes there
                _train(cli, trainer, place, mirror)
            return Run(place.folder, cli.settings, {})
        with place.held(), leading():  # nothing is written before everything could be built
            _record(cli, trainer, place, writer, mirror)
        return Run.read(place.folder)


def claim(arguments: Sequence[str]) -> Claim:
    """The folder and identity that ``fit(arguments)`` would have; nothing is built or written."""
    with plain_messages():
        return Claim.of(FitCLI(arguments).settings)


def _callbacks(cli: FitCLI, place: Claim) -> list[Callback]:
    checkpoint = Checkpoint(place.folder / CHECKPOINTS, cli.settings["checkpoint_every"])
    measured = measurements(
        MeasureOptions(**cli.settings["measure"]),
        cli.model,
        cli.datamodule.dataset,
        cli.settings["seed_everything"],
    )
    return [*measured, ProgressReport(), checkpoint, StopOnSignal(checkpoint)]


def _train(cli: FitCLI, trainer: Trainer, place: Claim, mirror: WandbMirror) -> tuple[str, str | None]:
    """Train from the newest good checkpoint, if any; returns the outcome and its reason."""
    try:
        trainer.fit(cli.model, cli.datamodule, ckpt_path=newest_good(place.folder / CHECKPOINTS))
    except Diverged as error:
        return DIVERGED, str(error)
    except Stopped as stop:
        mirror.again = wanted_again(stop.signal)
        return KILLED, str(stop)
    except (KeyboardInterrupt, SystemExit):  # a second Ctrl-C
        return KILLED, "interrupted"
    except RuntimeError as error:
        if not_met(error):
            raise UserError(why_not_met(error)) from error
        if not peer_lost(error):
            raise
        return KILLED, LOST
    finally:
        leave_process_group()
    return FINISHED if trainer.global_step >= trainer.max_steps else KILLED, None


def _record(cli: FitCLI, trainer: Trainer, place: Claim, writer: RunWriter, mirror: WandbMirror) -> None:
    """Train, and leave a summary whatever happens."""
    checkpoint = newest_good(place.folder / CHECKPOINTS)
    if checkpoint:
        _compare_machines(place, trainer.strategy.root_device)
    writer.go_on_from(checkpoint_step(checkpoint) if checkpoint else 0)
    outcome, reason = FAILED, None
    try:
        outcome, reason = _train(cli, trainer, place, mirror)
    except BaseException as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise
    finally:
        writer.write_summary(_summary(trainer, place, outcome, reason))
        _close(mirror, writer, outcome)


def _summary(trainer: Trainer, place: Claim, outcome: str, reason: str | None) -> dict[str, Any]:
    callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
    run = Run.read(place.folder)
    last = {
        name: value for row in run.rows.values() for name, value in row.items() if not isinstance(value, list)
    }
    return {
        "outcome": outcome,
        "reason": reason,
        "generator_step": trainer.global_step,
        "identity": place.identity,
        "seconds": sum(c.elapsed for c in callbacks if isinstance(c, Throughput)),
        "device": str(trainer.strategy.root_device),
        "machine": _machine(trainer.strategy.root_device),
        "versions": {name: version(name) for name in VERSIONS} | {"python": platform.python_version()},
        "extractors": {c.extractor.name: c.extractor.digest for c in callbacks if isinstance(c, Fidelity)},
        "metrics": last,
    }


def _compare_machines(place: Claim, device: torch.device) -> None:
    """Say where a run goes on with other threads, or on another device, whose sums round differently."""
    began = Run.read(place.folder).summary.get("machine", _machine(device))
    if began != _machine(device):
        rank_zero_warn(
            f"the run began on {began} and goes on on {_machine(device)}: its numbers are not those of a run "
            "without interruption, bit for bit (OMP_NUM_THREADS sets the threads)"
        )


def _machine(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()} CPU, {torch.get_num_threads()} thread(s)"


def _close(mirror: WandbMirror, writer: RunWriter, outcome: str) -> None:
    """End the W&B run. The run's own folder is complete by now: what fails here is said and no more."""
    try:
        checkpoint = newest_good(writer.folder / CHECKPOINTS)
        if mirror.options.checkpoints and checkpoint is not None:
            mirror.upload_checkpoint(checkpoint)
        mirror.close(outcome, failed=outcome not in OVER)
    except Exception as error:
        rank_zero_warn(f"W&B did not take the end of the run: {' '.join(str(error).split())}")
