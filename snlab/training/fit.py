"""Training one GAN: from the command line's words to a finished run folder."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.utilities import rank_zero_warn

from snlab.callbacks.checkpoint import BestCheckpoint, Checkpoint
from snlab.callbacks.losses import Diverged
from snlab.callbacks.measurement import AfterMeasurements
from snlab.callbacks.progress import ProgressReport
from snlab.callbacks.stopping import StopOnSignal, Stopped
from snlab.callbacks.summary import Ending, stopped_by, summary
from snlab.core.distributed import leave_process_group, not_met, peer_lost, why_not_met
from snlab.core.errors import UserError
from snlab.core.machine import machine
from snlab.core.messages import plain_messages
from snlab.core.names import GENERATOR_STEP
from snlab.core.text import time_now
from snlab.tracking.checkpoints import AtomicCheckpointIO, checkpoint_step, newest_good
from snlab.tracking.damage import damage
from snlab.tracking.run_folder import (
    CHECKPOINTS,
    DIVERGED,
    FAILED,
    FINISHED,
    KILLED,
    LOST,
    OVER,
    STOPPED,
    Run,
    RunWriter,
)
from snlab.tracking.run_folder_logger import RunFolderLogger
from snlab.tracking.wandb_agent_run import parameters, run_id, wanted_again
from snlab.tracking.wandb_mirror import WandbMirror, WandbOptions, replay
from snlab.training.arguments import FitCLI
from snlab.training.asked import check_asked
from snlab.training.claim import Claim
from snlab.training.measurements import MeasureOptions, check_weights, distance, measurements
from snlab.training.parallel import end_with_launcher, leading, speak_by_rank
from snlab.training.trainer_options import check_monitors, seconds


def fit(arguments: Sequence[str]) -> Run:
    """Train the GAN that ``arguments`` describe, as on the command line; returns its run, read back.

    On several devices each has a process that comes through here; the first of them keeps the run's folder.
    A run that is over already is returned as it is, once everything that was asked for could be built.
    UserError for what the user can put right.
    """
    end_with_launcher()
    speak_by_rank()
    with plain_messages():
        cli = FitCLI(arguments)
        if run_id() is not None:
            check_asked(arguments, cli.settings, parameters())
        place = Claim.of(cli.settings)
        over = place.finished()
        anew = cli.settings["again"] and (over is not None or not cli.settings["resume"])
        cli.build()
        callbacks = _callbacks(cli, place) if over is None or anew else []
        options = WandbOptions(**cli.settings["wandb"])
        mirror = WandbMirror(options, place.folder, _wandb_id(place, anew), cli.settings)
        writer = RunWriter(place.folder)
        trainer = cli.trainer_with(
            callbacks,
            plugins=[AtomicCheckpointIO()],
            folder=place.folder,
            logger=[RunFolderLogger(writer), mirror],
        )
        cli.model.check_sharding(trainer.world_size)
        if over is not None and not anew:
            reason = damage(over)
            if reason is not None:
                raise UserError(f"{over.folder} is damaged: {reason}; --again trains it from the start")
            if trainer.is_global_zero:
                print(f"{over.outcome} before, not trained again (--again does, from the start)", flush=True)
            replay(over, options, cli.settings)
            return over
        if not trainer.is_global_zero:
            with leading():  # on another machine than the first, of the processes there
                _train(cli, trainer, place, mirror, anew)
            return Run(place.folder, cli.settings, {})
        try:
            with place.held(anew), leading():  # nothing is written before everything could be built
                over = place.finished()  # by another process, since it was looked for
                if over is None:
                    _record(cli, trainer, place, writer, mirror)
        except Stopped as stop:  # while it waited for the other
            mirror.give_back(stop.signal)
            stopped = {"outcome": KILLED, "reason": str(stop), GENERATOR_STEP: 0}
            return Run(place.folder, cli.settings, stopped)
        if over is not None:
            replay(over, options, cli.settings)
        return Run.read(place.folder)


def claim(arguments: Sequence[str]) -> Claim:
    """The folder and identity that ``fit(arguments)`` would have; nothing is built or written."""
    with plain_messages():
        return Claim.of(FitCLI(arguments).settings)


def _wandb_id(place: Claim, anew: bool) -> str:
    """The run's identity; a run that is begun anew is a new one on W&B."""
    repeats = place.repeats + anew
    return f"{place.identity}-{repeats + 1}" if repeats else place.identity


