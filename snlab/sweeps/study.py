"""The tasks of a sweep in an Optuna study: each claimed by one executor, none lost, none run twice.

Every attempt at a task is a trial of the study. A task that has neither ended nor is waiting or running gets
a waiting trial: this one rule starts a sweep, tries failed runs again and takes over from a dead executor.
One executor at a time applies it, see storage.py.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import optuna
from optuna.pruners import BasePruner, HyperbandPruner, NopPruner
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler
from optuna.storages import fail_stale_trials
from optuna.trial import FrozenTrial, Trial, TrialState

from snlab.core.errors import UserError, nearest
from snlab.sweeps.attempts import (
    ATTEMPT,
    CONFIGURATION,
    ERROR,
    FAILURE,
    FINAL,
    FOLDER,
    FURTHER,
    GIVEN_BACK,
    LIVE,
    OUTCOME,
    REASON,
    SAVED_STEP,
    TASK,
    Failure,
    Task,
    spent,
    standing,
    used_up,
)
from snlab.sweeps.document import Sweep
from snlab.sweeps.storage import Storage, no_warning, reached

LAYOUT = 2  # of what is stored; studies of another are left alone
# Of the study: the trials that do not count, for their run is gone, or was to be tried again, or got further.
IGNORED = "ignored"
STOPPED_EARLY = "stopped early"
SAMPLERS = ("tpe", "gp")


@dataclass
class Claimed:
    """A trial that is this executor's: an attempt at a task."""

    trial: Trial
    task: int
    attempt: int
    configuration: dict[str, Any]


