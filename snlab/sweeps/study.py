"""The trials of a sweep in an Optuna study: each claimed by one executor, none lost, none run twice.

Every trial has a place, numbered from 0. A place that has neither ended nor is waiting or running gets a
waiting trial: this one rule starts a sweep, tries failed runs again and takes over from a dead executor. One
executor at a time applies it: a lock file beside SQLite's database keeps the others out, or an advisory lock
of PostgreSQL, and both end with the process that holds them. (Optuna's own claim is a read and then a write,
which SQLite does not keep together.)
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import optuna
import sqlalchemy
from filelock import FileLock
from optuna.pruners import BasePruner, HyperbandPruner, NopPruner
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler
from optuna.storages import RDBStorage, fail_stale_trials
from optuna.trial import FrozenTrial, Trial, TrialState

from snlab.core.errors import UserError, nearest
from snlab.sweeps.document import Sweep
from snlab.sweeps.sqlite import path_of

PLACE, ATTEMPT, FAILURE, OUTCOME = "place", "attempt", "failure", "outcome"
CONFIGURATION = "configuration"
GONE = "gone"  # of the study: the trials whose runs are no longer there
GIVEN_BACK = "given back"  # by an executor that was told to stop: no attempt
LOST = "lost"  # its executor went silent
STOPPED_EARLY = "stopped early"
LIVE = (TrialState.WAITING, TrialState.RUNNING, TrialState.COMPLETE, TrialState.PRUNED)
ADVISORY_LOCK = 0x736E6C6162  # any number that others hardly choose: "snlab"
SAMPLERS = ("tpe", "gp")


@dataclass
class Claimed:
    """A trial that is this executor's."""

    trial: Trial
    place: int
    attempt: int
    configuration: dict[str, Any]


@dataclass(frozen=True)
class Place:
    """Where one place of the sweep stands.

    Args:
        number: of the place.
        state: ``waiting``, ``running``, ``done``, ``failed``, or ``not needed`` once the target is reached.
        outcome: of a run that has ended, or why the last try failed.
        score: the metric's last value, where it has one.
        configuration: what was run there last, if anything was.
    """

    number: int
    state: str
    outcome: str | None = None
    score: float | None = None
    configuration: Mapping[str, Any] | None = None

    @property
    def ended(self) -> bool:
        return self.state not in ("waiting", "running")


