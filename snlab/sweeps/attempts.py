"""What became of the tasks of a sweep, read off their attempts: pure functions of Optuna's trials.

A task is one configuration that is to be run, numbered from 0. It is tried until one attempt, which is a
trial of the study, has a result, or the attempts that cost something are used up.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from snlab.core import failures

# What a trial says of itself.
TASK, ATTEMPT, CONFIGURATION = "task", "attempt", "configuration"
FOLDER = "folder"  # of its run, by name
SAVED_STEP = "saved step"  # the generator step that its run began at: that of the newest checkpoint then
OUTCOME = "outcome"
FAILURE, REASON = "failure", "reason"
FURTHER = "further"  # it failed, but a checkpoint stands further on than when it began
FINAL = "final"  # how many attempts were granted when it failed in a way that would only repeat itself

# How an attempt may fail, beside the environment's failures.
ERROR = "error"  # would only repeat itself
KILLED = "killed"
GIVEN_BACK = "given back"  # by an executor that was told to stop
LOST = "lost"  # its executor went silent

LIVE = (TrialState.WAITING, TrialState.RUNNING, TrialState.COMPLETE, TrialState.PRUNED)


@dataclass(frozen=True)
class Failure:
    """How an attempt failed: what kind of failure, and the reason in one line."""

    kind: str
    reason: str

    @property
    def environment(self) -> bool:
        """Whether the run could succeed where, or when, nothing is wrong around it."""
        return self.kind in failures.NAMES

    def __str__(self) -> str:
        return f"{self.kind} ({self.reason})"


@dataclass(frozen=True)
class Task:
    """Where one task of the sweep stands.

    Args:
        number: of the task.
        state: ``waiting``, ``running``, ``done``, ``failed``, or ``not needed`` once the target is reached.
        outcome: of a run that has ended.
        score: the metric's last value, where it has one.
        configuration: what was run there last, if anything was.
        folder: of its run, by name, where one was begun.
        failure: of the last attempt that failed, where none has a result.
    """

    number: int
    state: str
    outcome: str | None = None
    score: float | None = None
    configuration: Mapping[str, Any] | None = None
    folder: str | None = None
    failure: Failure | None = None

    @property
    def ended(self) -> bool:
        return self.state not in ("waiting", "running")


def standing(number: int, trials: Sequence[FrozenTrial], attempts: int) -> Task:
    """Where a task stands by its ``trials``, oldest first, of which it is granted ``attempts``."""
    if not trials:
        return Task(number, "waiting")
    trial = next((t for t in trials if t.state in LIVE), trials[-1])
    state, score, failure = "done", None, None
    if trial.state == TrialState.FAIL:
        state = "failed" if used_up(trials, attempts) else "waiting"
    elif trial.state in (TrialState.WAITING, TrialState.RUNNING):
        state = trial.state.name.lower()
    elif trial.state == TrialState.COMPLETE:
        score = trial.value
    failed = [t for t in trials if t.state == TrialState.FAIL]
    if state != "done" and failed:
        failure = failure_of(failed[-1])
    begun = CONFIGURATION in trial.user_attrs or not failed  # else it waits to be tried again
    said = (trial if begun else failed[-1]).user_attrs
    configuration = said.get(CONFIGURATION)
    return Task(
        number,
        state,
        said.get(OUTCOME),
        score,
        configuration and json.loads(configuration),
        said.get(FOLDER),
        failure,
    )


def failure_of(trial: FrozenTrial) -> Failure:
    """How a failed trial failed; one that does not say lost its executor."""
    kind = trial.user_attrs.get(FAILURE, LOST)
    return Failure(kind, trial.user_attrs.get(REASON, "its executor was lost" if kind == LOST else kind))


def spent(trials: Sequence[FrozenTrial]) -> int:
    """How many attempts the ended ``trials`` of a task used up.

    What was given back cost none, and neither did what failed but got further: a run that is cut off again
    and again comes to its end.
    """
    return sum(
        t.state == TrialState.FAIL and failure_of(t).kind != GIVEN_BACK and FURTHER not in t.user_attrs
        for t in trials
    )


def used_up(trials: Sequence[FrozenTrial], attempts: int) -> bool:
    """Whether a task has failed for good. More attempts than were granted then open it again."""
    return spent(trials) >= attempts or any(t.user_attrs.get(FINAL, 0) >= attempts for t in trials)
