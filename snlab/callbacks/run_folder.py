"""A run folder for anybody's LightningModule: ``Trainer(logger=RunFolder(...))``."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.trainer.states import TrainerFn
from pytorch_lightning.utilities import rank_zero_only, rank_zero_warn
from torch import nn

from snlab.callbacks.losses import Diverged
from snlab.callbacks.steps import Steps, steps_of
from snlab.callbacks.summary import Course, Ending, stopped_by, summary
from snlab.core.errors import UserError
from snlab.core.names import GENERATOR_STEP
from snlab.core.text import time_now
from snlab.tracking.configuration import Told, configuration, plain
from snlab.tracking.identity import identity
from snlab.tracking.places import LOCK, folder_words, move_aside, told
from snlab.tracking.run_folder import (
    CHECKPOINTS,
    CONFIG,
    DIVERGED,
    FAILED,
    FINISHED,
    KILLED,
    METRICS,
    OVER,
    STOPPED,
    Run,
    RunWriter,
)
from snlab.tracking.run_folder_logger import RunFolderLogger

# Options of the Trainer that can change a number, where they are not as here.
TRAINER_DEFAULTS: dict[str, Any] = {
    "precision": "32-true",
    "accumulate_grad_batches": 1,
    "gradient_clip_val": None,
    "gradient_clip_algorithm": None,
    "limit_train_batches": 1.0,
    "overfit_batches": 0.0,
}


class RunFolder(RunFolderLogger):
    """Leaves a run folder that ``snlab table``, ``figure`` and ``report`` read like any other.

        Trainer(logger=RunFolder("runs", dataset="faces", normalizer="spectral_norm", loss="hinge", seed=0,
                                 generator_steps=10_000), callbacks=[Sigma(probe), Ratio(probe)])

    The module has a ``generator``, whose updates are the steps of everything that is logged, and which an
    optimizer of ``configure_optimizers`` holds; the callbacks look at its ``discriminator``. Training ends
    after ``generator_steps`` updates, whatever Lightning's ``max_steps`` counts. What the module logs by
    ``self.log``, and what ``save_hyperparameters`` saved, are the run's too.

    The folder is RUNS/DATASET-NORMALIZER-seedN-IDENTITY, the identity the hash of what is given here, of the
    hyperparameters and of the Trainer's options that change numbers. So the same trial finds its own folder:

    - where it is over, ``Trainer.fit`` raises UserError, unless it is to be trained ``again``;
    - where it is not, ``Trainer.fit(..., ckpt_path=...)`` goes on with it. Checkpoints that have no other
      place are in its folder.

    Args:
        runs: the folder of run folders.
        dataset: what the data set is called. Runs of one data set are compared.
        normalizer: what the discriminator's normalizer is called, with its options; ``none`` for none.
        loss: what the adversarial loss is called; ``standard`` says that logits estimate log density ratios.
        seed: of the run. It is not set here: see ``seed_everything``.
        generator_steps: how many updates the generator is to have.
        network: what the architecture is called.
        n_dis: discriminator updates a generator update.
        again: train anew what is over, or unfinished and not gone on with; the old folder is kept beside it
            as FOLDER.before-1.

    Raises:
        UserError: for a value that is none of these, or one that a hyperparameter of that name contradicts.
    """

    def __init__(
        self,
        runs: str | Path,
        *,
        dataset: str,
        normalizer: str,
        loss: str,
        seed: int,
        generator_steps: int,
        network: str | None = None,
        n_dis: int | None = None,
        again: bool = False,
    ) -> None:
        self._told = Told(dataset, normalizer, loss, seed, generator_steps, network, n_dis)
        self._told.check()
        self._words = folder_words(dataset, normalizer, seed)
        super().__init__(RunWriter(Path(runs) / self._words))
        self.runs = Path(runs)
        self.generator_steps = generator_steps
        self.again = again
        self._hyperparameters: dict[str, Any] = {}
        self._lock: FileLock | None = None
        self._run: _InProgress | None = None
        self._end: Ending | None = None
        self.recorded = 0  # the last step that something was logged at
        self._course = Course(None, 0.0)

    @property
    def folder(self) -> Path:
        """The run's folder, once training has begun; before that its name has no identity yet."""
        return self.writer.folder

    @property
    def save_dir(self) -> str:
        """Where others write what they like: not among the runs, where it would be taken for one."""
        return "."

    # ---- the beginning ------------------------------------------------------------------------------

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Take them into the run's configuration: before training, as Lightning does."""
        if self._run is None:
            given = plain(params)  # LightningCLI's notes to itself begin with an underscore
            self._hyperparameters |= {name: given[name] for name in given if not name.startswith("_")}

    def log_graph(self, model: nn.Module, *args: Any) -> None:
        """Begin the run: Lightning calls this in every process, before training, and first tells the module.

        UserError where the folder holds it already, over, or unfinished and this does not go on with it.
        """
        assert isinstance(model, LightningModule)
        trainer = model.trainer
        if trainer.state.fn != TrainerFn.FITTING:
            return
        problem: str | None = None
        if trainer.is_global_zero:
            try:
                self._begin(trainer, model)
            except UserError as error:
                problem = str(error)
        problem, folder = trainer.strategy.broadcast((problem, str(self.folder)))
        if problem is not None:
            raise UserError(problem)
        self.writer = RunWriter(folder)
        unnamed = Path(self.save_dir) / self._words / CHECKPOINTS
        for callback in trainer.checkpoint_callbacks:
            if isinstance(callback, ModelCheckpoint) and Path(callback.dirpath or "") == unnamed:
                callback.dirpath = str(self.folder / CHECKPOINTS)
        self._run = _InProgress(trainer, steps_of(trainer, model), time.perf_counter())
        self._end = None
        callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
        callbacks[:] = [c for c in callbacks if not isinstance(c, _Ends)] + [_Ends(self)]

    def _begin(self, trainer: Trainer, module: LightningModule) -> None:
        config = self._config(trainer, module)
        folder = self.runs / f"{self._words}-{identity(config)}"
        with told(folder, "written"):
            before = Run.read(folder) if (folder / CONFIG).exists() else None
            if before is not None and self.again and trainer.ckpt_path is None:
                move_aside(folder)
                before = None
            if before is not None:
                _check_unfinished(before, trainer.ckpt_path is not None)
            folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(folder / LOCK)
            lock.acquire(timeout=0)
        self._lock, self.writer = lock, RunWriter(folder)
        self._course = Course(time_now(), 0.0)
        if before is None:
            self.writer.write_config(config)
        elif (folder / METRICS).exists():
            self._course = Course(before.summary.get("begun"), float(before.summary.get("seconds") or 0))

    def _config(self, trainer: Trainer, module: LightningModule) -> dict[str, Any]:
        options = {name: plain(getattr(trainer, name, None)) for name in TRAINER_DEFAULTS}
        changed = {name: value for name, value in options.items() if value != TRAINER_DEFAULTS[name]}
        return configuration(self._told, type(module).__name__, self._hyperparameters, changed)

    # ---- in between ---------------------------------------------------------------------------------

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Record numbers at the present generator update: ``step`` is Lightning's own, and not used.

        Of ``Trainer.validate`` and ``test`` only where they come after ``fit``, as of its last update.
        """
        if self._run is None:
            rank_zero_warn(
                "RunFolder leaves out what is logged with no run begun: by Trainer.fit, and not by "
                "Trainer(enable_autolog_hparams=False)"
            )
            return
        self.recorded = self._run.steps.now
        self.writer.append_metrics(self.recorded, plain(metrics))
        if self._end is not None and self._lock is None:
            self._write_summary(self._run, self._end)

    # ---- the end ------------------------------------------------------------------------------------

    def ends(self, outcome: str, reason: str | None) -> None:
        """Remember how the run has ended; the last word counts, and ``finalize`` writes it down."""
        assert self._run is not None
        self._end = Ending(outcome, reason, self._run.steps.now, time_now())

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write ``summary.json``: Lightning calls this once training has ended, however it did."""
        if self._run is None or self._lock is None:
            return
        if self._end is not None:
            seconds = self._course.seconds + time.perf_counter() - self._run.began
            self._course = self._course._replace(seconds=seconds)
            self._write_summary(self._run, self._end)
        self._lock.release()
        self._lock = None

    def _write_summary(self, run: _InProgress, end: Ending) -> None:
        name = self.folder.name.rpartition("-")[2]
        self.writer.write_summary(summary(run.trainer, self.folder, name, end, self._course))


