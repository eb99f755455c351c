"""The commands: parse, call one function, print. What is heavy is imported by the command that needs it."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from snlab import __version__
from snlab.core import failures
from snlab.core.environment import first_process
from snlab.core.errors import INTERRUPTED, REQUEUE, USER_MISTAKE, UserError, nearest
from snlab.core.imports import importing
from snlab.core.messages import flush_or_let_go, plain_messages
from snlab.core.modules import import_all, import_plugins
from snlab.core.text import use_text_anywhere
from snlab.dashboard.command import add_arguments as dashboard_arguments
from snlab.dashboard.command import dashboard
from snlab.lists import KINDS, described
from snlab.papers.arguments import add_arguments as reproduce_arguments
from snlab.papers.arguments import from_arguments as reproduce_options
from snlab.scoring.arguments import add_arguments as evaluate_arguments
from snlab.scoring.arguments import from_arguments as evaluate_options
from snlab.sweeps.arguments import add_arguments as sweep_arguments
from snlab.sweeps.arguments import add_slots
from snlab.sweeps.slurm import add_arguments as slurm_arguments
from snlab.tracking.wandb_agent_run import noted
from snlab.tracking.wandb_import import import_early, import_for_run

if TYPE_CHECKING:
    from snlab.tracking.run_folder import Skipped

PROCESS_LOST = 1  # a process of the run ended, and the others with it

DATA = "Which data sets are here, and getting one that is not."


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, with the nearest valid name."""

    def error(self, message: str) -> NoReturn:
        choice = re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)", message)
        if choice:
            known = [name.strip(" '") for name in choice[2].split(",")]
            message = f"{message[: choice.start()]}unknown {choice[1]!r}; {nearest(choice[1], known)}"
        raise UserError(f"{self.prog}: {message}".removeprefix("snlab: ").removeprefix("snlab "))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    use_text_anywhere()
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if arguments[:1] == ["fit"]:
        return noted(lambda: _main(arguments))
    return _main(arguments)


