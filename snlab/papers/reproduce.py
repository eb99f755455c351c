"""``snlab reproduce``: a paper's table or figure, from its sweeps to a page with ours beside the paper's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from snlab.core.errors import UserError
from snlab.papers import estimate
from snlab.papers.adapted import adapted
from snlab.papers.arguments import Options
from snlab.papers.page import page
from snlab.papers.scoring import missing, score
from snlab.results.figures import picture
from snlab.results.output import write
from snlab.results.papers import paper_table, table_names
from snlab.results.reading import Collected, collect
from snlab.results.tables import make, render
from snlab.results.tables.table import Table
from snlab.sweeps.check import plan
from snlab.sweeps.command import SweepOptions, work_off
from snlab.sweeps.document import Sweep, read_sweep
from snlab.sweeps.slots import absent, slots
from snlab.tracking.run_folder import CONFIG

SCREEN = 150  # dots an inch of the page's pictures; the PDF is for print


def reproduce(options: Options) -> int:
    """Run what is left of an item's sweeps, score, and write its tables, figures and page.

    Returns:
        0 when all of it is there; 1 where a run has no result, a score failed or a figure cannot be drawn,
        which is said; 75 or 130 after a signal: the same command goes on.
    """
    console = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
    named = [read_sweep(name).importing(options.imports) for name in options.source.sweeps]
    sweeps = adapted(named, options.generator_steps, options.width, options.seeds)
    login_node = options.estimate and absent(options.gpus, options.workers)
    asked = (options.gpus, options.gpus_per_run, options.runs_per_gpu, options.workers)
    where = [] if login_node else slots(*asked)
    if options.estimate:
        for line in estimate.lines(sweeps, options, where):
            console.print(line)
        return 0
    code = _train(sweeps, options)
    if code > 1:  # stopped
        return code
    found = _collected(sweeps, options)
    if found is None:
        return 1
    tables = [f"{options.item.partition('/')[0]}/{name}" for name in options.what.tables]
    scored = [paper_table(name) for name in tables if name in table_names()]  # a study of ours has no scores
    wanted = missing(found.runs, scored)
    if scored and wanted:
        console.print(f"{len(wanted)} scores to add, {min(len(where), len(wanted))} at a time")
        log = options.runs / "scores.log"
        for line in score(wanted, where, log, options.imports):
            console.print(line)
        left = missing(found.runs, scored)
        if left:
            console.print(f"{len(left)} could not be scored; {log} says why")
            code = 1
    return max(code, _write(found, tables, options, console))


def _train(sweeps: Sequence[Sweep], options: Options) -> int:
    """Every sweep in turn; the worst exit code, or at once that of one that was stopped."""
    worst = 0
    for sweep in sweeps:
        code = work_off(
            sweep,
            SweepOptions(
                runs=options.runs,
                workers=options.workers,
                gpus=options.gpus,
                gpus_per_run=options.gpus_per_run,
                runs_per_gpu=options.runs_per_gpu,
                lease=options.lease,
            ),
        )
        if code > 1:
            return code
        worst = max(worst, code)
    return worst


def _collected(sweeps: Sequence[Sweep], options: Options) -> Collected | None:
    """The runs of the item's sweeps at this size; None where there are none.

    Those of another size, which an earlier command has left in the same folders, are no part of it.
    """
    folders = [trial.folder for sweep in sweeps for trial in plan(sweep, options.runs)]
    there = [folder for folder in folders if (folder / CONFIG).exists()]
    roots = dict.fromkeys(folder.parent for folder in there)
    return collect(*roots).among(there) if there else None


def _write(found: Collected, names: Sequence[str], options: Options, console: Console) -> int:
    """Tables, figures and page; 1 where a figure cannot be drawn."""
    tables: dict[str, list[Table]] = {}
    for name in names:
        tables[name] = make(name, found.runs, found.skipped)
        for format, suffix in (("csv", ".csv"), ("latex", ".tex")):
            write(_result(options, name, suffix), render(tables[name], format))
        console.print(render(tables[name], "terminal").rstrip("\n"))
    figures: dict[str, str | None] = {}
    owner = options.item.partition("/")[0]
    for name in options.what.figures:
        try:
            for format, dpi in (("png", SCREEN), ("pdf", None)):
                drawn = picture(f"{owner}/{name}", found.runs, format, dpi, "page")
                write(_result(options, name, f".{format}"), drawn)
            figures[name] = None
        except UserError as error:
            figures[name] = str(error)
            console.print(f"{name} is not drawn: {error}")
    out = options.results / "README.md"
    write(out, page(options, found.runs, tables, figures))
    console.print(f"{out}")
    return int(any(reason is not None for reason in figures.values()))


def _result(options: Options, name: str, suffix: str) -> Path:
    return options.results / f"{name.rpartition('/')[2]}{suffix}"
