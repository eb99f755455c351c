"""The page of what was reproduced: results first, then where they come from, then what they do not show."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from snlab import __version__
from snlab.core.machine import commit, processor
from snlab.core.text import duration
from snlab.papers.arguments import Options
from snlab.papers.claims import claims
from snlab.results.extractors import extractors
from snlab.results.notes import listed
from snlab.results.papers import PaperTable, paper
from snlab.results.spelling import plain, split_width
from snlab.results.tables import Table, render
from snlab.sweeps.slots import cores_in_reach
from snlab.tracking.identity import setting
from snlab.tracking.run_folder import CONFIG, FINISHED, SUMMARY, Run

ENOUGH_SEEDS = 5  # below, a row's spread is a rough guess of the seed's


def page(
    options: Options,
    runs: Sequence[Run],
    tables: Mapping[str, Sequence[Table]],
    figures: Mapping[str, str | None],
) -> str:
    """The page in Markdown.

    Args:
        options: what was asked for.
        runs: all of the item's sweeps.
        tables: by their names, PAPER/TABLE.
        figures: by their names, None where it was drawn, else why not.
    """
    item = options.what
    name, _, short = item.name.partition("/")
    about = paper(name)
    blocks = [
        f"# {about.cited}, {_spaced(short)}: {options.chosen}",
        f"{item.title}. *{about.title}*" + (f", arXiv {about.arxiv}." if about.arxiv else ""),
    ]
    for table in tables:
        blocks += [
            render(tables[table], "markdown").rstrip("\n"),
            f"As data: [{_file(table)}.csv]({_file(table)}.csv).",
        ]
    for figure, reason in figures.items():
        blocks.append(f"## {_spaced(figure).capitalize()}")
        file = _file(figure)
        blocks.append(f"![{_spaced(figure)}]({file}.png)" if reason is None else f"Not drawn: {reason}.")
        if reason is None:
            blocks += claims(figure, runs)
    blocks += ["## Where this comes from", "\n".join(f"- {line}" for line in _origin(options, runs))]
    blocks += ["## What it does not show", "\n".join(f"- {line}" for line in _limits(options, runs))]
    return "\n\n".join(blocks) + "\n"


def _origin(options: Options, runs: Sequence[Run]) -> list[str]:
    """Command, date, commits, machines, versions, extractors, how many runs, how long."""
    outcomes = Counter(run.outcome for run in runs)
    seconds = sum(float(s) for run in runs if isinstance(s := run.summary.get("seconds"), int | float))
    began = [p.stat().st_mtime for run in runs if (p := run.folder / CONFIG).exists()]
    ended = [p.stat().st_mtime for run in runs if (p := run.folder / SUMMARY).exists()]
    machines = _seen(run.summary.get("machine") for run in runs)
    versions = _seen(
        ", ".join(f"{key} {value}" for key, value in told.items())
        for run in runs
        if isinstance(told := run.summary.get("versions"), Mapping)
    )
    found = extractors([run for run in runs if run.outcome == FINISHED])
    return [
        f"Command: `{options.command}`; again, it goes on.",
        f"Page: written on {_date(time.time())} by snlab {__version__}, commit {commit() or 'not known'}.",
        f"Runs: {len(runs)} ({', '.join(f'{n} {name}' for name, n in outcomes.items())}), "
        f"{duration(seconds)} of training in all, "
        f"from {_date(min(began)) if began else '?'} to {_date(max(ended)) if ended else '?'}, "
        f"of the sweeps {', '.join(options.source.sweeps)}.",
        f"Code of the runs: commit {listed(_seen(r.summary.get('commit') for r in runs)) or 'not recorded'}.",
        f"Machine: {listed(machines) or 'not recorded'} a run; this page's has {cores_in_reach()} cores, "
        f"{processor()}.",
        *(f"Versions: {text}." for text in versions),
        "Features: "
        + (listed([f"{e.name} @{(e.digest or 'unknown')[:12]}" for e in found]) or "none, nothing was scored")
        + ".",
    ]


def _limits(options: Options, runs: Sequence[Run]) -> list[str]:
    """What a reader might take the numbers for, and they are not; each line only where it is so."""
    first = options.what
    about = paper(first.name.partition("/")[0])
    if not about.tables:  # ours: there is nothing that the numbers are held against
        return [*first.limits, *_seeds(options, runs)]
    reference = [about.tables[name] for name in first.tables] or list(about.tables.values())[:1]
    found = [*first.limits]
    own = {plain(spec) for table in reference for spec in table.datasets.values()}
    if others := [name for name in _seen(plain(run.dataset) for run in runs) if name not in own]:
        found.append(
            f"{listed(others)} is no data set of the paper's: the order of methods may be compared with the "
            "paper's, scores may not, and another data set may have another order."
        )
    widths = {split_width(str(run.config.get("model", {}).get("network", "")))[1] for run in runs}
    if narrow := sorted(w for w in widths if w != 1.0):
        found.append(
            f"The networks have {listed([f'{w:g}' for w in narrow])} of the paper's width: what a method "
            "needs of a wide network is not seen."
        )
    found += _short(runs, reference)
    names_of = [e.name for e in extractors([run for run in runs if run.outcome == FINISHED])]
    if embedded := [name for name in names_of if name.startswith("embedded")]:
        found.append(
            f"Scores of {listed(embedded)} are of a small classifier of this data set: no published score "
            "is on their scale."
        )
    if names_of:
        found += _seeds(options, runs)
    return found


def _short(runs: Sequence[Run], tables: Sequence[PaperTable]) -> list[str]:
    lengths = sorted({run.generator_steps for run in runs})
    wanted = max(table.generator_updates for table in tables)
    if not lengths or lengths[-1] >= wanted:
        return []
    return [
        f"Runs end after {listed([f'{n:,}' for n in lengths])} generator updates, the paper's after "
        f"{wanted:,}: a method that is slow, or that fails late, looks different there."
    ]


def _seeds(options: Options, runs: Sequence[Run]) -> list[str]:
    per_trial = Counter(setting(run.config) for run in runs)
    least, most = min(per_trial.values()), max(per_trial.values())
    if least >= ENOUGH_SEEDS:
        return []
    said = f"{least}" if least == most else f"{least} to {most}"
    found = [
        f"Each trial has {said} seed{'s' * (most > 1)}: a difference between two methods that is not much "
        "larger than the spread over seeds may be the seed's."
    ]
    about = paper(options.item.partition("/")[0])
    if any(about.tables[name].settings for name in options.what.tables if name in about.tables):
        found.append(
            "The best of several settings is chosen by the scores that are then shown, as in the paper: the "
            "more settings a method was run at, the better it looks."
        )
    return found


def _seen(values: Iterable[object]) -> list[str]:
    """The distinct texts, in their order."""
    return list(dict.fromkeys(str(value) for value in values if value is not None))


def _date(seconds: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))


def _spaced(name: str) -> str:
    """
    >>> _spaced("figure11"), _spaced("table2"), _spaced("stl10_48")
    ('figure 11', 'table 2', 'stl10_48')
    """
    word = name.rstrip("0123456789")
    return f"{word} {name[len(word) :]}" if word in ("figure", "table") else name


def _file(name: str) -> str:
    return name.rpartition("/")[2]