def _callbacks(cli: FitCLI, place: Claim) -> list[Callback]:
    folder = place.folder / CHECKPOINTS
    measured = measurements(
        MeasureOptions(**cli.settings["measure"]),
        cli.model,
        cli.datamodule.dataset,
        cli.settings["seed_everything"],
    )
    check_monitors(cli.callbacks, set[str]().union(*(m.logs(cli.model) for m in measured)))
    check_weights(measured)
    best = [BestCheckpoint(folder, distance(measured))] if cli.settings["keep_best"] else []
    checkpoint = Checkpoint(folder, cli.settings["checkpoint_every"], best=best[0] if best else None)
    stop = StopOnSignal(checkpoint, seconds(cli.settings["trainer"]["max_time"]))
    return [*measured, AfterMeasurements(cli.callbacks, measured), ProgressReport(), *best, checkpoint, stop]


def _train(
    cli: FitCLI, trainer: Trainer, place: Claim, mirror: WandbMirror, anew: bool = False
) -> tuple[str, str | None]:
    """Train, ``anew`` or from the newest good checkpoint, if any; returns the outcome and its reason."""
    checkpoint = None if anew else newest_good(place.folder / CHECKPOINTS)
    try:
        trainer.fit(cli.model, cli.datamodule, ckpt_path=checkpoint)
    except Diverged as error:
        return DIVERGED, str(error)
    except Stopped as stop:
        mirror.again = wanted_again(stop.signal)
        return KILLED, str(stop)
    except (KeyboardInterrupt, SystemExit):  # a second Ctrl-C
        return KILLED, "interrupted"
    except MisconfigurationException as error:  # of a callback of the user's
        raise UserError(" ".join(str(error).split())) from error
    except RuntimeError as error:
        if "Error(s) in loading state_dict" in str(error):
            raise UserError(
                f"{checkpoint} fits other code, of snlab or your own; --again trains from the start"
            ) from error
        if not_met(error):
            raise UserError(why_not_met(error)) from error
        if not peer_lost(error):
            raise
        return KILLED, LOST
    finally:
        leave_process_group()
    if trainer.global_step >= cli.settings["generator_steps"]:
        return FINISHED, None
    if trainer.should_stop:
        return STOPPED, stopped_by(cli.callbacks)
    return KILLED, "Lightning ended the training"


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
        end = Ending(outcome, reason, trainer.global_step, time_now())
        writer.write_summary(summary(trainer, place.folder, place.identity, end))
        _close(mirror, writer, outcome)


def _compare_machines(place: Claim, device: torch.device) -> None:
    """Say where a run goes on with other threads, or on another device, whose sums round differently."""
    began = Run.read(place.folder).summary.get("machine", machine(device))
    if began != machine(device):
        rank_zero_warn(
            f"the run began on {began} and goes on on {machine(device)}: its numbers are not those of a run "
            "without interruption, bit for bit (OMP_NUM_THREADS sets the threads)"
        )


def _close(mirror: WandbMirror, writer: RunWriter, outcome: str) -> None:
    """End the W&B run. The run's own folder is complete by now: what fails here is said and no more."""
    try:
        checkpoint = newest_good(writer.folder / CHECKPOINTS)
        if mirror.options.checkpoints and checkpoint is not None:
            mirror.upload_checkpoint(checkpoint)
        mirror.close(outcome, failed=outcome not in OVER)
    except Exception as error:
        rank_zero_warn(f"W&B did not take the end of the run: {' '.join(str(error).split())}")
