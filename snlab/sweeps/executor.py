"""Runs the trials of a sweep on this machine, beside whatever other executors share the study."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Protocol

from snlab.sweeps.document import in_words
from snlab.sweeps.slots import Slot
from snlab.sweeps.study import STOPPED_EARLY, Claimed, Place, Study
from snlab.sweeps.trial import ERROR, TrialProcess

POLL_SECONDS = 0.2
CLAIM_SECONDS = 2.0  # between two looks for a trial where there was none
PATIENCE_SECONDS = 90.0  # for a run that was asked to save and end: less than a scheduler gives
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


class Display(Protocol):
    """What shows the user how the sweep goes."""

    def update(self, running: Sequence[TrialProcess], places: Sequence[Place]) -> None: ...

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
        self._said = False
        self._beat_at = self._claim_at = 0.0
        self._places: list[Place] = []

    def run(self) -> list[Place]:
        """Work until every place has ended, here or elsewhere, or a signal came; where each place stands."""
        with self._signals():
            try:
                while not self._finished():
                    self._say_once_if_stopped()
                    self._look_after_running()
                    if self.stopped_by is None:
                        self._fill_slots()
                    self.display.update(self.running, self._places)
                    time.sleep(POLL_SECONDS)
            finally:  # an error of ours harms no run: each saves, and its trial is given back
                self._stop_all()
        return self.study.places()

    def _say_once_if_stopped(self) -> None:
        if self.stopped_by is not None and not self._said:
            self._said = True
            self.display.say(f"{signal.Signals(self.stopped_by).name}: {len(self.running)} runs save and end")

    # ---- the loop's parts -------------------------------------------------------------------------------

    def _finished(self) -> bool:
        if self.running:
            return False
        if self.stopped_by is not None:
            return True
        self._places = self.study.places()
        return all(place.ended for place in self._places)

    def _fill_slots(self) -> None:
        taken = {trial.slot for trial in self.running}
        for slot in self.slots:
            if slot in taken or time.monotonic() < self._claim_at:
                continue
            claimed = self.study.claim()
            if claimed is None:
                self._claim_at = time.monotonic() + CLAIM_SECONDS
                return
            trial = self.prepare(claimed, slot)
            self.running.append(trial)
            self._start_or_adopt(trial)
            self._beat_at = 0.0  # what is shown has changed

    def _look_after_running(self) -> None:
        beat = time.monotonic() > self._beat_at
        for trial in list(self.running):
            if beat:
                self.study.beat(trial.claimed.trial)
                if not self.study.is_mine(trial.claimed.trial):  # the machine slept past the lease
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
            self._places = self.study.places()

    def _start_or_adopt(self, trial: TrialProcess) -> None:
        """Start the run; or take the result of one that is over; or wait for the process that trains it."""
        if trial.over is not None:
            self._ended(trial)
        elif self.stopped_by is not None:
            self._drop(trial)
        elif not trial.busy:
            trial.start()

    def _stop_early(self, trial: TrialProcess) -> None:
        """Tell the study what was logged since the last look, and stop what it holds for hopeless."""
        sweep = self.study.sweep
        if sweep.hyperband is None or sweep.metric is None or trial.stopped_early:
            return
        values = trial.values(sweep.metric.name)
        for value in values[trial.reported :]:
            trial.reported += 1
            trial.claimed.trial.report(value, step=trial.reported)
            if trial.claimed.trial.should_prune():
                trial.stopped_early = True
                trial.stop()
                return

    def _ended(self, trial: TrialProcess) -> None:
        self.running.remove(trial)
        self._claim_at = self._beat_at = 0.0
        if not self.study.is_mine(trial.claimed.trial):
            self._say(trial, "taken over by another executor")
            return
        run, metric, code = trial.over, self.study.sweep.metric, trial.poll()
        if run is not None:
            score = run.last(metric.name) if metric else None
            self.study.done(trial.claimed, run.outcome, score)
            shown = f", {metric.name} {score:.4g}" if metric and score is not None else ""
            self._say(trial, f"{run.outcome}{shown}" + ("" if code is not None else " (before)"))
        elif trial.stopped_early:
            self.study.pruned(trial.claimed)
            self._say(trial, STOPPED_EARLY)
        elif self.stopped_by is not None:
            self._drop(trial)
        else:
            failure, reason = trial.failure(code if code is not None else 1)
            self.study.failed(trial.claimed, failure, final=failure == ERROR)
            last = failure == ERROR or trial.claimed.attempt >= self.study.attempts
            self._say(trial, f"{failure} ({reason}); {'given up' if last else 'tried again'}")

    def _say(self, trial: TrialProcess, what: str) -> None:
        self.display.say(f"{trial.folder.name}: {what}; {in_words(trial.claimed.configuration)}")

    def _drop(self, trial: TrialProcess) -> None:
        """Give the trial back: whoever goes on with the sweep goes on with it."""
        if trial in self.running:
            self.running.remove(trial)
        if self.study.is_mine(trial.claimed.trial):
            self.study.give_back(trial.claimed)

    def _stop_all(self) -> None:
        for trial in self.running:
            trial.stop()
        for trial in list(self.running):
            if trial.process is not None:
                trial.process.wait()
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
