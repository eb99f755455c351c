"""The command line: its words, and how each command ends: a line for a mistake, an exit code."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from snlab import __version__, commands
from snlab.core import failures
from snlab.core.errors import INTERRUPTED, UserError, nearest
from snlab.core.messages import told
from snlab.core.modules import import_all
from snlab.core.text import use_text_anywhere
from snlab.dashboard.command import add_arguments as dashboard_arguments
from snlab.dashboard.command import dashboard
from snlab.lists import KINDS
from snlab.papers.arguments import add_arguments as reproduce_arguments
from snlab.scoring.arguments import add_arguments as evaluate_arguments
from snlab.sweeps.arguments import add_arguments as sweep_arguments
from snlab.sweeps.arguments import add_slots
from snlab.sweeps.slurm import add_arguments as slurm_arguments
from snlab.tracking.wandb_agent_run import noted

# Of an interrupted command, what is to be said of going on; of others there is nothing to go on with.
GOES_ON = {
    "fit": "; the same command with --resume goes on",
    **dict.fromkeys(("agent", "demo", "evaluate", "reproduce", "sweep"), "; the same command goes on"),
}

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
            return commands.fit(arguments[1:])
        options = _parser().parse_args(arguments)
        import_all(getattr(options, "imports", ()))
        return int(options.run(options))
    except UserError as error:
        return told(str(error), failures.of_error(error.__cause__))
    except KeyboardInterrupt:
        print(f"snlab: interrupted{GOES_ON.get(arguments[0], '')}", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output, such as head, has seen enough
        sys.stderr.close()
        return 0
    except OSError as error:
        cause = failures.of_error(error)
        if cause is None:
            raise
        return told(f"{cause.name}: {error}", cause)


# ---- their options --------------------------------------------------------------------------------------


def _parser() -> Parser:
    from snlab.results.terminal import commands as terminal  # not for fit, which has a parser of its own

    parser = Parser(prog="snlab", description="Which discriminator normalizer, and why.")
    parser.add_argument("--version", action="version", version=f"snlab {__version__}")
    words = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace], int], text: str, **kwargs: Any) -> Parser:
        added = words.add_parser(name, help=text, description=text, **kwargs)
        added.set_defaults(run=run)
        return added

    command("fit", lambda _: 0, "Train one GAN (snlab fit --help lists every option).", add_help=False)

    one = command("list", commands.list_names, "What can be swapped, with its options.")
    one.add_argument("kind", choices=KINDS, metavar="KIND", help=", ".join(KINDS))
    _imports(one)

    _data(words.add_parser("data", help=DATA, description=DATA))

    command(
        "doctor", commands.doctor, "Check this machine: versions, devices, weights, W&B, a training step."
    )

    one = command("demo", commands.demo, "Train, track and compare four normalizers on embedded real images.")
    one.add_argument(
        "--runs", type=Path, default=Path("runs/demo"), metavar="DIR", help="where to (default: %(default)s)"
    )
    one.add_argument(
        "--fast", action="store_true", help="seconds instead of minutes, to see that it works; into DIR-fast"
    )
    one.add_argument("--workers", type=int, default=None, help="runs at a time (default: one a CPU core)")

    one = command(
        "sweep", commands.sweep, "Run a sweep on this machine: one W&B file, no account; again, it goes on."
    )
    sweep_arguments(one)
    _imports(one)

    one = command("agent", commands.agent, "Run a W&B sweep's agents on this machine, one a GPU slot.")
    one.add_argument("sweep", help="ENTITY/PROJECT/ID, as snlab sweep --wandb and wandb sweep print it")
    add_slots(one)
    one.add_argument("--restarts", type=int, default=3, help="of an agent that dies (default: %(default)s)")

    one = command("slurm", commands.slurm, "Submit a sweep to SLURM: an array of jobs, one executor a node.")
    slurm_arguments(one)

    one = command(
        "reproduce", commands.reproduce, "A paper's table or figure, from its sweeps to a page of results."
    )
    reproduce_arguments(one)
    _imports(one)
    add_slots(one)

    one = command("evaluate", commands.evaluate, "Score checkpoints, each into its run's folder.")
    evaluate_arguments(one)
    _imports(one)

    one = command("table", commands.table, "Print a table of finished runs.")
    one.add_argument("name", help="which: snlab list tables")
    _runs(one)
    one.add_argument("--format", help="terminal, markdown, latex, csv or html (default: by --out's name)")
    one.add_argument("--columns", metavar="A,B,C", help="these alone, by the names that they have in CSV")
    one.add_argument("--dataset", help="of these runs alone (default: one part for each that runs are of)")
    one.add_argument("--out", type=Path, help="a file to write to: .txt, .md, .tex, .csv or .html")

    one = command("figure", commands.figure, "Draw a figure of finished runs.")
    one.add_argument("name", help="which: snlab list figures")
    _runs(one)
    one.add_argument("--out", type=Path, required=True, help="a .png, .pdf or .svg file")
    one.add_argument("--width", help="column, page or inches (default: page; of a paper's figure column)")

    one = command("report", commands.report, "Write one self-contained page about finished runs.")
    _runs(one)
    one.add_argument("--out", type=Path, default=Path("report.html"), help="(default: %(default)s)")
    one.add_argument("--watch", action="store_true", help="serve it on 127.0.0.1, made anew as runs go on")
    one.add_argument("--port", type=int, help="of 127.0.0.1, under --watch (default: a free one)")

    one = command(
        "runs", lambda o: terminal.runs(o, commands.roots(o)), "List runs: how far, how good, how long."
    )
    terminal.add_runs(one)
    _runs(one)

    one = command(
        "show", lambda o: terminal.show(o, commands.roots(o)), "One run: its curves, and how to repeat it."
    )
    terminal.add_show(one)
    _runs(one)

    one = command("compare", lambda o: terminal.compare(o, commands.roots(o)), "What runs differ in.")
    terminal.add_compare(one)
    _runs(one)

    one = command("dashboard", dashboard, "Compare runs on W&B: a workspace and a report; again, it updates.")
    dashboard_arguments(one)
    return parser


def _data(parser: Parser) -> None:
    words = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    text = "What is here, where, how many, and the sha256 of what was converted."
    one = words.add_parser("list", help=text, description=text)
    _imports(one)
    one.set_defaults(run=commands.data_list)
    text = "Download, verify and convert a data set, once."
    one = words.add_parser("fetch", help=text, description=text)
    one.add_argument("name", help='with its options, as in "stl10(size=96)"; snlab list datasets names all')
    _imports(one)
    one.set_defaults(run=commands.data_fetch)


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
