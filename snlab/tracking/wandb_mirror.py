"""W&B as a mirror of a run folder: it may fail without harming the run."""

from __future__ import annotations

import contextlib
import io
import math
import os
import re
from argparse import Namespace
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lightning_fabric.loggers.logger import rank_zero_experiment
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.utilities import rank_zero_only, rank_zero_warn
from torch import Tensor

from snlab.core import names
from snlab.tracking.run_folder import KILLED, Run, RunWriter
from snlab.tracking.sample_pictures import density_map, image_grid
from snlab.tracking.wandb_agent_run import beside, parameters, run_id, wanted_again
from snlab.tracking.wandb_record import RECORD, written
from snlab.tracking.wandb_tables import Tables

INIT_TIMEOUT_SECONDS = 10.0
# Of the many WANDB_ variables, those by which an agent says which run of which sweep this is.
NAMES_THE_RUN = {
    f"WANDB_{name}" for name in ("RUN_ID", "SWEEP_ID", "SWEEP_PARAM_PATH", "PROJECT", "ENTITY", "SERVICE")
}


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

    Disabled, it imports nothing of W&B's: that takes a process a second or two.
    """

    def __init__(self, options: WandbOptions, folder: Path, identity: str, config: dict[str, Any]) -> None:
        super().__init__(project=options.project, save_dir=str(folder), id=identity)
        self.options = options
        self.folder = folder
        self.identity = identity
        self.config = config
        self.again = False  # whether a sweep is to give the run, which is not over, to an agent again
        self.tables = Tables(Run(folder, config, {}))
        self._lost = _disabled(options.mode)

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The W&B run; None where W&B does not start, or is not to."""
        if self._experiment is None and not self._lost:
            self._experiment = self._start()
            self._lost = self._experiment is None
        return self._experiment

    def _start(self) -> Any:
        """The W&B run that was asked for, else an offline one, else None; said where it is not as asked."""
        try:
            return self._init(self.options.mode)
        except (Exception, SystemExit) as error:
            reason = _reason(error)
        try:
            with _unasked():  # what it does not start with may stand in a variable
                run = self._init("offline")
            rank_zero_warn(f"W&B does not start ({reason}); the run goes on, mirrored offline")
            return run
        except (Exception, SystemExit):
            rank_zero_warn(f"W&B does not start ({reason}); the run goes on without")
            return None

    def _init(self, mode: str) -> Any:
        try:
            with contextlib.redirect_stderr(io.StringIO()):  # what it says is ours to say, in one line
                import wandb

                options: dict[str, Any] = {"quiet": True, "silent": True, "console": "off"}
                run = wandb.init(
                    mode=_mode(wandb) if mode == "auto" else mode,  # type: ignore[arg-type]
                    settings=wandb.Settings(init_timeout=INIT_TIMEOUT_SECONDS, **options),
                    **self._arguments(),
                )
                run.define_metric(names.GENERATOR_STEP)
                run.define_metric("*", step_metric=names.GENERATOR_STEP)
                if isinstance(run.url, str) and run.url:  # it is online
                    with contextlib.suppress(OSError):
                        RunWriter(self.folder).write_wandb_url(run.url)
                run.summary[RECORD] = written(self.folder, self.config)
                return run
        except (Exception, SystemExit):
            _forget()
            raise

    def _arguments(self) -> dict[str, Any]:
        """What ``wandb.init`` is told of the run."""
        arguments: dict[str, Any] = {
            "group": self.options.group,
            "name": self.folder.name,
            "resume": "allow",
            "dir": str(self.folder),
        }
        if run_id() is not None:  # the agent's environment says where the run belongs
            return arguments | {"config": beside(self.config, parameters())}
        place = {"project": self.options.project, "entity": self.options.entity, "id": self.identity}
        return arguments | place | {"config": self.config}

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace) -> None:
        """The complete configuration was given at the start."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        run = self.experiment
        if self._lost:
            return
        self.tables.note(metrics, step)
        try:
            run.log({name: _shown(value) for name, value in metrics.items()} | {names.GENERATOR_STEP: step})
        except Exception as error:
            self._lost = True
            rank_zero_warn(
                f"W&B is lost at generator step {step} ({_reason(error)}); the run goes on without"
            )

    @rank_zero_only
    def log_samples(self, samples: Tensor, step: int, columns: int | None = None) -> None:
        """One image a call: the grid, or where samples are points a map of where they lie."""
        if self.experiment is None:
            return
        picture = image_grid(samples, columns) if samples.ndim == 4 else density_map(samples)
        try:
            import wandb

            image = wandb.Image(picture.permute(1, 2, 0).numpy())
        except Exception as error:  # its temporary folder, for one, may be cleared away in a long run
            rank_zero_warn(f"W&B lacks the samples of generator step {step} ({_reason(error)})")
            return
        self.log_metrics({names.SAMPLES: image}, step)

    @rank_zero_only
    def upload_checkpoint(self, path: Path) -> None:
        """Keep a checkpoint as an artifact of the run."""
        if self.experiment is None:
            return
        import wandb

        artifact = wandb.Artifact(f"checkpoint-{self.identity}", type="model")
        artifact.add_file(str(path))
        self.experiment.log_artifact(artifact)

    @rank_zero_only
    def close(self, outcome: str, failed: bool, tables: bool = True) -> None:
        """End the W&B run, if one was started, with its tables unless they are there."""
        if self._experiment is not None:
            self._experiment.summary[names.OUTCOME] = outcome
            self._experiment.summary[RECORD] = written(self.folder, self.config)
            if self.again:
                self._experiment.mark_preempting()
            elif tables:
                self._log_tables(outcome)
            self._experiment.finish(exit_code=int(failed))

    def _log_tables(self, outcome: str) -> None:
        """What charts across runs are drawn from: W&B's own read no list of numbers but a table's column."""
        run = self.experiment
        if self._lost:
            return
        try:
            import wandb

            for name, (columns, rows) in self.tables.made(outcome).items():
                table = wandb.Table(columns=[*columns], data=rows)
                run.log({name: table, names.GENERATOR_STEP: self.tables.step})
        except Exception as error:  # its temporary folder, for one, may be cleared away in a long run
            rank_zero_warn(f"W&B lacks the tables of the run ({_reason(error)})")

    @rank_zero_only
    def give_back(self, number: int) -> None:
        """Hand a run that a signal stopped before it had begun back to its sweep, if the signal means so."""
        self.again = wanted_again(number)
        try:
            if self.again and self.experiment is not None:
                self.close(KILLED, failed=True)
        except Exception as error:
            rank_zero_warn(f"W&B did not take the end of the run: {_reason(error)}")

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
        if mirror.experiment is None:
            return
        shown = mirror.experiment.summary.get(names.GENERATOR_STEP, -1)
        for step, row in run.rows.items():
            values = {name: _with_nan(value) for name, value in row.items()}
            if step > shown:
                mirror.log_metrics(values, step)
            else:
                mirror.tables.note(values, step)
        mirror.close(run.outcome, failed=False, tables=any(step > shown for step in run.rows))
    except Exception as error:
        rank_zero_warn(f"W&B does not show the run, which is over ({_reason(error)})")


def _with_nan(value: Any) -> Any:
    """A value read from a run folder, where null stands for what is not finite."""
    if isinstance(value, list):
        return [_with_nan(v) for v in value]
    return math.nan if value is None else value


def _shown(value: Any) -> Any:
    """A logged value as W&B is given it: a list of numbers as their histogram."""
    import wandb

    return wandb.Histogram(value) if isinstance(value, list) and value else value


def _disabled(mode: str) -> bool:
    return (os.environ.get("WANDB_MODE") if mode == "auto" else mode) == "disabled"


def _mode(wandb: Any) -> str:
    """Of ``auto``: what WANDB_MODE says, else online where somebody is logged in."""
    return os.environ.get("WANDB_MODE") or (
        "online" if wandb.login(prompt=False, verify=False) else "offline"
    )


@contextlib.contextmanager
def _unasked() -> Iterator[None]:
    """Inside, the environment asks nothing of W&B, beyond what names the run below an agent."""
    hidden = {name: os.environ.pop(name) for name in list(os.environ) if _asks(name)}
    try:
        yield
    finally:
        os.environ.update(hidden)


def _asks(name: str) -> bool:
    return name.startswith("WANDB_") and name not in NAMES_THE_RUN


def _forget() -> None:
    """Have W&B start anew after a failure: its service holds on to the identity that it failed to open."""
    with contextlib.suppress(Exception):
        import wandb

        wandb.teardown()
    os.environ.pop("WANDB_SERVICE", None)


def _reason(error: BaseException) -> str:
    """An error in one line, without pydantic's address of further reading."""
    text = re.sub(r"For further information visit \S+", "", str(error))
    return " ".join(text.split()) or type(error).__name__
