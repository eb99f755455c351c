"""Runs the trials of a sweep on this machine, beside whatever other executors share the study."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Protocol

from snlab.core import failures
from snlab.sweeps.attempts import Failure, Task
from snlab.sweeps.document import in_words
from snlab.sweeps.slots import Slot
from snlab.sweeps.storage import StudyLostError
from snlab.sweeps.study import STOPPED_EARLY, Claimed, Study
from snlab.sweeps.trial import TrialProcess, score

POLL_SECONDS = 0.2
CLAIM_SECONDS = 2.0  # between two looks for a trial where there was none
PATIENCE_SECONDS = 90.0  # for a run that was asked to save and end: less than a scheduler gives
STUDY_SECONDS = 60.0  # for a study that cannot be reached, once nothing runs any more
# Where a run failed for the environment's sake its slot rests, twice as long each time in a row, and in the
# end takes no more: its GPU may be lost, or the disk full, and all that is left would fail as well.
REST_SECONDS = 2.0
FAILURES_IN_A_ROW = 5
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


class Display(Protocol):
    """What shows the user how the sweep goes."""

    def update(self, running: Sequence[TrialProcess], tasks: Sequence[Task]) -> None: ...

    def say(self, line: str) -> None: ...


class Executor:
    """Fills its slots with trials until none is left, or a signal asks it to make room.

    Args:
        study: the trials.
        slots: where they run.
        prepare: the trial of a configuration, and the folder made for it, as a process not yet started.
        display: what is told of it.
    """

    def __init__(
        self,
        study: Study,
        slots: Sequence[Slot],
        prepare: Callable[[Claimed, Slot], TrialProcess],
        display: Display,
    ) -> None:
        self.study = study
        self.slots = slots
        self.prepare = prepare
        self.display = display
        self.running: list[TrialProcess] = []
        self.stopped_by: int | None = None
        self._said = set[str]()
        self._beat_at = self._claim_at = 0.0
        self._reached_at = time.monotonic()
        self._failures = dict.fromkeys(slots, 0)  # of the environment, in a row
        self._rests_until = dict.fromkeys(slots, 0.0)
        self._tasks: list[Task] = []

    def run(self) -> list[Task]:
        """Work until every task has ended, here or elsewhere, or a signal came, or no slot is fit for work.

        Returns where each task stands.

        StudyLostError where the study is not to be reached any more; what had begun by then came to its end.
        """
        with self._signals():
            try:
                while self._round():
                    self.display.update(self.running, self._tasks)
                    time.sleep(POLL_SECONDS)
            finally:  # an error of ours harms no run: each saves, and its trial is given back
                self._stop_all()
        return self.study.tasks()

    def _round(self) -> bool:
        """Look after everything once; returns whether there is more to do."""
        try:
            if self.stopped_by is not None:
                self._say_once(
                    f"{signal.Signals(self.stopped_by).name}: {len(self.running)} runs save and end",
                    "stopped",
                )
            self._look_after_running()
            if self.stopped_by is None:
                self._fill_slots()
            if not self.running:
                self._tasks = self.study.tasks()
            self._reached_at = time.monotonic()
        except StudyLostError as error:
            self._without_study(error)
            return True
        idle = self.stopped_by is not None or min(self._rests_until.values()) == math.inf
        return bool(self.running) or not (idle or all(task.ended for task in self._tasks))

    # ---- the round's parts ------------------------------------------------------------------------------

    def _fill_slots(self) -> None:
        taken = {trial.slot for trial in self.running}
        for slot in self.slots:
            if slot in taken or time.monotonic() < max(self._claim_at, self._rests_until[slot]):
                continue
            claimed = self.study.claim()
            if claimed is None:
                self._claim_at = time.monotonic() + CLAIM_SECONDS
                return
            self._beat_at = 0.0  # what is shown has changed
            try:
                trial = self.prepare(claimed, slot)
            except OSError as error:
                self._failed(claimed, slot, f"task {claimed.task}", _failure(error))
                continue
            self.running.append(trial)
            self.study.begin(claimed, trial.folder.name)
            self._start_or_adopt(trial)

    def _look_after_running(self) -> None:
        beat = time.monotonic() > self._beat_at
        for trial in list(self.running):
            if beat:
                self.study.beat(trial.claimed)
                if not self.study.is_mine(trial.claimed):  # the machine slept past the lease
                    trial.stop()
                    if trial.process is None:
                        self.running.remove(trial)
                        continue
            if trial.process is None:
                self._start_or_adopt(trial)
            elif trial.poll() is not None:
                self._ended(trial)
            elif self.stopped_by is not None:
                trial.stop()
                trial.kill_after(PATIENCE_SECONDS)
            else:
                self._stop_early(trial)
        if beat:
            self._beat_at = time.monotonic() + max(1.0, self.study.lease / 3)
            self._tasks = self.study.tasks()

    def _start_or_adopt(self, trial: TrialProcess) -> None:
        """Start the run; or take the result of one that is over; or wait for the process that trains it."""
        try:
            if trial.over is not None:
                self._ended(trial)
            elif self.stopped_by is not None:
                self._drop(trial)
            elif not trial.busy:
                trial.start()
        except StudyLostError:
            raise
        except OSError as error:  # of the folder
            if self.study.is_mine(trial.claimed):
                self._failed(trial.claimed, trial.slot, trial.folder.name, _failure(error))
            self.running.remove(trial)

    def _stop_early(self, trial: TrialProcess) -> None:
        """Tell the study what was logged since the last look, and stop what it holds for hopeless."""
        sweep = self.study.sweep
        if sweep.hyperband is None or sweep.metric is None or trial.stopped_early:
            return
        values = trial.values(sweep.metric.name)
        for value in values[trial.reported :]:
            trial.reported += 1
            if self.study.hopeless(trial.claimed, value, trial.reported):
                trial.stopped_early = True
                trial.stop()
                return

    def _ended(self, trial: TrialProcess) -> None:
        """Tell the study, and the user, how a run ended. What raises StudyLostError is tried again."""
        if not self.study.is_mine(trial.claimed):
            self._say(trial, "taken over by another executor")
        elif (run := trial.over) is not None:
            metric = self.study.sweep.metric
            value = score(run, metric.name) if metric else None
            self.study.done(trial.claimed, run.outcome, value)
            self._failures[trial.slot] = 0
            shown = f", {metric.name} {value:.4g}" if metric and value is not None else ""
            self._say(trial, f"{run.outcome}{shown}" + ("" if trial.process is not None else " (before)"))
        elif trial.stopped_early:
            self.study.pruned(trial.claimed)
            self._say(trial, STOPPED_EARLY)
        elif self.stopped_by is not None:
            self.study.give_back(trial.claimed)
        else:
            code = trial.poll()
            failure = trial.failure(code if code is not None else 1)
            self._failed(trial.claimed, trial.slot, trial.folder.name, failure)
        self.running.remove(trial)
        self._claim_at = self._beat_at = 0.0

    def _failed(self, claimed: Claimed, slot: Slot, name: str, failure: Failure) -> None:
        task = self.study.failed(claimed, failure)
        next_time = "tried again" if not task.ended else "given up"
        if task.ended and failure.environment:
            next_time += " for now: the same command tries it again"
        self.display.say(f"{name}: {failure}; {next_time}; {in_words(claimed.configuration)}")
        if failure.environment:
            self._rest(slot, failure)

    def _rest(self, slot: Slot, failure: Failure) -> None:
        """Have a slot take no trial for a while, or no more."""
        self._rests_until[slot] = time.monotonic() + REST_SECONDS * 2 ** self._failures[slot]
        self._failures[slot] += 1
        if self._failures[slot] == FAILURES_IN_A_ROW:
            self._rests_until[slot] = math.inf
            self.display.say(
                f"{slot.name}: {FAILURES_IN_A_ROW} in a row failed here, and not for their own sake "
                f"({failure.kind}): it takes no more, until the command is started again"
            )

    def _say(self, trial: TrialProcess, what: str) -> None:
        self.display.say(f"{trial.folder.name}: {what}; {in_words(trial.claimed.configuration)}")

    def _say_once(self, line: str, about: str) -> None:
        if about not in self._said:
            self._said.add(about)
            self.display.say(line)

    # ---- without the study, and at the end --------------------------------------------------------------

    def _without_study(self, error: StudyLostError) -> None:
        """What runs goes on, to its end or until a signal; raises once nothing does, and no hope is left."""
        self._say_once(f"{error}; the runs that have begun go on" if self.running else str(error), str(error))
        if self.stopped_by is not None:
            for trial in self.running:
                trial.stop()
                trial.kill_after(PATIENCE_SECONDS)
        trains = any(trial.process is not None and trial.poll() is None for trial in self.running)
        hope = not error.for_good and self.stopped_by is None
        if not trains and not (hope and time.monotonic() < self._reached_at + STUDY_SECONDS):
            for trial in self.running:
                run = trial.over
                self._say(trial, f"{run.outcome if run else 'not over'}, which the study was not told")
            raise error

    def _drop(self, trial: TrialProcess) -> None:
        """Give the trial back: whoever goes on with the sweep goes on with it."""
        if self.study.is_mine(trial.claimed):
            self.study.give_back(trial.claimed)
        if trial in self.running:
            self.running.remove(trial)

    def _stop_all(self) -> None:
        for trial in self.running:
            trial.stop()
        for trial in list(self.running):
            if trial.process is not None:
                trial.process.wait()
            with suppress(StudyLostError):
                self._drop(trial)

    # ---- signals ----------------------------------------------------------------------------------------

    @contextmanager
    def _signals(self) -> Iterator[None]:
        before = {number: signal.signal(number, self._receive) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _receive(self, number: int, _: FrameType | None) -> None:
        self.stopped_by = self.stopped_by or number  # said in the loop: a handler may interrupt a print


def _failure(error: OSError) -> Failure:
    """How a trial fails whose folder cannot be used."""
    cause = failures.of_error(error) or failures.NO_FOLDER
    return Failure(cause.name, f"{type(error).__name__}: {error}")