def _main(arguments: list[str]) -> int:
    try:
        if arguments[:1] == ["fit"]:  # LightningCLI reads the rest
            return fit(arguments[1:])
        options = _parser().parse_args(arguments)
        import_all(getattr(options, "imports", ()))
        return int(options.run(options))
    except UserError as error:
        return _told(str(error), failures.of_error(error.__cause__))
    except KeyboardInterrupt:
        print("snlab: interrupted; the same command goes on (of snlab fit, with --resume)", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output, such as head, has seen enough
        sys.stderr.close()
        return 0
    except OSError as error:
        cause = failures.of_error(error)
        if cause is None:
            raise
        return _told(f"{cause.name}: {error}", cause)


def _told(line: str, cause: failures.Cause | None) -> int:
    """The exit code of what ends in a line. A full disk has one of its own: the line may be lost on it."""
    with suppress(OSError):
        if first_process():
            print(f"snlab: {line}", file=sys.stderr)
    flush_or_let_go()
    return cause.exit_code if cause is not None and cause.exit_code is not None else USER_MISTAKE


# ---- the commands ---------------------------------------------------------------------------------------


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
            code = _told(str(error), failures.of_error(error.__cause__))
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
    found = collect(*_roots(options))
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

    found = collect(*_roots(options))
    notes = draw(options.name, found.runs, options.out, options.width)
    _say_skipped(found.skipped, notes)
    print(options.out)
    return 0


def _roots(options: argparse.Namespace) -> list[str]:
    """The folders of runs, or places on W&B, that were given; without any, runs/."""
    return options.runs or ["runs"]


def _say_skipped(skipped: Sequence[Skipped], notes: Sequence[str] = ()) -> None:
    for line in (*notes, *(f"skipped {skip.folder}: {skip.reason}" for skip in skipped)):
        print(line, file=sys.stderr)


def report(options: argparse.Namespace) -> int:
    if options.watch:
        from snlab.results.live import watch

        return watch(_roots(options), options.out, options.port)
    if options.port is not None:
        raise UserError("--port is of --watch")
    from snlab.results import report as page

    found = page.runs_of(*_roots(options))
    page.report(found.runs, options.out, found.skipped)
    _say_skipped(found.skipped)
    print(options.out)
    return 0


# ---- their options --------------------------------------------------------------------------------------


def _parser() -> Parser:
    from snlab.results.terminal import commands as terminal  # not for fit, which has a parser of its own

    parser = Parser(prog="snlab", description="Which discriminator normalizer, and why.")
    parser.add_argument("--version", action="version", version=f"snlab {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace], int], text: str, **kwargs: Any) -> Parser:
        added = commands.add_parser(name, help=text, description=text, **kwargs)
        added.set_defaults(run=run)
        return added

    command("fit", lambda _: 0, "Train one GAN (snlab fit --help lists every option).", add_help=False)

    one = command("list", list_names, "What can be swapped, with its options.")
    one.add_argument("kind", choices=KINDS, metavar="KIND", help=", ".join(KINDS))
    _imports(one)

    _data(commands.add_parser("data", help=DATA, description=DATA))

    command("doctor", doctor, "Check this machine: versions, devices, weights, W&B, a training step.")

    one = command("demo", demo, "Train, track and compare four normalizers on embedded real images.")
    one.add_argument(
        "--runs", type=Path, default=Path("runs/demo"), metavar="DIR", help="where to (default: %(default)s)"
    )
    one.add_argument(
        "--fast", action="store_true", help="seconds instead of minutes, to see that it works; into DIR-fast"
    )
    one.add_argument("--workers", type=int, default=None, help="runs at a time (default: one a CPU core)")

    one = command("sweep", sweep, "Run a sweep on this machine: one W&B file, no account; again, it goes on.")
    sweep_arguments(one)
    _imports(one)

    one = command("agent", agent, "Run a W&B sweep's agents on this machine, one a GPU slot.")
    one.add_argument("sweep", help="ENTITY/PROJECT/ID, as snlab sweep --wandb and wandb sweep print it")
    add_slots(one)
    one.add_argument("--restarts", type=int, default=3, help="of an agent that dies (default: %(default)s)")

    one = command("slurm", slurm, "Submit a sweep to SLURM: an array of jobs, one executor a node.")
    slurm_arguments(one)

    one = command("reproduce", reproduce, "A paper's table or figure, from its sweeps to a page of results.")
    reproduce_arguments(one)
    _imports(one)
    add_slots(one)

    one = command("evaluate", evaluate, "Score checkpoints, each into its run's folder.")
    evaluate_arguments(one)
    _imports(one)

    one = command("table", table, "Print a table of finished runs.")
    one.add_argument("name", help="which: snlab list tables")
    _runs(one)
    one.add_argument("--format", help="terminal, markdown, latex, csv or html (default: by --out's name)")
    one.add_argument("--columns", metavar="A,B,C", help="these alone, by the names that they have in CSV")
    one.add_argument("--dataset", help="of these runs alone (default: one part for each that runs are of)")
    one.add_argument("--out", type=Path, help="a file to write to: .txt, .md, .tex, .csv or .html")

    one = command("figure", figure, "Draw a figure of finished runs.")
    one.add_argument("name", help="which: snlab list figures")
    _runs(one)
    one.add_argument("--out", type=Path, required=True, help="a .png, .pdf or .svg file")
    one.add_argument("--width", help="column, page or inches (default: page; of a paper's figure column)")

    one = command("report", report, "Write one self-contained page about finished runs.")
    _runs(one)
    one.add_argument("--out", type=Path, default=Path("report.html"), help="(default: %(default)s)")
    one.add_argument("--watch", action="store_true", help="serve it on 127.0.0.1, made anew as runs go on")
    one.add_argument("--port", type=int, help="of 127.0.0.1, under --watch (default: a free one)")

    one = command("runs", lambda o: terminal.runs(o, _roots(o)), "List runs: how far, how good, how long.")
    terminal.add_runs(one)
    _runs(one)

    one = command("show", lambda o: terminal.show(o, _roots(o)), "One run: its curves, and how to repeat it.")
    terminal.add_show(one)
    _runs(one)

    one = command("compare", lambda o: terminal.compare(o, _roots(o)), "What runs differ in.")
    terminal.add_compare(one)
    _runs(one)

    one = command("dashboard", dashboard, "Compare runs on W&B: a workspace and a report; again, it updates.")
    dashboard_arguments(one)
    return parser


def _data(parser: Parser) -> None:
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    text = "What is here, where, how many, and the sha256 of what was converted."
    one = commands.add_parser("list", help=text, description=text)
    _imports(one)
    one.set_defaults(run=data_list)
    text = "Download, verify and convert a data set, once."
    one = commands.add_parser("fetch", help=text, description=text)
    one.add_argument("name", help='with its options, as in "stl10(size=96)"; snlab list datasets names all')
    _imports(one)
    one.set_defaults(run=data_fetch)


def _imports(parser: Parser) -> None:
    parser.add_argument(
        "--import",
        dest="imports",
        action="append",
        default=[],
        metavar="MODULE",
        help="a module of yours, imported for the names that it registers",
    )


def _runs(parser: Parser) -> None:
    _imports(parser)
    parser.add_argument(
        "--runs",
        action="append",
        metavar="DIR",
        help="folder of runs (default: runs), or wandb:ENTITY/PROJECT[/SWEEP]; again, for those of several",
    )