class Study:
    """The tasks of one sweep, shared by every executor that opens the same storage.

    What is asked of it raises StudyLostError where its database cannot be reached any more.

    Args:
        sweep: the sweep file.
        key: what tells its trials from those of a changed file, or of changed experiments.
        configurations: of each task; None for a bayesian search, whose sampler chooses.
        count: how many tasks.
        storage: SQLAlchemy's URL of a database.
        lease: seconds after which a silent executor's trials are taken over.
        attempts: how often a task is tried.
        sampler: of a bayesian search, ``tpe`` or ``gp``.
        saved_step: the generator step that the run in a folder, given by name, can go on from.
    """

    def __init__(
        self,
        sweep: Sweep,
        key: str,
        configurations: Sequence[Mapping[str, Any]] | None,
        count: int,
        storage: str,
        lease: int,
        attempts: int = 3,
        sampler: str = "tpe",
        saved_step: Callable[[str], int] = lambda _: 0,
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.sweep = sweep
        self.configurations = configurations
        self.count = count
        self.lease = lease
        self.attempts = attempts
        self._search = sampler
        self._saved_step = saved_step
        self.storage = Storage(storage, lease)
        self._create(f"{sweep.name}-{key}-{LAYOUT}")

    @reached
    def _create(self, name: str) -> None:
        with self.storage.alone():
            self.study = optuna.create_study(
                study_name=name,
                storage=self.storage.trials,
                direction=self.sweep.metric.goal if self.sweep.metric else "minimize",
                sampler=_sampler(self.sweep, self._search, 0),
                pruner=_pruner(self.sweep),
                load_if_exists=True,
            )

    # ---- claiming ---------------------------------------------------------------------------------------

    @reached
    def claim(self) -> Claimed | None:
        """A trial for the caller alone; None where none is waiting, or wanted any more."""
        with self.storage.alone():
            self._fail_silent()
            if self._target_reached():
                return None
            self._fill_tasks()
            waiting = self._trials(TrialState.WAITING)
            if not waiting:
                return None
            # A seed for each task: executors of one seed, or one that is started again, would draw the same.
            self.study.sampler = _sampler(self.sweep, self._search, waiting[0].user_attrs[TASK])
            # Before it runs: Optuna passes over a running trial that never had a heartbeat.
            self.storage.trials.record_heartbeat(waiting[0]._trial_id)
            with no_warning():  # that heartbeats are its own loop's affair: here they are beat()'s
                trial = self.study.ask()
            said = self._frozen(trial).user_attrs
            if self.configurations is None:
                configuration = {p.name: p.suggest(trial) for p in self.sweep.parameters}
            else:
                configuration = dict(self.configurations[said[TASK]])
            trial.set_user_attr(CONFIGURATION, json.dumps(configuration))
            return Claimed(trial, said[TASK], said[ATTEMPT], configuration)

    @reached
    def begin(self, claimed: Claimed, folder: str) -> None:
        """Note its run's folder, and how far that is: an attempt that gets further from there costs none."""
        claimed.trial.set_user_attr(SAVED_STEP, self._saved_step(folder))
        claimed.trial.set_user_attr(FOLDER, folder)

    @reached
    def beat(self, claimed: Claimed) -> None:
        """Renew the lease of a trial that is still being worked on."""
        self.storage.trials.record_heartbeat(claimed.trial._trial_id)

    @reached
    def is_mine(self, claimed: Claimed) -> bool:
        """Whether the trial is still this executor's: its lease may have run out while a machine slept."""
        return self._frozen(claimed.trial).state == TrialState.RUNNING

    @reached
    def hopeless(self, claimed: Claimed, value: float, iteration: int) -> bool:
        """Whether Hyperband wants a run stopped, of which ``value`` was logged as the ``iteration``-th."""
        claimed.trial.report(value, step=iteration)
        return claimed.trial.should_prune()

    # ---- ending -----------------------------------------------------------------------------------------

    @reached
    def done(self, claimed: Claimed, outcome: str, score: float | None) -> None:
        """A result: a finished run's last value of the metric, or the worst score there is without one."""
        worst = self.sweep.metric.worst if self.sweep.metric else math.inf
        claimed.trial.set_user_attr(OUTCOME, outcome)
        self.study.tell(claimed.trial, worst if score is None or math.isnan(score) else score)

    @reached
    def pruned(self, claimed: Claimed) -> None:
        """Stopped early: it would not have been among the best."""
        claimed.trial.set_user_attr(OUTCOME, STOPPED_EARLY)
        self.study.tell(claimed.trial, state=TrialState.PRUNED)

    @reached
    def failed(self, claimed: Claimed, failure: Failure) -> Task:
        """A failure; returns where its task stands now, ``failed`` or ``waiting`` to be tried again."""
        trial = claimed.trial
        trial.set_user_attr(FAILURE, failure.kind)
        trial.set_user_attr(REASON, failure.reason)
        if failure.kind == ERROR:
            trial.set_user_attr(FINAL, self.attempts)
        if self._got_further(trial.user_attrs):
            trial.set_user_attr(FURTHER, True)
        self.study.tell(trial, state=TrialState.FAIL)
        return self.tasks()[claimed.task]

    @reached
    def give_back(self, claimed: Claimed) -> None:
        """Let another executor, or the next, go on with it."""
        claimed.trial.set_user_attr(FAILURE, GIVEN_BACK)
        self.study.tell(claimed.trial, state=TrialState.FAIL)

    @reached
    def reopen(self, tasks: Iterable[int]) -> None:
        """Have these tasks run again, with all their attempts, whatever became of them."""
        with self.storage.alone():
            by_task = self._by_task()
            found = [by_task.get(task, []) for task in tasks]
            # Another executor may have reopened a task before, and be running it.
            idle = [trials for trials in found if all(t.state != TrialState.RUNNING for t in trials)]
            self._ignore({t.number for trials in idle for t in trials if t.state.is_finished()})

    # ---- how it stands ----------------------------------------------------------------------------------

    @reached
    def tasks(self) -> list[Task]:
        """Where each task stands."""
        by_task = self._by_task()
        tasks = [standing(number, by_task.get(number, []), self.attempts) for number in range(self.count)]
        if self._target_reached():
            return [replace(task, state="not needed") if task.state == "waiting" else task for task in tasks]
        return tasks

    def _target_reached(self) -> bool:
        metric = self.sweep.metric
        if metric is None or metric.target is None:
            return False
        kept = [t for trials in self._by_task().values() for t in trials if t.state == TrialState.COMPLETE]
        scores = [t.value for t in kept if t.value is not None]
        return any(not metric.better(metric.target, score) for score in scores)

    def _by_task(self) -> dict[int, list[FrozenTrial]]:
        found: dict[int, list[FrozenTrial]] = {}
        ignored = self._ignored()
        for trial in self._trials():
            if trial.number not in ignored:
                found.setdefault(trial.user_attrs[TASK], []).append(trial)
        return found

    def _ignored(self) -> set[int]:
        return set(self.study.user_attrs.get(IGNORED, []))

    def _ignore(self, trials: set[int]) -> None:
        if trials:
            self.study.set_user_attr(IGNORED, sorted(trials | self._ignored()))

    def _trials(self, *states: TrialState) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False, states=states or None)

    def _frozen(self, trial: Trial) -> FrozenTrial:
        return self.storage.trials.get_trial(trial._trial_id)

    # ---- keeping every task filled ----------------------------------------------------------------------

    def _fill_tasks(self) -> None:
        by_task = self._by_task()
        chosen = {t.user_attrs[TASK]: t.params for t in self._trials()}  # a search's choice stays
        for task in range(self.count):
            trials = by_task.get(task, [])
            if any(trial.state in LIVE for trial in trials) or used_up(trials, self.attempts):
                continue
            attributes = {TASK: task, ATTEMPT: 1 + spent(trials)}
            self.study.enqueue_trial(chosen.get(task, {}), user_attrs=attributes)

    def _fail_silent(self) -> None:
        """Fail the trials whose executor has not been heard of for longer than the lease.

        An ended trial takes no more attributes: the study keeps which of them got further.
        """
        running = {trial.number for trial in self._trials(TrialState.RUNNING)}
        with no_warning():
            fail_stale_trials(self.study)
        lost = [t for t in self._trials(TrialState.FAIL) if t.number in running]
        self._ignore({t.number for t in lost if self._got_further(t.user_attrs)})

    def _got_further(self, said: Mapping[str, Any]) -> bool:
        return FOLDER in said and self._saved_step(said[FOLDER]) > said[SAVED_STEP]


# ---- searching ------------------------------------------------------------------------------------------


def _sampler(sweep: Sweep, sampler: str, task: int) -> BaseSampler:
    if sweep.method != "bayes":
        return RandomSampler()  # never asked: what is run is known beforehand
    if sampler not in SAMPLERS:
        raise UserError(f"unknown --sampler {sampler!r}; {nearest(sampler, SAMPLERS)}")
    seed = int.from_bytes(hashlib.sha256(f"{sweep.digest}/{task}".encode()).digest()[:4])
    # Runs that are under way count as if they had gone badly: workers spread out.
    return TPESampler(seed=seed, constant_liar=True) if sampler == "tpe" else GPSampler(seed=seed)


def _pruner(sweep: Sweep) -> BasePruner:
    if sweep.hyperband is None:
        return NopPruner()
    last = sweep.hyperband.last if sweep.hyperband.last is not None else "auto"
    return HyperbandPruner(sweep.hyperband.first, last, sweep.hyperband.eta)