def _check_unfinished(run: Run, resumed: bool) -> None:
    """UserError where a run is over, or has begun and this does not go on with it."""
    if run.outcome in OVER:
        raise UserError(
            f"run folder {run.folder} holds this run, {run.outcome} at generator step "
            f"{run.summary.get(GENERATOR_STEP)}; RunFolder(again=True) trains it from the start"
            f"{', without ckpt_path' if resumed else ''}"
        )
    if not resumed and (run.folder / METRICS).exists():
        raise UserError(
            f"run folder {run.folder} holds this run, unfinished; Trainer.fit(ckpt_path=...) goes on with "
            "it, RunFolder(again=True) trains it from the start"
        )


class _InProgress(NamedTuple):
    trainer: Trainer
    steps: Steps
    began: float  # by time.perf_counter()


class _Ends(Callback):
    """Ends a run after its last update, and tells its logger how it ended."""

    def __init__(self, logger: RunFolder) -> None:
        self.logger = logger

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.steps = steps_of(trainer, pl_module)
        if trainer.is_global_zero:
            self.logger.writer.go_on_from(self.steps.now)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self.steps.now >= self.logger.generator_steps:
            trainer.should_stop = True

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        now, total = self.steps.now, self.logger.generator_steps
        if now >= total:
            if self.logger.recorded < now:
                self.logger.log_metrics({})  # a record that ends before the last update is damaged
            self.logger.ends(FINISHED, None)
        elif trainer.should_stop:
            self.logger.ends(STOPPED, stopped_by(trainer.callbacks))  # type: ignore[attr-defined]
        else:
            reason = f"the Trainer's own limit ended it after {now} of {total} generator updates"
            self.logger.ends(KILLED, reason)
            rank_zero_warn(f"{self.logger.folder}: {reason}; its max_steps counts every optimizer's steps")

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        words = " ".join(str(exception).split())
        if isinstance(exception, Diverged):
            self.logger.ends(DIVERGED, words)
        elif isinstance(exception, KeyboardInterrupt | SystemExit):
            self.logger.ends(KILLED, words or "interrupted")
        else:
            self.logger.ends(FAILED, f"{type(exception).__name__}: {words}")
