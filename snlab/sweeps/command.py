"""``snlab sweep``: from a file's name to its runs."""

from __future__ import annotations

import hashlib
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from snlab.core.errors import INTERRUPTED, REQUEUE, UserError
from snlab.core.text import duration
from snlab.sweeps.check import Planned, check, check_files, plan, quiet, total
from snlab.sweeps.command_line import with_words
from snlab.sweeps.cost import estimate
from snlab.sweeps.display import SweepDisplay, best_of
from snlab.sweeps.document import Sweep, in_words, read_sweep
from snlab.sweeps.executor import Executor
from snlab.sweeps.launch import preload, wait_until_preloaded
from snlab.sweeps.register import register
from snlab.sweeps.reopen import reopen
from snlab.sweeps.slots import Slot, absent, slots
from snlab.sweeps.sqlite import url_of
from snlab.sweeps.study import Claimed, Study
from snlab.sweeps.trial import TrialProcess, result, saved_step, settle
from snlab.tracking.run_folder import CONFIG


@dataclass(frozen=True)
class SweepOptions:
    """How ``snlab sweep`` runs a file; the command line's options, by name."""

    runs: Path = Path("runs")
    workers: int | None = None
    gpus: str | None = None
    gpus_per_run: int = 1
    runs_per_gpu: int = 1
    storage: str | None = None
    lease: int = 60
    attempts: int = 3
    retry_failed: bool = False
    sampler: str = "tpe"
    imports: Sequence[str] = ()


def sweep(file: str, options: SweepOptions) -> int:
    """Run what is left of the sweep in ``file``; returns the exit code of ``work_off``."""
    found = read_sweep(file).importing(options.imports)
    code = work_off(found, options)
    if code in (0, 1):
        _console().print(f"snlab table normalizers --runs {options.runs / found.name}")
    return code


def work_off(found: Sweep, options: SweepOptions) -> int:
    """Run what is left of a sweep, and show how it goes; returns the exit code.

    0 when every trial has a result, 1 where one has none, 75 or 130 after a signal. UserError, before
    anything starts, where the sweep or an option is wrong; and StudyLostError later, once nothing runs.
    """
    console = _console()
    where = slots(options.gpus, options.gpus_per_run, options.runs_per_gpu, options.workers)
    preload(where[0])
    _check(found, options)
    study = _study(found, options)

    def planned(configuration: Mapping[str, Any]) -> Planned:
        with quiet():
            return Planned.of(found, configuration, options.runs)

    def prepare(claimed: Claimed, slot: Slot) -> TrialProcess:
        trial = planned(claimed.configuration)
        return TrialProcess(claimed, trial, slot, settle(trial, options.runs))

    before = reopen(study, options.runs / found.name, options.retry_failed)
    words = f", {before.done} of them ended before" if before.done else ""
    console.print(
        f"{found.name}: {study.count} runs in {options.runs / found.name}, {len(where)} at a time{words}"
    )
    for line in before.lines():
        console.print(line)
    if not all(task.ended for task in study.tasks()):
        wait_until_preloaded(where[0])
    with SweepDisplay(console, found.name, found.metric) as display:
        executor = Executor(study, where, prepare, display)
        result = executor.run()
    console.print(display.line(result))
    best = best_of(result, found.metric)
    if best is not None and best.configuration is not None:
        console.print(f"best: {in_words(best.configuration)}")
    if executor.stopped_by is not None or not all(task.ended for task in result):
        console.print("the same command goes on from here")
    if executor.stopped_by is not None:
        return INTERRUPTED if executor.stopped_by == signal.SIGINT else REQUEUE
    return 0 if all(task.state in ("done", "not needed") for task in result) else 1


def dry_run(file: str, options: SweepOptions) -> int:
    """Print every run of a sweep (of a search, its first), their number, and what they will cost."""
    console = _console()
    found = read_sweep(file).importing(options.imports)
    _check(found, options)
    where = (
        []
        if absent(options.gpus, options.workers)
        else slots(options.gpus, options.gpus_per_run, options.runs_per_gpu, options.workers)
    )
    trials = plan(found, options.runs)
    for i, trial in enumerate(trials):
        console.print(f"{i:4d}  {state(trial):8s}  {in_words(trial.configuration)}")
    console.print(f"each is: snlab fit {' '.join(found.command)}")
    if found.method != "bayes" and found.count is not None and len(trials) < found.count:
        console.print(f"{found.count} configurations: those that are not shown would be the same runs")
    count = total(found, trials)
    unseen = 0 if count is None else count - len(trials)  # draws that are made later
    if count is None or unseen:
        console.print(f"... the first {len(trials)} draws of {count or 'endlessly many'}")
    todo = [trial for trial in trials if state(trial) != "over"]
    runs = f"{count} runs" if count else f"endlessly many runs, the first {len(trials)}"
    left = len(todo) + unseen
    if not left:
        console.print(f"{runs}: nothing to do, all of them are over")
        return 0
    cost = estimate(todo or trials, where[0] if where else None, options.runs / found.name)
    if cost is None:
        console.print(f"{runs}, {left} to do: how long is not measured here: no GPU")
        return 0
    cost = cost.times(left / len(todo or trials))
    on_all = cost.seconds * (1 / min(len(where) or 1, left))
    together = f", {on_all.shown(duration)} on {len(where)}" if where else ""
    console.print(
        f"{runs}, {left} to do: {cost.seconds.shown(duration)} of training on one slot{together}; "
        "start and measurements come on top"
    )
    console.print(f"of these: {cost.basis}")
    return 0


def create(file: str, target: str, imports: Sequence[str] = ()) -> int:
    """Create the sweep on W&B, in ``target`` = ENTITY/PROJECT, and say how its agents are started.

    Its command says which modules are to be imported, so that every agent's runs do.
    """
    console = _console()
    found = read_sweep(file).importing(imports)
    check(found)
    document = with_words(found.document, [f"--import={module}" for module in imports])
    console.print(f"snlab agent {register(document, target)}")
    return 0


def _console() -> Console:
    return Console(highlight=False, soft_wrap=True, markup=False, emoji=False)


def _check(found: Sweep, options: SweepOptions) -> None:
    for option, value in (("--lease", options.lease), ("--attempts", options.attempts)):
        if value < 1:
            raise UserError(f"{option} is {value}; at least 1 is needed")
    check(found)


def _study(found: Sweep, options: SweepOptions) -> Study:
    folder = options.runs / found.name
    trials = plan(found, options.runs)
    count = total(found, trials)
    if count is None:
        raise UserError(f"{found.path}: a {found.method} search without run_cap never ends; add run_cap: N")
    check_files(trial for trial in trials if state(trial) != "over")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder} cannot be written: {error.strerror}") from error
    return Study(
        found,
        _key(found, trials),
        [trial.configuration for trial in trials] if found.method != "bayes" else None,
        count,
        options.storage or url_of(folder / "study.db"),
        lease=options.lease,
        attempts=options.attempts,
        sampler=options.sampler,
        saved_step=lambda name: saved_step(folder / name),
    )


def _key(found: Sweep, trials: list[Planned]) -> str:
    """Changes with the file, and with what its experiment computes."""
    text = " ".join([found.digest, *(trial.identity for trial in trials)])
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def state(trial: Planned) -> str:
    """Whether its run is ``new``, ``begun``, ``over`` or ``damaged``."""
    if not (trial.folder / CONFIG).exists():
        return "new"
    try:
        return "begun" if result(trial.folder) is None else "over"
    except UserError:
        return "damaged"