class Study:
    """The places of one sweep, shared by every executor that opens the same storage.

    Args:
        sweep: the sweep file.
        key: what tells its trials from those of a changed file, or of changed experiments.
        configurations: of each place; None for a bayesian search, whose sampler chooses.
        count: how many places.
        storage: SQLAlchemy's URL of a database.
        lease: seconds after which a silent executor's trials are taken over.
        attempts: how often a trial is tried.
        sampler: of a bayesian search, ``tpe`` or ``gp``.
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
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.sweep = sweep
        self.configurations = configurations
        self.count = count
        self.lease = lease
        self.attempts = attempts
        self._search = sampler
        self._alone = _lock(storage)
        with self._alone():
            self._storage = _open(storage, lease)
            self.study = optuna.create_study(
                study_name=f"{sweep.name}-{key}",
                storage=self._storage,
                direction=sweep.metric.goal if sweep.metric else "minimize",
                sampler=_sampler(sweep, sampler, 0),
                pruner=_pruner(sweep),
                load_if_exists=True,
            )

    # ---- claiming ---------------------------------------------------------------------------------------

    def claim(self) -> Claimed | None:
        """A trial for the caller alone; None where none is waiting, or wanted any more."""
        with self._alone():
            _fail_silent(self.study)
            if self._target_reached():
                return None
            self._fill_places()
            waiting = self._trials(TrialState.WAITING)
            if not waiting:
                return None
            # A seed for each place: executors of one seed, or one that is started again, would draw the same.
            self.study.sampler = _sampler(self.sweep, self._search, waiting[0].user_attrs[PLACE])
            # Before it runs: Optuna passes over a running trial that never had a heartbeat.
            self._storage.record_heartbeat(waiting[0]._trial_id)
            with _no_warning():  # that heartbeats are its own loop's affair: here they are beat()'s
                trial = self.study.ask()
            attributes = self._frozen(trial).user_attrs
            if self.configurations is None:
                configuration = {p.name: p.suggest(trial) for p in self.sweep.parameters}
            else:
                configuration = dict(self.configurations[attributes[PLACE]])
            trial.set_user_attr(CONFIGURATION, json.dumps(configuration))
            return Claimed(trial, attributes[PLACE], attributes[ATTEMPT], configuration)

    def beat(self, trial: Trial) -> None:
        """Renew the lease of a trial that is still being worked on."""
        self._storage.record_heartbeat(trial._trial_id)

    def is_mine(self, trial: Trial) -> bool:
        """Whether the trial is still this executor's: its lease may have run out while a machine slept."""
        return self._frozen(trial).state == TrialState.RUNNING

    # ---- ending -----------------------------------------------------------------------------------------

    def done(self, claimed: Claimed, outcome: str, score: float | None) -> None:
        """A result: a finished run's last value of the metric, or the worst score there is without one."""
        worst = self.sweep.metric.worst if self.sweep.metric else math.inf
        claimed.trial.set_user_attr(OUTCOME, outcome)
        self.study.tell(claimed.trial, worst if score is None or math.isnan(score) else score)

    def pruned(self, claimed: Claimed) -> None:
        """Stopped early: it would not have been among the best."""
        claimed.trial.set_user_attr(OUTCOME, STOPPED_EARLY)
        self.study.tell(claimed.trial, state=TrialState.PRUNED)

    def failed(self, claimed: Claimed, failure: str, final: bool) -> None:
        """A failure; ``final`` where trying again would only repeat it."""
        claimed.trial.set_user_attr(FAILURE, failure)
        if final:
            claimed.trial.set_user_attr("final", True)
        self.study.tell(claimed.trial, state=TrialState.FAIL)

    def give_back(self, claimed: Claimed) -> None:
        """Let another executor, or the next, go on with it."""
        self.failed(claimed, GIVEN_BACK, final=False)

    def reopen(self, places: Iterable[int]) -> None:
        """Have these places run again: their runs are gone."""
        with self._alone():
            by_place = self._by_place()
            # Complete ones alone: another executor may have reopened a place before, and be running it.
            gone = {
                t.number
                for place in places
                for t in by_place.get(place, [])
                if t.state == TrialState.COMPLETE
            }
            self.study.set_user_attr(GONE, sorted(gone | self._gone()))

    # ---- how it stands ----------------------------------------------------------------------------------

    def places(self) -> list[Place]:
        """Where each place stands."""
        by_place = self._by_place()
        places = [self._place(number, by_place.get(number, [])) for number in range(self.count)]
        if self._target_reached():
            return [replace(p, state="not needed") if p.state == "waiting" else p for p in places]
        return places

    def _place(self, number: int, trials: list[FrozenTrial]) -> Place:
        if not trials:
            return Place(number, "waiting")
        trial = next((t for t in trials if t.state in LIVE), trials[-1])
        outcome, score = trial.user_attrs.get(OUTCOME), None
        if trial.state == TrialState.FAIL:
            state = "failed" if self._given_up(trials) else "waiting"
            outcome = trial.user_attrs.get(FAILURE, LOST)
        elif trial.state in (TrialState.WAITING, TrialState.RUNNING):
            state = trial.state.name.lower()
        else:
            state = "done"
            score = trial.value if trial.state == TrialState.COMPLETE else None
        configuration = trial.user_attrs.get(CONFIGURATION)
        return Place(number, state, outcome, score, configuration and json.loads(configuration))

    def _target_reached(self) -> bool:
        metric = self.sweep.metric
        if metric is None or metric.target is None:
            return False
        kept = [t for trials in self._by_place().values() for t in trials if t.state == TrialState.COMPLETE]
        scores = [t.value for t in kept if t.value is not None]
        return any(not metric.better(metric.target, score) for score in scores)

    def _given_up(self, trials: list[FrozenTrial]) -> bool:
        tried = [t for t in trials if t.user_attrs.get(FAILURE, LOST) != GIVEN_BACK]
        return len(tried) >= self.attempts or any("final" in t.user_attrs for t in tried)

    def _by_place(self) -> dict[int, list[FrozenTrial]]:
        found: dict[int, list[FrozenTrial]] = {}
        gone = self._gone()
        for trial in self._trials():
            if trial.number not in gone:
                found.setdefault(trial.user_attrs[PLACE], []).append(trial)
        return found

    def _gone(self) -> set[int]:
        return set(self.study.user_attrs.get(GONE, []))

    def _trials(self, *states: TrialState) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False, states=states or None)

    def _frozen(self, trial: Trial) -> FrozenTrial:
        return self._storage.get_trial(trial._trial_id)

    # ---- keeping every place filled ---------------------------------------------------------------------

    def _fill_places(self) -> None:
        by_place = self._by_place()
        chosen = {t.user_attrs[PLACE]: t.params for t in self._trials()}  # a search's choice stays
        for place in range(self.count):
            trials = by_place.get(place, [])
            if any(trial.state in LIVE for trial in trials) or self._given_up(trials):
                continue
            attempt = 1 + sum(t.user_attrs.get(FAILURE, LOST) != GIVEN_BACK for t in trials)
            self.study.enqueue_trial(chosen.get(place, {}), user_attrs={PLACE: place, ATTEMPT: attempt})


