"""The comparison that ``make demo`` shows: four normalizers on real digits and on a known density."""

from __future__ import annotations

import atexit
import multiprocessing
import multiprocessing.connection
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from snlab.callbacks.progress import progress_in
from snlab.errors import UserError
from snlab.results.findings import findings
from snlab.results.report import report
from snlab.results.tables import make, render
from snlab.runs import OVER, Run

# λ = 1: the usual 10 outweighs the loss at one discriminator update a generator update (README, "The demo").
NORMALIZERS = ("none", "weight_norm", "gradient_penalty(weight=1)", "spectral_norm")
SEEDS = {"demo_digits": (0, 1), "demo_ring": (0,)}  # by experiment
FAST = ("--generator_steps=20", "--measure.every=0.25", "--measure.fidelity_every=1.0")
LOG = "train.log"
POLL_SECONDS = 0.2


def demo(runs: Path, fast: bool = False, workers: int | None = None) -> int:
    """Train what is not trained yet, print the comparison, write ``report.html``; returns the exit code.

    Each run is a process of one thread, as many at a time as there are cores: on a CPU, two processes of one
    thread are faster than one of two.
    """
    if workers is not None and workers < 1:
        raise UserError(f"--workers is {workers}; at least 1 is needed")
    console = Console()
    with _one_thread():
        trials = plan(runs, fast)
        todo = {folder: arguments for folder, arguments in trials.items() if not _over(folder)}
        reused = len(trials) - len(todo)
        console.print(
            f"{len(trials)} runs in {runs}" + (f", {reused} of them finished before" if reused else "")
        )
        broken = train(todo, workers or len(os.sched_getaffinity(0)), console)
    for folder in broken:
        console.print(f"failed: {folder} (see {folder / LOG}); the same command tries it again", style="red")
    done = [Run.read(folder) for folder in trials if _over(folder)]
    if not done:
        return 1
    for table in make("normalizers", done):
        print(render(table))
    print(" ".join(findings(done)))
    report(done, runs / "report.html")
    print(f"\nThe whole comparison, with figures and samples: {runs / 'report.html'}")
    return 1 if broken else 0


# ---- what is run ----------------------------------------------------------------------------------------


def plan(runs: Path, fast: bool) -> dict[Path, list[str]]:
    """The demo's runs: each run's folder, and the arguments of ``snlab fit`` that fill it."""
    from snlab.fit import claim

    trials = {}
    for experiment, seeds in SEEDS.items():
        for seed in seeds[:1] if fast else seeds:
            for normalizer in NORMALIZERS:
                arguments = [
                    f"--config={experiment}",
                    *(FAST if fast else ()),
                    f"--model.normalizer={normalizer}",
                    f"--seed_everything={seed}",
                    f"--runs={runs}",
                    "--wandb.mode=offline",  # a demo does not write to anybody's account
                    "--wandb.group=demo",
                    "--resume",
                ]
                trials[claim(arguments).folder] = arguments
    return trials


def _over(folder: Path) -> bool:
    return (folder / "config.yaml").exists() and Run.read(folder).outcome in OVER


@contextmanager
def _one_thread() -> Iterator[None]:
    """One thread for every process started inside."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        yield
    finally:
        del os.environ["OMP_NUM_THREADS"]
        if before is not None:
            os.environ["OMP_NUM_THREADS"] = before


# ---- running it -----------------------------------------------------------------------------------------


def train(trials: dict[Path, list[str]], workers: int, console: Console) -> list[Path]:
    """Run every trial in a process of its own, ``workers`` at a time; returns the folders that failed.

    The processes are forked from one that has imported everything and done nothing: that saves each of them
    the seconds that importing takes.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["snlab.fit"])
    waiting, failed = list(trials), list[Path]()
    running: dict[Path, tuple[BaseProcess, TaskID]] = {}
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
    ) as progress:
        whole = progress.add_task("all runs", total=len(trials))
        try:
            while waiting or running:
                while waiting and len(running) < workers:
                    folder = waiting.pop(0)
                    folder.mkdir(parents=True, exist_ok=True)
                    process = context.Process(target=_trial, args=(trials[folder], folder / LOG))
                    process.start()
                    running[folder] = process, progress.add_task(folder.name, total=None)
                for folder, (child, task) in list(running.items()):
                    _show(progress, task, folder)
                    if not child.is_alive():
                        del running[folder]
                        progress.remove_task(task)
                        progress.advance(whole)
                        failed += [] if child.exitcode == 0 else [folder]
                        if not console.is_terminal:
                            console.print(
                                f"{len(trials) - len(waiting) - len(running)}/{len(trials)} {folder.name}"
                            )
                _wait([child for child, _ in running.values()])
        finally:
            for child, _ in running.values():
                child.terminate()
                child.join()
    return failed


def _trial(arguments: Sequence[str], log: Path) -> None:
    """What one process does: ``snlab fit`` with everything that it prints in its log."""
    from snlab.fit import fit

    with log.open("a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    try:
        run = fit(arguments)
    finally:
        atexit._run_exitfuncs()  # a forked process ends without them, and W&B's temporary folders would stay
    print(f"{run.outcome}: {run.folder}", flush=True)
    sys.exit(0 if run.outcome in OVER else 1)


def _show(progress: Progress, task: TaskID, folder: Path) -> None:
    """Bring a run's bar to where its log says that it is."""
    found = progress_in(folder / LOG)
    if found is not None:
        progress.update(task, completed=found[0], total=found[1])


def _wait(processes: list[BaseProcess]) -> None:
    if processes:
        multiprocessing.connection.wait([process.sentinel for process in processes], timeout=POLL_SECONDS)
