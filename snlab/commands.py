"""What each command does: call one function, print. What is heavy is imported where it is needed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING

from snlab.core import failures
from snlab.core.environment import first_process
from snlab.core.errors import INTERRUPTED, REQUEUE, UserError
from snlab.core.imports import importing
from snlab.core.messages import plain_messages, told
from snlab.core.modules import import_plugins
from snlab.lists import described
from snlab.papers.arguments import from_arguments as reproduce_options
from snlab.scoring.arguments import from_arguments as evaluate_options
from snlab.tracking.wandb_import import import_early, import_for_run

if TYPE_CHECKING:
    from snlab.tracking.run_folder import Skipped

PROCESS_LOST = 1  # a process of the run ended, and the others with it


def fit(arguments: Sequence[str]) -> int:
    with importing():
        import_for_run(arguments)
        from snlab.tracking.run_folder import KILLED, LOST, TIME_IS_UP, UNFINISHED
        from snlab.training.fit import fit as train

    run = train(arguments)
    if not first_process() or run.outcome == UNFINISHED:  # the run's first process speaks for all
        return 0
    reason = run.summary.get("reason")
    words = f" ({reason})" if reason else ""
    print(f"{run.outcome}{words} at generator step {run.summary.get('generator_step')}: {run.folder}")
    if run.outcome != KILLED:
        return 0
    print("snlab: the same command with --resume goes on from there", file=sys.stderr)
    codes = {
        **dict.fromkeys(("stopped by SIGTERM", "stopped by SIGUSR1", TIME_IS_UP), REQUEUE),
        LOST: PROCESS_LOST,
    }
    return codes.get(reason or "", INTERRUPTED)


def list_names(options: argparse.Namespace) -> int:
    with plain_messages():
        import_plugins()
    print("\n".join(described(options.kind)))
    return 0


def data_list(_: argparse.Namespace) -> int:
    from snlab.data.command import listed

    with plain_messages():
        import_plugins()
    print("\n".join(listed()))
    return 0


def data_fetch(options: argparse.Namespace) -> int:
    from snlab.data.command import fetch

    with plain_messages():
        import_plugins()
    print(fetch(options.name))
    return 0


def doctor(_: argparse.Namespace) -> int:
    from snlab.doctor import examine

    return examine()


def demo(options: argparse.Namespace) -> int:
    with importing():
        import_early()
        from snlab.demo import demo as run_demo

    return run_demo(options.runs, fast=options.fast, workers=options.workers)


def sweep(options: argparse.Namespace) -> int:
    with importing():
        import_early()
        from snlab.sweeps.command import SweepOptions, dry_run
        from snlab.sweeps.command import sweep as run_sweep

    if options.wandb:
        from snlab.sweeps.command import create

        return create(options.file, options.wandb, options.imports)
    given = {field.name: getattr(options, field.name) for field in fields(SweepOptions)}
    return (dry_run if options.dry_run else run_sweep)(options.file, SweepOptions(**given))


def agent(options: argparse.Namespace) -> int:
    from rich.console import Console

    from snlab.sweeps.agents import agents
    from snlab.sweeps.slots import slots

    places = slots(options.gpus, options.gpus_per_run, options.runs_per_gpu, options.workers)
    return agents(options.sweep, places, Console(), restarts=options.restarts)


def slurm(options: argparse.Namespace) -> int:
    from snlab.sweeps.check import check
    from snlab.sweeps.document import read_sweep
    from snlab.sweeps.slurm import from_arguments, script
    from snlab.sweeps.slurm import slurm as submit

    asked = from_arguments(options)
    found = read_sweep(options.file)
    check(found)
    print(script(found, asked) if options.print else submit(found, asked))
    return 0


def evaluate(options: argparse.Namespace) -> int:
    asked = evaluate_options(options)
    with importing():
        from snlab.scoring.evaluate import evaluate as score

    code = 0
    for place in options.places:
        try:
            found = score(place, asked)
        except UserError as error:  # the others are scored all the same
            code = told(str(error), failures.of_error(error.__cause__))
        else:
            print(found.line + (f": {found.path}" if found.path else ""), flush=True)
    return code


def reproduce(options: argparse.Namespace) -> int:
    asked = reproduce_options(options)
    with importing():
        import_early()
        from snlab.papers.reproduce import reproduce as make

    return make(asked)


def table(options: argparse.Namespace) -> int:
    from snlab.results.output import write
    from snlab.results.reading import collect
    from snlab.results.tables import check_format, make, render

    format = check_format(options.format, options.out)
    found = collect(*roots(options))
    tables = make(options.name, found.runs, found.skipped, options.dataset)
    columns = None if options.columns is None else [name.strip() for name in options.columns.split(",")]
    text = render(tables, format, columns)
    if options.out is None:
        print(text.rstrip("\n"))
    else:
        write(options.out, text)
        print(options.out)
    if format == "csv":  # which has no place for notes
        _say_skipped(found.skipped)
    return 0


def figure(options: argparse.Namespace) -> int:
    from snlab.results.figures import draw
    from snlab.results.reading import collect

    found = collect(*roots(options))
    notes = draw(options.name, found.runs, options.out, options.width)
    _say_skipped(found.skipped, notes)
    print(options.out)
    return 0


def roots(options: argparse.Namespace) -> list[str]:
    """The folders of runs, or places on W&B, that were given; without any, runs/."""
    return options.runs or ["runs"]


def _say_skipped(skipped: Sequence[Skipped], notes: Sequence[str] = ()) -> None:
    for line in (*notes, *(f"skipped {skip.folder}: {skip.reason}" for skip in skipped)):
        print(line, file=sys.stderr)


def report(options: argparse.Namespace) -> int:
    if options.watch:
        from snlab.results.live import watch

        return watch(roots(options), options.out, options.port)
    if options.port is not None:
        raise UserError("--port is of --watch")
    from snlab.results import report as page

    found = page.runs_of(*roots(options))
    page.report(found.runs, options.out, found.skipped)
    _say_skipped(found.skipped)
    print(options.out)
    return 0