# ---- opening it -----------------------------------------------------------------------------------------


def _open(storage: str, lease: int) -> RDBStorage:
    with _no_warning():
        try:
            return RDBStorage(storage, heartbeat_interval=max(1, lease // 3), grace_period=lease)
        except Exception as error:  # of SQLAlchemy, of the driver, or of a driver that is not installed
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise UserError(f"--storage {_shown(storage)} cannot be opened: {reason}") from error


def _lock(storage: str) -> Callable[[], AbstractContextManager[Any]]:
    """What keeps all but one executor out; UserError where the database is of no kind that can."""
    path = path_of(storage)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        return lambda: FileLock(path.with_name(f".{path.name}.lock"))
    if storage.startswith("postgresql"):
        return lambda: _advisory_lock(storage)
    raise UserError(f"--storage {_shown(storage)}: sqlite:///PATH or postgresql+psycopg://... is needed")


@contextmanager
def _advisory_lock(storage: str) -> Iterator[None]:
    """PostgreSQL's lock of a number, held by a connection of its own."""
    try:
        engine = sqlalchemy.create_engine(storage, poolclass=sqlalchemy.NullPool)
        connection = engine.connect()
    except Exception as error:  # as in _open
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(f"--storage {_shown(storage)} cannot be opened: {reason}") from error
    with connection:
        connection.execute(sqlalchemy.text("SELECT pg_advisory_lock(:key)"), {"key": ADVISORY_LOCK})
        yield


def _shown(storage: str) -> str:
    """A URL without its password."""
    return re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", storage)


def _sampler(sweep: Sweep, sampler: str, place: int) -> BaseSampler:
    if sweep.method != "bayes":
        return RandomSampler()  # never asked: what is run is known beforehand
    if sampler not in SAMPLERS:
        raise UserError(f"unknown --sampler {sampler!r}; {nearest(sampler, SAMPLERS)}")
    seed = int.from_bytes(hashlib.sha256(f"{sweep.digest}/{place}".encode()).digest()[:4])
    # Runs that are under way count as if they had gone badly: workers spread out.
    return TPESampler(seed=seed, constant_liar=True) if sampler == "tpe" else GPSampler(seed=seed)


def _pruner(sweep: Sweep) -> BasePruner:
    if sweep.hyperband is None:
        return NopPruner()
    last = sweep.hyperband.last if sweep.hyperband.last is not None else "auto"
    return HyperbandPruner(sweep.hyperband.first, last, sweep.hyperband.eta)


def _fail_silent(study: optuna.Study) -> None:
    """Fail the trials whose executor has not been heard of for longer than the lease."""
    with _no_warning():
        fail_stale_trials(study)


@contextmanager
def _no_warning() -> Iterator[None]:
    """Optuna calls heartbeats experimental, each time."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
