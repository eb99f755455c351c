"""W&B as a mirror of a run folder: it may fail without harming the run."""

from __future__ import annotations

import math
import os
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lightning_fabric.loggers.logger import rank_zero_experiment
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.utilities import rank_zero_only, rank_zero_warn
from torch import Tensor

from snlab.core import names
from snlab.tracking.run_folder import Run
from snlab.tracking.sample_pictures import density_map, image_grid
from snlab.tracking.wandb_agent_run import beside, parameters, run_id

INIT_TIMEOUT_SECONDS = 10.0


@dataclass
class WandbOptions:
    """How a run is mirrored to W&B.

    Args:
        mode: ``auto`` is online where the user is logged in, else offline without a question.
        project: the W&B project.
        entity: the W&B user or team; the account's default if null.
        group: what the run is shown with.
        checkpoints: upload the last checkpoint as an artifact.
    """

    mode: Literal["auto", "online", "offline", "disabled"] = "auto"
    project: str = "snlab"
    entity: str | None = None
    group: str | None = None
    checkpoints: bool = False


class WandbMirror(WandbLogger):
    """The same to W&B, with ``generator_step`` as the x axis of everything.

    Losing W&B never harms a run: where it cannot be reached at the start the mirror is written offline, and
    where it fails later the run goes on without.

    Under a W&B agent the server names the run, and its sweep's parameters are not said again.
    """

    def __init__(self, options: WandbOptions, folder: Path, identity: str, config: dict[str, Any]) -> None:
        super().__init__(project=options.project, save_dir=str(folder), id=identity)
        self.options = options
        self.folder = folder
        self.identity = identity
        self.config = config
        self.again = False  # whether a sweep is to give the run, which is not over, to an agent again
        self._lost = False

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        if self._experiment is None:
            self._experiment = self._start()
            self._experiment.define_metric(names.GENERATOR_STEP)
            self._experiment.define_metric("*", step_metric=names.GENERATOR_STEP)
        return self._experiment

    def _start(self) -> Any:
        import wandb

        mode = self.options.mode
        if mode == "auto":
            mode = _mode(os.environ.get("WANDB_MODE", ""), wandb)
        arguments: dict[str, Any] = {
            "group": self.options.group,
            "name": self.folder.name,
            "resume": "allow",
            "dir": str(self.folder),
        }
        if run_id() is None:
            place = {"project": self.options.project, "entity": self.options.entity, "id": self.identity}
            arguments |= place | {"config": self.config}
        else:  # the agent's environment says where the run belongs
            arguments["config"] = beside(self.config, parameters())
        settings = wandb.Settings(init_timeout=INIT_TIMEOUT_SECONDS, quiet=True, silent=True, console="off")
        for attempt in dict.fromkeys((mode, "offline", "disabled")):
            try:
                return wandb.init(mode=attempt, settings=settings, **arguments)
            except Exception as error:
                rank_zero_warn(f"W&B does not start {attempt} ({_reason(error)}); the run goes on")
                # Its service holds on to the identity that it failed to open: start another one.
                wandb.teardown()
                os.environ.pop("WANDB_SERVICE", None)
        return None

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace) -> None:
        """The complete configuration was given at the start."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        import wandb

        row = {
            name: wandb.Histogram(value) if isinstance(value, list) and value else value
            for name, value in metrics.items()
        }
        if self._lost:
            return
        try:
            self.experiment.log({**row, names.GENERATOR_STEP: step})
        except Exception as error:
            self._lost = True
            rank_zero_warn(
                f"W&B is lost at generator step {step} ({_reason(error)}); the run goes on without"
            )

    @rank_zero_only
    def log_samples(self, samples: Tensor, step: int) -> None:
        """One image a call: the grid, or where samples are points a map of where they lie."""
        import wandb

        picture = image_grid(samples) if samples.ndim == 4 else density_map(samples)
        try:
            image = wandb.Image(picture.permute(1, 2, 0).numpy())
        except Exception as error:  # its temporary folder, for one, may be cleared away in a long run
            rank_zero_warn(f"W&B lacks the samples of generator step {step} ({_reason(error)})")
            return
        self.log_metrics({"samples": image}, step)

    @rank_zero_only
    def upload_checkpoint(self, path: Path) -> None:
        """Keep a checkpoint as an artifact of the run."""
        import wandb

        artifact = wandb.Artifact(f"checkpoint-{self.identity}", type="model")
        artifact.add_file(str(path))
        self.experiment.log_artifact(artifact)

    @rank_zero_only
    def close(self, outcome: str, failed: bool) -> None:
        """End the W&B run, if one was started."""
        if self._experiment is not None:
            self._experiment.summary["outcome"] = outcome
            if self.again:
                self._experiment.mark_preempting()
            self._experiment.finish(exit_code=int(failed))

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """``close`` ends the run, once its outcome is known."""


@rank_zero_only
def replay(run: Run, options: WandbOptions, config: dict[str, Any]) -> None:
    """Show a run that was over before a W&B agent asked for it: the rows that W&B lacks, and the outcome."""
    if run_id() is None:
        return
    mirror = WandbMirror(options, run.folder, str(run.summary.get("identity")), config)
    try:
        shown = mirror.experiment.summary.get(names.GENERATOR_STEP, -1)
        for step, row in run.rows.items():
            if step > shown:
                mirror.log_metrics({name: _with_nan(value) for name, value in row.items()}, step)
        mirror.close(run.outcome, failed=False)
    except Exception as error:
        rank_zero_warn(f"W&B does not show the run, which is over ({_reason(error)})")


def _with_nan(value: Any) -> Any:
    """A value read from a run folder, where null stands for what is not finite."""
    if isinstance(value, list):
        return [_with_nan(v) for v in value]
    return math.nan if value is None else value


def _mode(environment: str, wandb: Any) -> Literal["online", "offline", "disabled"]:
    if environment in ("online", "offline", "disabled"):
        return environment  # type: ignore[return-value]
    return "online" if wandb.login(prompt=False, verify=False) else "offline"


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
